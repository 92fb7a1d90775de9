"""Clients and hooks that do what they must not: others are served on, and the log names them."""

import contextlib
import fcntl
import os
import resource
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cnisdk.agent import protocol
from cnisdk.agent.protocol import Descriptor, Reason, Request
from tests.host import Container, Host
from tests.netns.agent.agents import TIMEOUT, RunningAgent, eventually

ALL = Descriptor.STDIN | Descriptor.STDOUT | Descriptor.STDERR | Descriptor.CALLER_NETNS


@pytest.fixture
def container(host: Host) -> Container:
    return host.container()


@pytest.fixture(autouse=True)
def _serves_on(agent: RunningAgent, host: Host, container: Container) -> Iterator[None]:
    """Whatever a test did: no descriptor is left open, and calls are served."""
    behaves(agent, host, container)
    before = agent.fds()
    yield
    behaves(agent, host, container)
    eventually(lambda: agent.fds() <= before, "descriptors were leaked")
    assert agent.process.poll() is None


def misbehaving(odd: str) -> dict[str, Any]:
    return {"cniVersion": "1.1.0", "name": "net", "type": "misbehaving", "odd": odd}


def behaves(agent: RunningAgent, host: Host, container: Container) -> None:
    """A legitimate call is served by the agent, and not by its launcher alone."""
    outcome = agent.call(host, "misbehaving", "ADD", misbehaving("behave"), container)
    assert outcome.status == 0, outcome


def memfd(data: bytes = b"") -> int:
    fd = os.memfd_create("test")
    os.write(fd, data)
    return fd


def send(sock: socket.socket, data: bytes, fds: Sequence[int] = ()) -> None:
    """Send a request, as far as the agent takes it."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sent = protocol.send_fds(sock, data, fds)
        if sent < len(data):
            sock.sendall(data[sent:])
    for fd in fds:
        os.close(fd)


def request(command: str = "STATUS", *, name: str = "misbehaving", pad: int = 0) -> bytes:
    environ = {"CNI_COMMAND": command, "CNI_PATH": "x" * pad}
    return protocol.encode_request(Request((name,), environ, ALL))


def streams() -> list[int]:
    stdin = b'{"cniVersion": "1.1.0", "name": "net", "type": "misbehaving"}'
    netns = os.open("/proc/self/ns/net", os.O_RDONLY)
    return [memfd(stdin), memfd(), memfd(), netns]


def answer(sock: socket.socket) -> bytes:
    """Return all that the agent says before it hangs up."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(100):
            said += data
    return said


def refusal(reason: Reason) -> bytes:
    return protocol.encode_refusal(reason)


def is_named(agent: RunningAgent, why: str, since: int) -> None:
    agent.log.wait("refused a client", since=since, pid=os.getpid(), uid=0, why=why)


# -- requests --------------------------------------------------------------------------------


def test_a_well_formed_request_is_served(agent: RunningAgent) -> None:
    with agent.connect() as sock:
        send(sock, request(), streams())

        assert answer(sock) == protocol.ACCEPTED + protocol.encode_status(0)


def test_a_request_may_come_byte_by_byte(agent: RunningAgent) -> None:
    data = request()
    with agent.connect() as sock:
        send(sock, data[:1], streams())
        for byte in data[1:]:
            sock.sendall(bytes([byte]))

        assert answer(sock) == protocol.ACCEPTED + protocol.encode_status(0)


@pytest.mark.parametrize(
    ("data", "reason", "why"),
    [
        (b"GET / HTTP/1.1\r\n", Reason.MALFORMED, "begins with b'GET ', not b'CNIA'"),
        (bytes(range(7, 247, 15)), Reason.MALFORMED, None),
        (
            struct.pack("<4sIII", b"CNIA", 2, 10, 15),
            Reason.VERSION,
            "protocol version 2, 1 is spoken",
        ),
        (
            struct.pack("<4sIII", b"CNIA", 1, (1 << 20) + 1, 15),
            Reason.MALFORMED,
            "payload of 1048577 bytes, at most 1048576 are allowed",
        ),
        (
            struct.pack("<4sIII", b"CNIA", 1, 10, 1 << 5),
            Reason.MALFORMED,
            "unknown descriptors in mask 0x20",
        ),
        (
            struct.pack("<4sIII4s", b"CNIA", 1, 4, 0, b"\xff\xff\xff\xff"),
            Reason.MALFORMED,
            "4294967295 arguments announced, 0 strings follow",
        ),
    ],
)
def test_what_is_no_request_is_refused(
    agent: RunningAgent, data: bytes, reason: Reason, why: str | None
) -> None:
    since = len(agent.log.lines)
    with agent.connect() as sock:
        sock.sendall(data)

        assert answer(sock) == refusal(reason)
    if why is not None:
        is_named(agent, why, since)


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 30])
def test_a_truncated_request_is_dropped(agent: RunningAgent, cut: int) -> None:
    since = len(agent.log.lines)
    with agent.connect() as sock:
        if cut:
            send(sock, request()[:cut], streams())
        sock.shutdown(socket.SHUT_WR)

        assert answer(sock) == refusal(Reason.MALFORMED)
    is_named(agent, "hung up before its request was whole", since)


def test_a_silent_client_is_dropped_in_time(agent: RunningAgent) -> None:
    since = len(agent.log.lines)
    with agent.connect() as sock:
        assert answer(sock) == refusal(Reason.BUSY)
    is_named(agent, "sent no whole request in time", since)


def test_an_unknown_plugin_is_refused(agent: RunningAgent) -> None:
    since = len(agent.log.lines)
    with agent.connect() as sock:
        send(sock, request(name="/opt/cni/bin/nonsense"), streams())

        assert answer(sock) == refusal(Reason.UNKNOWN_PLUGIN)
    is_named(agent, "asks for plugin 'nonsense'", since)


def test_a_whole_large_request_is_served(agent: RunningAgent) -> None:
    with agent.connect() as sock:
        send(sock, request(pad=1_000_000), streams())

        assert answer(sock) == protocol.ACCEPTED + protocol.encode_status(0)


def hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


# -- descriptors -----------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_stream_that_could_block_is_refused(agent: RunningAgent, which: int) -> None:
    since = len(agent.log.lines)
    fds = streams()
    read, write = os.pipe()
    os.close(fds[which])
    fds[which] = read if which == 0 else write
    with agent.connect() as sock:
        send(sock, request(), fds)

        assert answer(sock) == refusal(Reason.MALFORMED)
    is_named(agent, f"{('STDIN', 'STDOUT', 'STDERR')[which]} is no memfd", since)
    os.close(write if which == 0 else read)


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/ns/mnt", "/proc/self/ns/user", "/"])
def test_a_host_that_is_no_network_namespace_is_refused(agent: RunningAgent, path: str) -> None:
    fds = streams()
    os.close(fds[3])
    fds[3] = os.open(path, os.O_RDONLY)
    with agent.connect() as sock:
        send(sock, request(), fds)

        assert answer(sock) == refusal(Reason.FORBIDDEN)


@pytest.mark.parametrize("count", [0, 3, 5, 200])
def test_another_number_of_descriptors_is_refused(agent: RunningAgent, count: int) -> None:
    since = len(agent.log.lines)
    with agent.connect() as sock:
        send(sock, request(), [memfd() for _ in range(count)])

        assert answer(sock) == refusal(Reason.MALFORMED)
    assert agent.log.wait("refused a client", since=since)["pid"] == os.getpid()


def test_descriptors_with_every_byte_are_refused(agent: RunningAgent) -> None:
    with agent.connect() as sock:
        for byte in request():
            send(sock, bytes([byte]), streams())

        assert answer(sock) == refusal(Reason.MALFORMED)


def test_a_sealed_stdout_fails_the_add_and_undoes_it(agent: RunningAgent, host: Host) -> None:
    notes = host.state / "notes"
    fds = streams()
    config = b'{"cniVersion": "1.1.0", "name": "n", "type": "slow", "journal": "%s"}'
    os.pwrite(fds[0], config % os.fsencode(notes) + b" " * 60, 0)
    os.close(fds[1])
    fds[1] = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fds[1], fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    environ = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0"}
    environ["CNI_NETNS"] = "/somewhere"
    wanted = ALL | Descriptor.CNI_NETNS
    os.close(fds[3])
    fds[3] = os.open(host.path, os.O_RDONLY)
    fds.append(os.open(host.container().path, os.O_RDONLY))
    with agent.connect() as sock:
        send(sock, protocol.encode_request(Request(("slow",), environ, wanted)), fds)

        assert answer(sock) == protocol.ACCEPTED + protocol.encode_status(1)
    assert [line.split()[0] for line in notes.read_text().splitlines()] == [
        "ADD",
        "ADDED",
        "undone",
    ]


# -- hooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ("throw", "ZeroDivisionError: thrown"),
        ("exit", "SystemExit: 0"),
        ("panic", "BaseException: panic"),
        ("recurse", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_a_hook_that_throws_anything_answers_an_error(
    agent: RunningAgent, host: Host, container: Container, odd: str, text: str
) -> None:
    outcome = agent.call(host, "misbehaving", "ADD", misbehaving(odd), container)

    assert (outcome.status, outcome.json["code"]) == (1, 999)
    assert text in outcome.json["msg"]
    assert "Traceback" in outcome.stderr


def test_what_a_hook_prints_is_no_answer(
    agent: RunningAgent, host: Host, container: Container
) -> None:
    outcome = agent.call(host, "misbehaving", "ADD", misbehaving("chatter"), container)

    assert outcome.json["interfaces"][0]["name"] == "eth0"
    eventually(lambda: {"chatter\n", "more chatter\n"} <= set(agent.log.other))


def test_a_hook_that_strays_costs_its_thread(
    agent: RunningAgent, host: Host, container: Container
) -> None:
    since = len(agent.log.lines)
    for _ in range(3):
        outcome = agent.call(host, "misbehaving", "ADD", misbehaving("stray"), container)
        assert outcome.status == 0
    line = agent.log.wait("a thread is given up", count=3, since=since)

    assert "left the host's network namespace" in line["why"]
    assert Path(f"/proc/{agent.process.pid}/ns/net").readlink() in {
        Path(f"/proc/{agent.process.pid}/task/{task}/ns/net").readlink()
        for task in os.listdir(f"/proc/{agent.process.pid}/task")
    }


# -- many ------------------------------------------------------------------------------------


def test_a_thousand_silent_connections_do_not_keep_calls_from_being_served(
    agent: RunningAgent, host: Host, container: Container
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    since = len(agent.log.lines)
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            stack.enter_context(agent.connect())
            if number % 100 == 0:
                behaves(agent, host, container)
        agent.log.wait("refused a client", since=since, why="one of too many silent connections")
        lines = agent.log.find("refused a client", since=since)
        behaves(agent, host, container)

    assert {line["pid"] for line in lines} == {os.getpid()}
    assert len(lines) < 200


def test_a_runtime_that_reads_no_answer_holds_up_nobody(
    agent: RunningAgent, host: Host, container: Container
) -> None:
    """Its launcher waits for it, the agent does not."""
    launcher = agent.begin(host, "misbehaving", "ADD", misbehaving("flood"), container)
    since = len(agent.log.lines)
    agent.log.wait("call ok", since=max(0, since - 50), plugin="misbehaving")
    for _ in range(3):
        behaves(agent, host, container)
    stdout, stderr = launcher.communicate(timeout=TIMEOUT)

    assert launcher.returncode == 0
    assert b"eth0" in stdout
    assert len(stderr) <= 1 << 20


def test_large_requests_are_bounded_in_number(agent: RunningAgent) -> None:
    before = agent.resident()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(agent.connect()) for _ in range(60)]
        for client in clients:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                send(client, request(pad=900_000)[:-1])
        eventually(lambda: sum(map(hung_up, clients)) >= 20, "large requests are refused")

        assert agent.resident() - before < 100 << 20
