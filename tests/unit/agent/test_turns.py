"""Whose turn it is."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cnisdk import cancel
from cnisdk.agent.turns import LONG, Turns

TIMEOUT = 10.0


class Threads:
    """Threads that take a turn and do something in it; all of them end with the test."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, work: Callable[[], object]) -> threading.Event:
        """Start a thread; the event that is returned says that it has its turn."""
        began = threading.Event()

        def run() -> None:
            self.turns.take()
            began.set()
            work()
            self.turns.give_on()

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()
        return began

    def wait(self) -> None:
        """Wait as a hook does for something far away."""
        self.over.wait(TIMEOUT)

    def compute(self) -> None:
        """Use the CPU until the test is over."""
        while not self.over.is_set():
            pass

    def close(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(TIMEOUT)


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(Turns(2))
    yield threads
    threads.close()


def test_as_many_as_there_are_turns_begin_at_once(threads: Threads) -> None:
    began = [threads.start(threads.wait) for _ in range(2)]

    assert all(event.wait(TIMEOUT) for event in began)


def test_a_turn_that_is_over_is_the_next_ones() -> None:
    turns, order = Turns(1), []

    def follow() -> None:
        turns.take()
        order.append("other")
        turns.give_on()

    turns.take()
    other = threading.Thread(target=follow)
    other.start()
    order.append("first")
    turns.give_on()
    other.join(TIMEOUT)

    assert order == ["first", "other"]


def test_threads_that_wait_do_not_keep_others_from_their_turn(threads: Threads) -> None:
    began = [threads.start(threads.wait) for _ in range(20)]

    assert all(event.wait(TIMEOUT) for event in began)


def test_threads_that_compute_without_end_do_not_keep_others_from_their_turn(
    threads: Threads,
) -> None:
    began = [threads.start(threads.compute) for _ in range(4)]

    assert all(event.wait(TIMEOUT) for event in began)


@pytest.mark.parametrize(("seconds", "left"), [(LONG / 50, 1), (LONG, 0)])
def test_a_thread_that_gets_on_keeps_its_turn_unless_for_long(seconds: float, left: int) -> None:
    turns = Turns(1)
    turns.take()
    turns.look()
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    turns.look()

    assert len(turns) == left


def test_a_thread_that_waits_loses_its_turn() -> None:
    turns = Turns(1)
    waiting, over = threading.Event(), threading.Event()

    def wait() -> None:
        turns.take()
        waiting.set()
        over.wait(TIMEOUT)

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait(TIMEOUT)
    deadline = time.monotonic() + TIMEOUT
    while len(turns) and time.monotonic() < deadline:
        turns.look()
    over.set()
    thread.join(TIMEOUT)

    assert len(turns) == 0


def test_a_turn_can_be_given_on_twice() -> None:
    turns = Turns(1)
    turns.take()
    turns.give_on()
    turns.give_on()
    turns.take()


def test_a_hook_that_is_about_to_wait_says_so() -> None:
    said: list[str] = []
    token = cancel.Token()
    token.on_wait = lambda: said.append("waits")
    cancel.about_to_wait()
    with cancel.cancellable(token):
        cancel.about_to_wait()

    assert said == ["waits"]


def test_a_thread_that_ended_with_its_turn_keeps_it_from_nobody() -> None:
    turns = Turns()
    thread = threading.Thread(target=turns.take)
    thread.start()
    thread.join()

    for _ in range(3):  # the kernel may be at its end yet, and count its time
        turns.look()

    assert len(turns) == 0
