import fcntl
import os
import threading
from pathlib import Path

import pytest

from cni_host_local.lock import Lock
from cnisdk import cancel


def _take(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _is_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def test_the_lock_file_is_the_go_plugins(tmp_path: Path) -> None:
    with Lock(str(tmp_path)):
        held = _is_locked(tmp_path / "lock")

    assert held
    assert not _is_locked(tmp_path / "lock")
    assert (tmp_path / "lock").read_bytes() == b""
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o750


def test_a_waiting_thread_goes_on_when_the_holder_is_done(tmp_path: Path) -> None:
    holder = _take(tmp_path / "lock")
    got = threading.Event()

    def wait() -> None:
        with Lock(str(tmp_path)):
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.wait(0.02)
    os.close(holder)

    assert got.wait(5)
    waiting.join()


def test_a_cancelled_waiter_stops_without_the_lock(tmp_path: Path) -> None:
    holder = _take(tmp_path / "lock")
    token = cancel.Token()
    outcome: list[BaseException | None] = []

    def wait() -> None:
        try:
            with cancel.cancellable(token), Lock(str(tmp_path)):
                outcome.append(None)
        except cancel.Cancelled as stopped:
            outcome.append(stopped)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.02)
    token.cancel("the caller went away")
    os.close(holder)
    waiting.join(5)

    assert [str(o) for o in outcome] == ["the caller went away"]
    assert not _is_locked(tmp_path / "lock")


def test_a_lock_file_that_was_deleted_meanwhile_is_no_lock(tmp_path: Path) -> None:
    holder = _take(tmp_path / "lock")
    inodes: list[int] = []

    def wait() -> None:
        with Lock(str(tmp_path)):
            inodes.append((tmp_path / "lock").stat().st_ino)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.02)
    (tmp_path / "lock").rename(tmp_path / "old")
    os.close(holder)
    waiting.join(5)

    assert inodes
    assert inodes != [(tmp_path / "old").stat().st_ino]


def test_nothing_is_locked_where_there_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Lock(str(tmp_path / "gone")):
        pass
