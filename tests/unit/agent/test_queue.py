"""The queue of DELs as the agent reads it; that launchers write it, tests/netns/agent shows."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from cnisdk.agent import queue
from cnisdk.agent.queue import Queue, QueuedCall, QueueError

CALL = QueuedCall(("/opt/cni/bin/bridge",), {"CNI_COMMAND": "DEL"}, b'{"name": "net"}')


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "queue"
    path.mkdir(mode=0o700)
    return path


def put(directory: Path, when: int, container_id: str = "c1", content: bytes = b"") -> Path:
    attachment = queue.attachment_hash(container_id, "eth0")
    path = directory / f"{when:020d}-{attachment}-1"
    path.write_bytes(content or queue.encode(CALL))
    return path


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(["CNI_ARGS", "PATH"]), st.text()))
def test_a_call_survives_the_disk(stdin: bytes, environ: dict[str, str]) -> None:
    environ = {name: value.replace("\0", "") for name, value in environ.items()}
    environ = {name: os.fsdecode(value.encode(errors="ignore")) for name, value in environ.items()}
    call = QueuedCall(("bridge",), environ, stdin)

    assert queue.decode(queue.encode(call)) == call


@given(st.binary(max_size=100))
def test_garbage_raises_a_value_error_and_nothing_else(garbage: bytes) -> None:
    for data in (garbage, queue.MAGIC + garbage, queue.encode(CALL)[:16] + garbage):
        with pytest.raises(ValueError):
            queue.decode(data)


def test_the_hash_is_fnv_1a() -> None:
    # "a" and NUL, from a second implementation.
    value = 0xCBF29CE484222325
    for byte in b"a\0b":
        value = ((value ^ byte) * 1099511628211) % 2**64

    assert queue.attachment_hash("a", "b") == f"{value:016x}"
    assert queue.attachment_hash("ab", "c") != queue.attachment_hash("a", "bc")


def test_entries_come_in_the_order_of_time(directory: Path) -> None:
    paths = [put(directory, when) for when in (30, 4, 100)]

    assert [entry.path for entry in Queue(str(directory)).entries()] == [
        str(paths[1]),
        str(paths[0]),
        str(paths[2]),
    ]


def test_an_entry_loads_and_is_removed(directory: Path) -> None:
    path = put(directory, 1)
    (entry,) = Queue(str(directory)).entries()
    call = entry.load()
    entry.remove()

    assert call == CALL
    assert not path.exists()


def test_entries_of_an_attachment_are_found(directory: Path) -> None:
    put(directory, 1)
    wanted = put(directory, 2, "c2")
    entries = Queue(str(directory)).entries(queue.attachment_hash("c2", "eth0"))

    assert [entry.path for entry in entries] == [str(wanted)]


def test_a_queue_that_was_never_used_is_empty(tmp_path: Path) -> None:
    assert Queue(str(tmp_path / "none")).entries() == []


def test_other_files_are_left_alone(directory: Path) -> None:
    (directory / "README").write_text("x")
    (directory / ".tmp-fresh").write_text("x")

    assert Queue(str(directory)).entries() == []
    assert len(list(directory.iterdir())) == 2


def test_what_a_killed_launcher_left_is_swept(directory: Path) -> None:
    stale = directory / ".tmp-stale"
    stale.write_text("x")
    os.utime(stale, (1, 1))
    Queue(str(directory)).entries()

    assert not stale.exists()


def test_a_file_that_is_no_call_is_set_aside(directory: Path) -> None:
    put(directory, 1, content=b"garbage that is longer than a header")
    q = Queue(str(directory))
    (entry,) = q.entries()
    with pytest.raises(QueueError, match="begins with"):
        entry.load()
    path = entry.set_aside()

    assert Path(path).exists()
    assert q.entries() == []


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_others_can_write_to_is_refused(directory: Path, mode: int) -> None:
    put(directory, 1)
    directory.chmod(mode)

    with pytest.raises(QueueError, match="0700"):
        Queue(str(directory)).entries()


def test_a_link_to_a_directory_is_refused(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(directory)

    with pytest.raises(QueueError, match="no directory"):
        Queue(str(tmp_path / "link")).entries()


def test_a_late_entry_is_noticed(directory: Path) -> None:
    old = time.time_ns() - 10**9
    os.utime(directory, ns=(old, old))
    q = Queue(str(directory))
    q.entries()
    before = q.changed()
    put(directory, 1)

    assert (before, q.changed()) == (False, True)


def test_an_entry_within_the_same_tick_is_noticed(directory: Path) -> None:
    q = Queue(str(directory))
    put(directory, 1)
    status = directory.stat()
    q.entries()
    put(directory, 2)
    os.utime(directory, ns=(status.st_mtime_ns, status.st_mtime_ns))

    assert q.changed()
