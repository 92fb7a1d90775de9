"""What several modules of the plugin ask of the kernel and of threads."""

import os
import threading

import pytest

from cni_bridge.kernel import beside
from tests.host import Host


def test_a_step_is_taken_while_the_block_runs() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def step() -> None:
        begun.set()
        assert go_on.wait(10)

    with beside(step) as ended:
        assert begun.wait(10)
        go_on.set()
        ended()


def test_a_step_has_ended_when_the_block_is_left_by_an_exception() -> None:
    steps: list[str] = []
    go_on = threading.Event()

    def step() -> None:
        assert go_on.wait(10)
        steps.append("taken")

    def block() -> None:
        with beside(step):
            go_on.set()
            raise KeyError

    with pytest.raises(KeyError):
        block()

    assert steps == ["taken"]


def test_what_a_step_raises_is_raised_where_its_end_is_awaited() -> None:
    def step() -> None:
        raise OSError(5, "the disk")

    with beside(step) as ended:
        with pytest.raises(OSError, match="the disk"):
            ended()
        ended()


def test_a_step_begins_in_the_namespace_of_who_takes_it(host: Host) -> None:
    seen: list[str] = []

    def step() -> None:
        seen.append(os.readlink("/proc/thread-self/ns/net"))

    with host.inside():
        with beside(step) as ended:
            ended()
        here = os.readlink("/proc/thread-self/ns/net")

    assert seen == [here]


def test_a_step_is_taken_where_there_can_be_no_more_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    steps: list[str] = []

    with beside(lambda: steps.append("taken")) as ended:
        assert steps == ["taken"]
        ended()
