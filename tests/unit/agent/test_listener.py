"""The socket is made where nobody else can put one."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cnisdk.agent.listener import UnsafeDirectoryError, open_listener


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    directory.chmod(mode)

    with pytest.raises(UnsafeDirectoryError, match=f"{mode:04o}"):
        open_listener(str(directory / "agent.sock"))


def test_a_link_to_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "safe").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "safe")

    with pytest.raises(UnsafeDirectoryError, match="no directory"):
        open_listener(str(tmp_path / "run" / "agent.sock"))


def test_anothers_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(UnsafeDirectoryError, match="belongs to uid 0"):
        open_listener(str(tmp_path / "run" / "agent.sock"))


def test_directories_are_made_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "agent.sock"
    listener = open_listener(str(path))
    try:
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
    finally:
        listener.sock.close()
        os.close(listener.lock_fd)


def test_an_agent_in_a_directory_below_keeps_none_above_from_starting(tmp_path: Path) -> None:
    below = open_listener(str(tmp_path / "run" / "mine" / "agent.sock"))
    above = open_listener(str(tmp_path / "run" / "agent.sock"))

    assert above.sock.getsockname() == str(tmp_path / "run" / "agent.sock")
    for listener in (below, above):
        listener.sock.close()
        os.close(listener.lock_fd)


def test_a_second_listener_waits_for_nothing_and_fails(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "agent.sock")
    first = open_listener(path)
    with pytest.raises(OSError, match="an agent has this socket already"):
        open_listener(path)
    first.sock.close()
    os.close(first.lock_fd)  # as the end of its process does
    second = open_listener(path)

    assert second.sock.getsockname() == path
    second.sock.close()
    os.close(second.lock_fd)


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")

    with pytest.raises(UnsafeDirectoryError, match="is no directory"):
        open_listener(str(tmp_path / "run" / "agent.sock"))


# -- sockets of a service manager ----------------------------------------------------------------

PASSED = """\
import os, sys
from cnisdk.agent.listener import open_listener
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
try:
    listener = open_listener("/nonexistent/agent.sock")
except OSError as err:
    print(err.errno, flush=True)
else:
    print("locked" if listener.lock_fd >= 0 else "not locked", flush=True)
sys.stdin.read()
"""


class Passed:
    """A listening socket, and an agent's process that it was passed to."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(path)
        self.sock.listen()

    def start(self) -> "subprocess.Popen[str]":
        fd = self.sock.fileno()
        return subprocess.Popen(
            [sys.executable, "-c", PASSED, str(fd)],
            pass_fds=[fd],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        with self.start() as process:
            return process.communicate("", timeout=30)[0].strip()


def test_an_agent_by_hand_does_not_take_the_socket_of_one_that_was_passed_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    path = str(tmp_path / "run" / "agent.sock")
    passed = Passed(path)
    with passed.start() as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        with pytest.raises(OSError, match="an agent has this socket already") as caught:
            open_listener(path)
        process.communicate("", timeout=30)

    assert (said, caught.value.errno) == ("locked\n", errno.EADDRINUSE)
    passed.sock.close()


@pytest.mark.parametrize("backlog", [0, 5])
def test_a_socket_that_somebody_listens_on_without_a_lock_is_left_alone(
    tmp_path: Path, backlog: int
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    path = str(tmp_path / "run" / "agent.sock")
    passed = Passed(path)
    passed.sock.listen(backlog)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(path)
        with pytest.raises(OSError, match="somebody listens") as caught:
            open_listener(path)

    assert caught.value.errno == errno.EADDRINUSE
    passed.sock.close()
    listener = open_listener(path)  # nothing was left locked
    listener.sock.close()
    os.close(listener.lock_fd)


def test_who_is_passed_a_socket_that_an_agent_has_ends(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"
    first = open_listener(str(path))
    path.unlink()  # as systemd does before it binds
    passed = Passed(str(path))

    assert passed.says() == str(errno.EADDRINUSE)
    passed.sock.close()
    first.sock.close()
    os.close(first.lock_fd)


@pytest.mark.parametrize("why", ["abstract", "open to others", "gone"])
def test_where_no_agent_can_be_started_by_hand_a_passed_socket_needs_no_lock(
    tmp_path: Path, why: str
) -> None:
    directory = tmp_path / "run"
    directory.mkdir(mode=0o755 if why == "open to others" else 0o700)
    passed = Passed(f"\0{directory}" if why == "abstract" else str(directory / "agent.sock"))
    if why == "gone":
        (directory / "agent.sock").unlink()
        directory.rmdir()

    assert passed.says() == "not locked"
    passed.sock.close()
