"""DELs that launchers kept."""

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from cnisdk import Attachment, Plugin, PluginConfig, PluginError
from cnisdk.agent import queue
from cnisdk.agent.deletes import QueuedDeletes
from cnisdk.agent.exclusive import Exclusive
from cnisdk.agent.queue import Queue, QueuedCall, attachment_hash
from cnisdk.call import Call

if TYPE_CHECKING:
    from cnisdk.agent.pool import Job


TIMEOUT = 10.0


class Config(PluginConfig):
    fail: bool = False


class Recorder(Plugin[Config]):
    deleted: ClassVar[list[str]] = []

    def delete(self, config: Config, attachment: Attachment) -> None:
        self.deleted.append(f"{attachment.container_id} {config.name}")
        if config.fail:
            raise PluginError("as told")


class Delegating(Plugin[Config]):
    """Deletes by its IPAM plugin, which is served too."""

    def delete(self, config: Config, attachment: Attachment) -> None:
        self.delegate("recorder")


class Hanging(Plugin[Config]):
    """Deletes when it is let."""

    begun: ClassVar[threading.Event]
    gate: ClassVar[threading.Event]

    def delete(self, config: Config, attachment: Attachment) -> None:
        self.begun.set()
        assert self.gate.wait(TIMEOUT)


class Kept:
    """A queue, and what does it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700)
        self.exclusive: Exclusive[Job] = Exclusive()
        self.deletes = QueuedDeletes(
            Queue(str(directory)),
            {"recorder": Recorder, "delegating": Delegating, "hanging": Hanging},
            self.exclusive,
            lambda job: job(),
        )
        self.number = 0

    def write(self, container: str, plugin: str = "recorder", **keys: Any) -> None:
        config = {"cniVersion": "1.1.0", "name": "net", "type": plugin, **keys}
        variables = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
        call = QueuedCall((f"/opt/cni/bin/{plugin}",), variables, json.dumps(config).encode())
        self.put(container, queue.encode(call))

    def put(self, container: str, data: bytes) -> None:
        self.number += 1
        name = f"{self.number:020}-{attachment_hash(container, 'eth0')}-1"
        (self.directory / name).write_bytes(data)

    @property
    def left(self) -> list[str]:
        return sorted(os.listdir(self.directory))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    Recorder.deleted.clear()
    Hanging.begun, Hanging.gate = threading.Event(), threading.Event()
    return Kept(tmp_path / "queue")


def add(container: str) -> tuple[Call, tuple[str, ...]]:
    variables = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
    return Call.from_environ(variables), ("recorder", "net", container, "eth0")


def test_all_are_done_in_their_order(kept: Kept) -> None:
    for container in ("c2", "c1", "c2"):
        kept.write(container)
    kept.deletes.drain()

    assert Recorder.deleted == ["c2 net", "c1 net", "c2 net"]
    assert kept.left == []
    assert len(kept.exclusive) == 0


def test_delegates_that_are_served_are_not_executed(kept: Kept) -> None:
    kept.write("c1", "delegating")
    kept.deletes.drain()

    assert Recorder.deleted == ["c1 net"]
    assert kept.left == []


def test_one_that_fails_stays_and_the_others_are_done(kept: Kept) -> None:
    kept.write("c1", fail=True)
    kept.write("c2")
    kept.deletes.drain()

    assert Recorder.deleted == ["c1 net", "c2 net"]
    assert len(kept.left) == 1


def test_one_for_another_plugin_stays(kept: Kept) -> None:
    kept.write("c1", "elsewhere")
    kept.deletes.drain()

    assert len(kept.left) == 1


def test_what_is_no_call_is_set_aside(kept: Kept) -> None:
    kept.put("c1", b"garbage")
    kept.deletes.drain()

    assert [name.startswith(".bad-") for name in kept.left] == [True]


def test_draining_can_be_stopped(kept: Kept) -> None:
    kept.write("c1")
    kept.write("c2")
    kept.deletes.drain(going_on=lambda: not Recorder.deleted)

    assert Recorder.deleted == ["c1 net"]


def test_an_add_overtakes_only_its_own(kept: Kept) -> None:
    kept.write("c1")
    kept.write("c2")
    call, key = add("c2")
    assert kept.exclusive.acquire(key, lambda: None)
    kept.deletes.overtake(call, key)

    assert Recorder.deleted == ["c2 net"]
    assert len(kept.left) == 1
    assert len(kept.exclusive) == 1


def test_one_that_fails_before_an_add_is_not_done_after_it(kept: Kept) -> None:
    kept.write("c1", fail=True)
    call, key = add("c1")
    kept.exclusive.acquire(key, lambda: None)
    kept.deletes.overtake(call, key)

    assert kept.left == []


def test_one_for_a_busy_attachment_waits_for_it(kept: Kept) -> None:
    kept.write("c1")
    _, key = add("c1")
    kept.exclusive.acquire(key, lambda: None)
    kept.deletes.drain()
    before = list(Recorder.deleted)
    waiting = kept.exclusive.release(key)
    assert waiting is not None
    waiting()

    assert before == []
    assert Recorder.deleted == ["c1 net"]
    assert kept.left == []
    assert len(kept.exclusive) == 0


def test_one_that_was_overtaken_while_it_waited_is_not_done_again(kept: Kept) -> None:
    kept.write("c1")
    call, key = add("c1")
    kept.exclusive.acquire(key, lambda: None)
    kept.deletes.drain()
    kept.deletes.overtake(call, key)
    waiting = kept.exclusive.release(key)
    assert waiting is not None
    waiting()

    assert Recorder.deleted == ["c1 net"]
    assert len(kept.exclusive) == 0


def test_a_queue_that_others_could_write_to_is_not_touched(kept: Kept) -> None:
    kept.write("c1")
    kept.directory.chmod(0o777)
    kept.deletes.drain()

    assert Recorder.deleted == []
    assert len(kept.left) == 1


def age(directory: Path) -> None:
    """Have a directory not been changed within a tick of the clock."""
    os.utime(directory, ns=(0, 10**9))


def test_one_that_stays_is_still_looked_for_before_each_add(kept: Kept) -> None:
    """It failed, and nothing else has come; after the ADD it must not be tried once more."""
    kept.write("c1", fail=True)
    age(kept.directory)
    kept.deletes.drain()
    tried, waiting = not kept.deletes.pending(), kept.deletes.waiting()
    call, key = add("c1")
    kept.exclusive.acquire(key, lambda: None)
    kept.deletes.overtake(call, key)

    assert (tried, waiting) == (True, True)
    assert kept.left == []


def test_an_empty_queue_is_not_looked_into_before_an_add(kept: Kept) -> None:
    age(kept.directory)
    kept.deletes.drain()

    assert not kept.deletes.waiting()
    kept.write("c1")
    assert kept.deletes.waiting()


def test_one_that_hangs_holds_up_no_add_of_another(kept: Kept) -> None:
    kept.write("c1", "hanging")
    kept.write("c2")
    draining = threading.Thread(target=kept.deletes.drain)
    draining.start()
    try:
        assert Hanging.begun.wait(TIMEOUT)
        waiting = kept.deletes.waiting()
        call, key = add("c2")
        kept.exclusive.acquire(key, lambda: None)
        kept.deletes.overtake(call, key)
        overtaken = list(Recorder.deleted)
        kept.exclusive.release(key)
        kept.deletes.drain()  # another is at it
    finally:
        Hanging.gate.set()
        draining.join()

    assert waiting
    assert overtaken == ["c2 net"]
    assert Recorder.deleted == ["c2 net"]
    assert kept.left == []
