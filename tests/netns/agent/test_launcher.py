"""A launcher and an agent: what is handed over, and what happens when it goes wrong."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.agent import protocol
from cnisdk.agent.protocol import Descriptor, Reason, Request
from tests.netns.agent.launchers import (
    CONFIG,
    Connection,
    Launcher,
    StandIn,
    die,
    read_all,
    refuse,
    require,
    serve,
)

REPEATABLE = ["DEL", "CHECK", "STATUS", "GC"]


class Seen:
    """A behaviour that serves, and keeps what came."""

    def __init__(self) -> None:
        self.request = Request((), {}, Descriptor(0))
        self.stdin = b""
        self.links: dict[Descriptor, str] = {}
        self.inodes: dict[Descriptor, int] = {}

    def __call__(self, connection: Connection) -> None:
        request = connection.receive()
        assert request is not None
        self.request = request
        for which, fd in connection.descriptors.items():
            self.links[which] = os.readlink(f"/proc/self/fd/{fd}")
            self.inodes[which] = os.fstat(fd).st_ino
        if Descriptor.STDIN in connection.descriptors:
            self.stdin = read_all(connection.descriptors[Descriptor.STDIN])
        assert connection.begin()
        connection.finish(0)


# -- handing over ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 77])
def test_the_agents_output_and_status_are_the_launchers(launcher: Launcher, status: int) -> None:
    launcher.with_fallback()
    with StandIn(launcher.socket, serve(status)):
        outcome = launcher.run("ADD")

    assert outcome == (status, b"from the agent\n", b"")
    assert launcher.one_calls == 0


@pytest.mark.parametrize("status", [256, 1 << 31])
def test_a_status_no_process_can_have_is_a_failure(launcher: Launcher, status: int) -> None:
    with StandIn(launcher.socket, serve(status)):
        assert launcher.run("ADD").status == 1


def test_arguments_and_whitelisted_variables_are_handed_over(launcher: Launcher) -> None:
    seen = Seen()
    with StandIn(launcher.socket, seen):
        launcher.run("ADD", CNI_ARGS="a=b;c", AWS_KEY="x", TRACEPARENT="00-1", CNISDK_X="y")

    assert seen.request.argv == (str(launcher.path),)
    assert seen.request.environ == {
        **launcher.environ("ADD"),
        "CNI_ARGS": "a=b;c",
        "TRACEPARENT": "00-1",
    }


def test_variables_need_not_be_text(launcher: Launcher) -> None:
    seen = Seen()
    with StandIn(launcher.socket, seen):
        launcher.run("ADD", CNI_ARGS=os.fsdecode(b"\xff\xfe=\n"))

    assert seen.request.environ["CNI_ARGS"] == os.fsdecode(b"\xff\xfe=\n")


@pytest.mark.parametrize("size", [0, 100, 1 << 16, (1 << 20) + 1])
def test_stdin_arrives_whole_and_needs_no_waiting(launcher: Launcher, size: int) -> None:
    seen = Seen()
    with StandIn(launcher.socket, seen):
        launcher.run("ADD", stdin=b"x" * size)

    assert seen.stdin == b"x" * size


def test_of_a_stdin_without_end_no_more_is_read_than_is_refused(launcher: Launcher) -> None:
    seen = Seen()
    with StandIn(launcher.socket, seen), open("/dev/zero", "rb") as zero:
        subprocess.run([launcher.path], env=launcher.environ("ADD"), stdin=zero, check=True)

    assert len(seen.stdin) == (4 << 20) + 1


def test_the_callers_network_namespace_is_handed_over(launcher: Launcher) -> None:
    seen = Seen()
    with StandIn(launcher.socket, seen):
        code = 'stat -Lc %i /proc/self/ns/net; exec "$0"'
        outcome = launcher.run("ADD", argv=["unshare", "-n", "sh", "-c", code])

    assert seen.inodes[Descriptor.CALLER_NETNS] == int(outcome.stdout)
    assert Descriptor.CNI_NETNS not in seen.request.descriptors


@pytest.fixture
def netns() -> Iterator[str]:
    name = f"launcher-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "delete", name], check=True)


def test_the_containers_network_namespace_is_handed_over(launcher: Launcher, netns: str) -> None:
    seen = Seen()
    with StandIn(launcher.socket, seen):
        launcher.run("ADD", CNI_NETNS=netns)

    assert seen.inodes[Descriptor.CNI_NETNS] == os.stat(netns).st_ino


@pytest.mark.parametrize("what", ["missing", "file", "fifo", "directory", "device", "socket"])
def test_a_cni_netns_that_is_none_is_left_to_the_agent(launcher: Launcher, what: str) -> None:
    path = launcher.directory / "netns"
    if what == "file":
        path.write_text("x")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "device":
        path = Path("/dev/zero")
    elif what == "socket":
        path = launcher.socket
    seen = Seen()
    with StandIn(launcher.socket, seen):
        outcome = launcher.run("DEL", CNI_NETNS=str(path))

    assert outcome.status == 0
    assert Descriptor.CNI_NETNS not in seen.request.descriptors
    assert seen.request.environ["CNI_NETNS"] == str(path)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_streams_that_were_closed_are_not_handed_over(
    launcher: Launcher, closed: tuple[int, ...]
) -> None:
    seen = Seen()
    redirections = "".join(f" {fd}>&-" for fd in closed)
    with StandIn(launcher.socket, seen):
        code = f'exec "$0"{redirections}'
        outcome = launcher.run("ADD", argv=["sh", "-c", code])

    expected = Descriptor(15)
    for fd in closed:
        expected &= ~Descriptor(1 << fd)
    assert outcome.status == 0
    assert seen.request.descriptors == expected
    assert seen.stdin == (b"" if 0 in closed else CONFIG)


def test_the_one_call_finds_streams_that_were_closed(launcher: Launcher) -> None:
    code = "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >%s; ls /proc/self/fd >>%s"
    result = launcher.directory / "result"
    code = code.replace("%s", str(result))
    launcher.write([("mode", "exec"), ("exec", "/bin/sh"), ("arg", "-c"), ("arg", code)])
    launcher.run("", argv=["sh", "-c", 'exec "$0" <&- >&- 2>&-'], env={"PATH": "/usr/bin:/bin"})

    lines = result.read_text().split()
    assert lines[0] == "/dev/null"
    assert lines[2] == "/dev/null"
    assert lines[3:] == ["0", "1", "2", "3"]  # ls itself opens 3


def test_nothing_but_the_three_streams_reaches_the_one_call(launcher: Launcher) -> None:
    launcher.write([("mode", "exec"), ("exec", "/bin/ls"), ("arg", "/proc/self/fd")])
    with StandIn(launcher.socket, refuse(Reason.BUSY)):
        outcome = launcher.run("ADD")

    assert outcome.stdout.split() == [b"0", b"1", b"2", b"3"]


def test_the_variable_names_another_socket(launcher: Launcher) -> None:
    other = launcher.directory / "other.sock"
    with StandIn(other, serve()):
        outcome = launcher.run("ADD", CNISDK_SOCKET=str(other))

    assert outcome.stdout == b"from the agent\n"


def test_what_the_agent_logs_is_on_stderr(launcher: Launcher) -> None:
    def behave(connection: Connection) -> None:
        connection.receive()
        connection.begin()
        os.write(connection.descriptors[Descriptor.STDERR], b"log\n" * 10_000)
        connection.finish(0)

    with StandIn(launcher.socket, behave):
        assert launcher.run("DEL") == (0, b"", b"log\n" * 10_000)


def test_a_runtime_that_does_not_read_holds_up_the_launcher_only(launcher: Launcher) -> None:
    finished = threading.Event()

    def behave(connection: Connection) -> None:
        serve(0, b"x" * 300_000)(connection)
        finished.set()

    with StandIn(launcher.socket, behave):
        process = start(launcher, stdout=subprocess.PIPE)
        assert finished.wait(10)
        out, _ = process.communicate(timeout=10)

    assert out == b"x" * 300_000


# -- without an agent -------------------------------------------------------------------------


def assert_one_call(launcher: Launcher, outcome: tuple[int, bytes, bytes], why: bytes) -> None:
    status, stdout, stderr = outcome
    assert (status, stdout) == (0, b"bridge:" + CONFIG)
    assert why in stderr
    assert launcher.one_calls == 1


def test_no_socket_is_one_call_at_once_and_without_a_word(launcher: Launcher) -> None:
    launcher.with_fallback()
    outcome = launcher.run("ADD")

    assert_one_call(launcher, outcome, b"")
    assert outcome.stderr == b""


def test_a_socket_nobody_listens_on_is_one_call_at_once(launcher: Launcher) -> None:
    launcher.with_fallback()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(launcher.socket))
    outcome = launcher.run("ADD")

    assert_one_call(launcher, outcome, b"")
    assert outcome.stderr == b""


@pytest.mark.parametrize("reason", Reason)
def test_a_refused_call_is_one_call(launcher: Launcher, reason: Reason) -> None:
    launcher.with_fallback()
    with StandIn(launcher.socket, refuse(reason)):
        outcome = launcher.run("ADD")

    assert_one_call(launcher, outcome, b"refused the call, reason " + reason.value)


def test_an_agent_that_speaks_something_else_is_one_call(launcher: Launcher) -> None:
    def behave(connection: Connection) -> None:
        connection.receive()
        connection.sock.sendall(b"HTTP/1.1 400 Bad Request")

    launcher.with_fallback()
    with StandIn(launcher.socket, behave):
        outcome = launcher.run("ADD")

    assert_one_call(launcher, outcome, b"no agent of ours")


def test_an_agent_that_closes_at_once_is_one_call(launcher: Launcher) -> None:
    launcher.with_fallback()
    with StandIn(launcher.socket, lambda connection: None):
        outcome = launcher.run("ADD")

    assert_one_call(launcher, outcome, b"cnisdk: the agent ")


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_a_silent_agent_is_one_call_and_does_not_begin_later(
    launcher: Launcher, command: str
) -> None:
    ended = threading.Event()
    begun: list[bool] = []

    def behave(connection: Connection) -> None:
        connection.receive()  # and with it the descriptors, which must not hold up the runtime
        ended.wait(10)
        begun.append(connection.begin())

    launcher.with_fallback(("patience-ms", "60"))
    with StandIn(launcher.socket, behave):
        outcome = launcher.run(command)
        ended.set()

    assert_one_call(launcher, outcome, b"did not answer within 60 ms")
    assert begun == [False]


def test_an_agent_that_does_not_read_is_one_call(launcher: Launcher) -> None:
    """The request is larger than a socket's buffer, so sending it never ends by itself."""
    launcher.with_fallback(("patience-ms", "60"))
    ended = threading.Event()
    variables = {f"CNI_X{n}": "x" * 100_000 for n in range(9)}
    with StandIn(launcher.socket, lambda connection: ended.wait(10)):
        outcome = launcher.run("ADD", big=variables)
        ended.set()

    assert_one_call(launcher, outcome, b"does not take the call")


def test_an_agent_with_a_full_backlog_is_one_call(launcher: Launcher) -> None:
    launcher.with_fallback(("patience-ms", "60"))
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(launcher.socket))
        listener.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(str(launcher.socket))
        outcome = launcher.run("ADD")

    assert_one_call(launcher, outcome, b"Resource temporarily unavailable")


@pytest.mark.parametrize("patience", ["0", "1"])
def test_a_call_is_done_exactly_once_however_close_the_race(
    launcher: Launcher, patience: str
) -> None:
    begun = 0

    def behave(connection: Connection) -> None:
        nonlocal begun
        if connection.receive() is not None and connection.begin():
            begun += 1
            # The launcher may have shut down since; it still waits for this.
            connection.finish(0)

    launcher.with_fallback(("patience-ms", patience))
    with StandIn(launcher.socket, behave):
        outcomes = [launcher.run("ADD") for _ in range(20)]

    assert [outcome.status for outcome in outcomes] == [0] * 20
    assert begun + launcher.one_calls == 20


def test_a_launcher_that_lost_patience_too_late_waits_on(launcher: Launcher) -> None:
    """'A' comes between losing patience and looking once more: the agent begins, and it alone."""
    require(shutil.which("strace"), "strace")
    poll = 1 if launcher.base.startswith(b"#!") else 2  # which one waits for the first byte
    inject = [f"inject=poll:retval=0:when={poll}", "inject=shutdown:delay_enter=200000"]
    launcher.with_fallback()
    with StandIn(launcher.socket, serve(3)):
        strace = ["strace", "-o", "/dev/null", "-e", inject[0], "-e", inject[1]]
        outcome = launcher.run("ADD", argv=strace)

    assert outcome == (3, b"from the agent\n", b"")
    assert launcher.one_calls == 0


def test_a_call_the_agent_saw_withdrawn_after_accepting_is_one_call(launcher: Launcher) -> None:
    def behave(connection: Connection) -> None:
        connection.receive()
        connection.sock.sendall(protocol.ACCEPTED + protocol.encode_refusal(Reason.WITHDRAWN))

    launcher.with_fallback()
    with StandIn(launcher.socket, behave):
        outcome = launcher.run("ADD")

    assert_one_call(launcher, outcome, b"reason w")


def test_an_agent_that_dies_during_add_is_an_error(launcher: Launcher) -> None:
    launcher.with_fallback()
    with StandIn(launcher.socket, die()):
        outcome = launcher.run("ADD")

    assert outcome.status == 1
    assert json.loads(outcome.stdout) == {
        "cniVersion": "1.0.0",
        "code": 11,
        "msg": "the agent stopped",
        "details": "the agent stopped while it served the call",
    }
    assert launcher.one_calls == 0


@pytest.mark.parametrize("command", REPEATABLE)
def test_what_may_be_repeated_is_one_call_with_all_of_stdin(
    launcher: Launcher, command: str
) -> None:
    launcher.with_fallback()
    with StandIn(launcher.socket, die()):
        outcome = launcher.run(command)

    assert_one_call(launcher, outcome, b"the agent stopped")


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_an_agent_that_never_finishes_is_an_error(launcher: Launcher, command: str) -> None:
    ended = threading.Event()

    def behave(connection: Connection) -> None:
        connection.receive()
        connection.begin()
        ended.wait(10)

    launcher.with_fallback(("limit-ms", "60"))
    with StandIn(launcher.socket, behave):
        outcome = launcher.run(command)
        ended.set()

    assert json.loads(outcome.stdout)["code"] == 11
    assert b"within 60 ms" in outcome.stdout
    assert launcher.one_calls == 0


def test_variables_that_are_too_large_are_one_call(launcher: Launcher) -> None:
    launcher.with_fallback()
    variables = {f"CNI_X{n}": "x" * 110_000 for n in range(10)}
    with StandIn(launcher.socket, serve()):
        outcome = launcher.run("ADD", big=variables)

    assert_one_call(launcher, outcome, b"larger than 1048576 bytes")


def test_a_path_no_socket_can_have_is_one_call(launcher: Launcher) -> None:
    launcher.with_fallback()
    outcome = launcher.run("ADD", CNISDK_SOCKET="/" + "x" * 200)

    assert_one_call(launcher, outcome, b"path")


def test_a_socket_of_somebody_else_gets_nothing(launcher: Launcher) -> None:
    """In a user namespace that does not know us, we are somebody else."""
    received: list[bytes] = []

    def behave(connection: Connection) -> None:
        received.append(connection.sock.recv(100))

    launcher.with_fallback()
    launcher.directory.chmod(0o755)
    with StandIn(launcher.socket, behave):
        outcome = launcher.run("ADD", argv=["unshare", "--user"])

    assert_one_call(launcher, outcome, b"belongs to uid 65534")
    assert received == [b""]


# -- signals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_launcher_and_the_agent_sees_it(
    launcher: Launcher, signum: signal.Signals
) -> None:
    accepted, gone = threading.Event(), threading.Event()

    def behave(connection: Connection) -> None:
        connection.receive()
        connection.begin()
        accepted.set()
        poll = select.poll()
        poll.register(connection.sock, 0)
        if poll.poll(10_000)[0][1] & select.POLLHUP:
            gone.set()

    with StandIn(launcher.socket, behave):
        process = start(launcher)
        accepted.wait(10)
        process.send_signal(signum)
        status = process.wait(10)

    assert status == -signum
    assert gone.is_set()


def test_being_stopped_and_continued_does_no_harm(launcher: Launcher) -> None:
    """SIGCONT ends poll(2) with EINTR."""
    accepted, go_on = threading.Event(), threading.Event()

    def behave(connection: Connection) -> None:
        connection.receive()
        connection.begin()
        accepted.set()
        go_on.wait(10)
        connection.finish(5)

    with StandIn(launcher.socket, behave):
        process = start(launcher)
        accepted.wait(10)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        process.send_signal(signal.SIGCONT)
        go_on.set()
        status = process.wait(10)

    assert status == 5


@pytest.mark.parametrize("command", ["ADD", "VERSION"])
def test_a_stdout_nobody_reads_does_not_kill(launcher: Launcher, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [launcher.path],
            env=launcher.environ(command),
            input=CONFIG,
            stdout=writing,
            check=False,
        )
    finally:
        os.close(writing)

    assert done.returncode == 1


def test_the_one_call_has_sigpipe_as_usual(launcher: Launcher) -> None:
    path = launcher.write(
        [("mode", "exec"), ("exec", "/bin/grep"), ("arg", "SigIgn"), ("arg", "/proc/self/status")]
    )
    done = subprocess.run([path], env={}, capture_output=True, check=True)

    assert int(done.stdout.split()[1], 16) & 1 << (signal.SIGPIPE - 1) == 0


def start(launcher: Launcher, stdout: int | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [launcher.path],
        env=launcher.environ("ADD"),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
    )


def test_a_burst_of_launchers_is_served(launcher: Launcher) -> None:
    with StandIn(launcher.socket, serve(9, b"")):
        processes = [start(launcher) for _ in range(16)]
        statuses = [process.wait(10) for process in processes]

    assert statuses == [9] * 16
