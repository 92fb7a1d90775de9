"""One call at a time for each attachment, any number side by side.

A DEL that follows an ADD whose caller went away has to wait until that ADD is undone, or it would
release what the ADD is still about to make.  Waiting must not occupy a thread: a job that cannot
begin is parked with its key, and handed back when the one before it is done.
"""

import threading
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

JobT = TypeVar("JobT")


class Exclusive(Generic[JobT]):
    """Which keys are busy, and which jobs wait for each of them, first come first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, deque[JobT] | None] = {}

    def acquire(self, key: Hashable, job: JobT) -> bool:
        """Take ``key`` and return True, or park ``job`` until `release` returns it."""
        with self._lock:
            if key not in self._waiting:
                self._waiting[key] = None
                return True
            waiting = self._waiting[key]
            if waiting is None:
                waiting = self._waiting[key] = deque()
            waiting.append(job)
            return False

    def release(self, key: Hashable) -> JobT | None:
        """Give ``key`` to the job that waited longest and return it; None frees the key."""
        with self._lock:
            waiting = self._waiting[key]
            if waiting:
                return waiting.popleft()
            del self._waiting[key]
            return None

    @property
    def parked(self) -> int:
        """How many jobs wait for a key."""
        with self._lock:
            return sum(len(waiting) for waiting in self._waiting.values() if waiting)

    def __len__(self) -> int:
        """Return how many keys are busy."""
        return len(self._waiting)
