"""Whose turn it is to run: one thread at a time, not counting those that wait.

Threads of one interpreter that all have something to do take its lock from one another at every
system call, and waking the other one takes longer than most of these calls.  64 ADDs at the same
moment take a quarter less CPU time, and a fifth less time, when one after the other has its turn.

A hook that is about to wait for a link that the kernel takes down, or for another program, says so
(`cnisdk.cancel.about_to_wait`), and its turn goes on to the next call.  What an author's hook waits
for, a server far away, nobody says.  So whoever gets no turn for a while looks at the CPU time of
those that have one: a thread that used none since the last look waits for something, and one that
has used much is no ordinary call.  Whose turn is over goes on without one.
"""

import threading
import time

AT_ONCE = 1
"""More are slower, on two processors and with calls that take turns in Python and in the kernel."""

LONG = 0.05
"""CPU seconds after which a turn is over."""

LOOK = 0.005
"""Seconds between two looks."""


class Turns:
    """At most ``at_once`` threads that get on; safe to use from every thread.

    A thread must not end while it has a turn.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._door = threading.Lock()
        self._freed = threading.Condition()
        self._began: dict[int, float] = {}
        """Of those whose turn it is, by the clock of the thread: its time when the turn began."""
        self._seen: dict[int, float] = {}
        """The same, at the last look."""

    def take(self) -> None:
        """Wait until it is the calling thread's turn."""
        clock = _own_clock()
        # One waits, and the others stand behind it at the door.
        with self._door, self._freed:
            while len(self._began) >= self._at_once:
                if not self._freed.wait(LOOK):
                    self.look()
            self._began[clock] = self._seen[clock] = time.clock_gettime(clock)

    def give_on(self) -> None:
        """End the calling thread's turn, if it has one."""
        with self._freed:
            self._end(_own_clock())

    def __len__(self) -> int:
        """Return how many threads have a turn."""
        return len(self._began)

    def look(self) -> None:
        """End the turns of threads that wait, or have computed for long."""
        with self._freed:
            for clock, began in list(self._began.items()):
                try:
                    now = time.clock_gettime(clock)
                except OSError:  # the thread has ended
                    self._end(clock)
                    continue
                if now == self._seen[clock] or now - began > LONG:
                    self._end(clock)
                else:
                    self._seen[clock] = now

    def _end(self, clock: int) -> None:
        if self._began.pop(clock, None) is not None:
            del self._seen[clock]
            self._freed.notify()


def _own_clock() -> int:
    """Return the clock of the calling thread's CPU time, as every thread can read it."""
    return time.pthread_getcpuclockid(threading.get_ident())
