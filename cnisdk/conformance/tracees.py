"""Threads of other processes that are traced: what they change, and what becomes of them.

The changes of all of them are counted in one row, and at one of them there is interference.
`cnisdk.conformance.tracer` starts a program and traces it, `cnisdk.conformance.agent` attaches to
one that runs.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum

from cnisdk.conformance import ptrace
from cnisdk.conformance.changes import Change, change_of

_ANY_CHILD = 0x40000000 | 0x20000000  # __WALL, and __WNOTHREAD: no other thread's children
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class Mode(StrEnum):
    """What happens at the point."""

    KILL = "kill"
    """SIGKILL, to the plugin and all that it started."""
    ERROR = "error"
    """The call fails: ENOSPC on a write, ENOMEM from netlink, and so on."""


class Tracees:
    """Threads that are traced, in any number of processes.

    Belongs to one thread, as ptrace(2) wants it: that which waits for them, and hands each stop
    to `stopped`.
    """

    def __init__(self, point: int, mode: Mode, *, started: bool) -> None:
        """Interfere at ``point``; ``started``: what runs is the program, not what becomes it."""
        self.changes: list[Change] = []
        self.traced: set[int] = set()
        self.killed = False
        self._point = point
        self._mode = mode
        self._started = started
        self._failing: dict[int, int] = {}
        self._entered: dict[int, ptrace.Stop] = {}
        self._restarting: dict[int, ptrace.Stop | None] = {}

    def seize(self, pid: int) -> None:
        """Trace a thread from now on."""
        ptrace.seize(pid)
        self.traced.add(pid)

    def stopped(self, pid: int, status: int) -> None:
        """See what a tracee has stopped for, and let it go on."""
        self.traced.add(pid)
        if self.killed:  # a child that came into being at that moment
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        sig, event = os.WSTOPSIG(status), status >> 16
        deliver = 0
        with contextlib.suppress(ProcessLookupError):  # killed in the meantime
            if sig == signal.SIGTRAP | 0x80:
                self._system_call(pid)
            elif event == ptrace.EVENT_EXEC:
                self._started = True
            elif event == ptrace.EVENT_STOP and sig in _STOPS:
                ptrace.listen(pid)
                return
            elif not event:
                deliver = sig
            ptrace.resume(pid, deliver)

    def interrupt(self) -> None:
        """Have all of them stop."""
        for pid in self.traced:
            with contextlib.suppress(ProcessLookupError):
                ptrace.interrupt(pid)

    def release(self, pid: int, status: int) -> None:
        """Trace one no more that has stopped."""
        sig, event = os.WSTOPSIG(status), status >> 16
        with contextlib.suppress(ProcessLookupError):
            if sig == signal.SIGTRAP | 0x80 and pid in self._failing:
                ptrace.fail(pid, self._failing.pop(pid))
            ptrace.detach(pid, 0 if event or sig == signal.SIGTRAP | 0x80 else sig)
        self.traced.discard(pid)

    def ended(self, pid: int) -> None:
        """Forget a tracee that has ended."""
        self.traced.discard(pid)

    def kill(self) -> None:
        """Kill all of them."""
        self.killed = True
        for pid in list(self.traced):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _system_call(self, pid: int) -> None:
        stop = ptrace.stop_of(pid)
        if stop.kind == ptrace.EXIT and pid in self._failing:
            ptrace.fail(pid, self._failing.pop(pid))
        elif stop.restarts:
            self._restarting[pid] = self._entered.get(pid)
        elif stop.kind == ptrace.ENTRY and self._started:
            self._entered[pid] = stop
            change = change_of(pid, stop.number, stop.args)
            if change is None:
                return  # what a signal's handler does before a call is restarted, perhaps
            if self._restarting.pop(pid, None) != stop:  # else counted when it was first made
                self._count(pid, change)

    def _count(self, pid: int, change: Change) -> None:
        self.changes.append(change)
        if len(self.changes) != self._point:
            return
        if self._mode is Mode.KILL:
            self.kill()
        else:
            ptrace.skip(pid)
            self._failing[pid] = change.error


def waited(whom: int) -> Iterator[tuple[int, int]]:
    """Yield each child or tracee of the calling thread that has stopped or ended, and its status.

    Ends when there are none left.  ``whom`` is as in waitpid(2).
    """
    while True:
        try:
            yield os.waitpid(whom, _ANY_CHILD)
        except ChildProcessError:
            return


@contextlib.contextmanager
def limited(seconds: float, give_up: Callable[[], None]) -> Iterator[threading.Event]:
    """Call ``give_up``, in another thread, if this takes longer; the event says that it did."""
    timed_out = threading.Event()

    def expire() -> None:
        timed_out.set()
        give_up()

    timer = threading.Timer(seconds, expire)
    timer.start()
    try:
        yield timed_out
    finally:
        timer.cancel()
