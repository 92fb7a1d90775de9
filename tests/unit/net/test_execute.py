"""Executing programs: their streams, their end, and what a cancelled hook does to them."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cnisdk import cancel
from cnisdk.net import execute
from cnisdk.net.execute import Completed, ExecutionError, run, tool

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENV = {"PATH": PATH}


def shell(script: str, *, stdin: bytes = b"", timeout: float | None = 20) -> Completed:
    return run(["sh", "-c", script], env=ENV, stdin=stdin, timeout=timeout)


@pytest.fixture(params=["posix_spawn", "subprocess"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "_pidfd", request.param == "posix_spawn")


@pytest.fixture(autouse=True)
def _nothing_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    children: list[int] = []
    spawn = os.posix_spawn

    def recording(*args: Any, **kwargs: Any) -> int:
        children.append(spawn(*args, **kwargs))
        return children[-1]

    monkeypatch.setattr(os, "posix_spawn", recording)
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) == len(before)
    for pid in children:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@pytest.mark.usefixtures("either")
def test_streams_and_status_come_back() -> None:
    assert shell("cat; echo failed >&2; exit 3", stdin=b"in") == Completed(3, b"in", b"failed\n")


@pytest.mark.usefixtures("either")
def test_a_signal_is_a_negative_status() -> None:
    assert shell("kill -KILL $$").status == -signal.SIGKILL


@pytest.mark.usefixtures("either")
def test_megabytes_pass_both_ways_without_deadlock() -> None:
    data = os.urandom(1 << 20) * 4
    assert run(["cat"], env=ENV, stdin=data, timeout=20).stdout == data


@pytest.mark.usefixtures("either")
def test_a_child_need_not_read_its_stdin() -> None:
    assert shell("exec <&-; echo done", stdin=b"x" * 1_000_000).stdout == b"done\n"


@pytest.mark.usefixtures("either")
def test_stderr_goes_to_a_descriptor_while_the_child_runs() -> None:
    reading, writing = os.pipe()
    try:
        done = run(["sh", "-c", "echo log >&2"], env=ENV, stderr_fd=writing)
        assert done == Completed(0, b"", b"")
        assert os.read(reading, 16) == b"log\n"
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.usefixtures("either")
def test_the_environment_is_the_one_given_and_no_other() -> None:
    assert run(["/usr/bin/env"], env={"A": "1"}).stdout == b"A=1\n"


@pytest.mark.usefixtures("either")
def test_an_unknown_program_is_not_found() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        run(["no-such-program"], env=ENV)


@pytest.mark.usefixtures("either")
def test_a_file_that_is_no_program_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        run([str(tmp_path / "text")], env=ENV)


@pytest.mark.usefixtures("either")
def test_a_child_that_takes_too_long_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="sleep"):
        run(["sleep", "30"], env=ENV, timeout=0.05)
    assert time.monotonic() - start < 10


def test_what_a_child_leaves_running_is_not_waited_for() -> None:
    done = shell("sleep 2 & echo $!", timeout=1)
    assert done.status == 0
    os.kill(int(done.stdout), signal.SIGKILL)


def test_a_child_has_default_signals_and_none_of_our_descriptors() -> None:
    kept = os.open("/dev/null", os.O_RDONLY)
    try:
        said = shell("grep -E 'Sig(Blk|Ign)' /proc/self/status; echo /proc/$$/fd/*").stdout
    finally:
        os.close(kept)
    _, blocked, _, ignored, *fds = said.split()
    assert int(blocked, 16) == 0
    assert not int(ignored, 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)
    assert str(kept).encode() not in [os.path.basename(fd) for fd in fds]


def test_a_tool_that_fails_is_an_error_with_its_own_words() -> None:
    with pytest.raises(ExecutionError, match=r"^sh: out of luck$"):
        tool(["sh", "-c", "echo out of luck >&2; exit 1"], search_path=PATH)
    with pytest.raises(ExecutionError, match=r"^sh: exit status 7$"):
        tool(["sh", "-c", "exit 7"], search_path=PATH)


def test_a_hook_cancelled_from_another_thread_ends_its_child() -> None:
    token = cancel.Token()
    timer = threading.Timer(0.05, token.cancel, ["the caller went away"])
    timer.start()
    with cancel.cancellable(token), pytest.raises(cancel.Cancelled, match="went away"):
        run(["sleep", "30"], env=ENV)
    timer.join()


def test_a_cancelled_hook_executes_nothing_more(tmp_path: Path) -> None:
    token = cancel.Token()
    token.cancel("stop")
    with cancel.cancellable(token), pytest.raises(cancel.Cancelled):
        run(["touch", str(tmp_path / "made")], env=ENV)
    assert not list(tmp_path.iterdir())


def test_undoing_executes_what_it_needs_in_a_cancelled_hook() -> None:
    token = cancel.Token()
    token.cancel("stop")
    with cancel.cancellable(token), cancel.shielded():
        assert shell("echo undone").stdout == b"undone\n"


def test_a_signal_handler_may_end_the_wait_and_the_child_may_undo(tmp_path: Path) -> None:
    token = cancel.Token()

    def stop(signum: int, _: object) -> None:
        token.cancel(signal.Signals(signum).name)
        if token.interruptible:
            token.check()

    undo = f"trap 'echo undone >{tmp_path}/undone; exit' TERM; kill -USR1 {os.getpid()}; "
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with cancel.cancellable(token), pytest.raises(cancel.Cancelled, match="SIGUSR1"):
            shell(undo + "while :; do sleep 0.05; done")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (tmp_path / "undone").read_text() == "undone\n"


def test_a_child_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "_GRACE", 0.1)
    with pytest.raises(TimeoutError):
        shell("trap '' TERM; while :; do sleep 0.05; done", timeout=0.1)


def test_threads_do_not_mix_up_their_children() -> None:
    def echo(number: int) -> bytes:
        return run(["cat"], env=ENV, stdin=b"%d" % number * 1000, timeout=20).stdout

    with ThreadPoolExecutor(8) as pool:
        for number, output in enumerate(pool.map(echo, range(100))):
            assert output == b"%d" % number * 1000


@pytest.mark.parametrize("closed", ["0", "0, 1", "0, 1, 2", "2"])
def test_closed_standard_streams_are_no_trouble(closed: str, tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import os
        from cnisdk.net.execute import run
        for fd in ({closed},):
            os.close(fd)
        done = run(["/bin/sh", "-c", "cat; echo err >&2"], env={{}}, stdin=b"in", timeout=20)
        with open({str(tmp_path / "done")!r}, "w") as file:
            file.write(repr(tuple(done)))
    """)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "done").read_text() == "(0, b'in', b'err\\n')"


def test_an_ignored_sigchld_loses_the_status_and_says_so() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(ChildProcessError, match="SIGCHLD"):
            run(["true"], env=ENV)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_subprocess_is_not_imported() -> None:
    code = "import sys; from cnisdk.net.execute import run; run(['true'], env={'PATH': '/bin'}); "
    code += "sys.exit(bool({'subprocess', 'logging', 'selectors', 'hashlib'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
