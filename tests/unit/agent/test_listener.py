"""The socket is made where nobody else can put one."""

import os
import socket
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
