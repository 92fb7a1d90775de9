"""The lock of a network's reservations, shared with the Go plugin."""

import fcntl
import os
from types import TracebackType

from cnisdk import cancel

FILE = "lock"


class Lock:
    """An exclusive flock(2) on the file ``lock`` of a directory, held within ``with``.

    The wait is one in which nothing has been changed yet, so a terminated call ends it where a
    signal can reach it.  A thread of the agent, which none can, waits for the holder and stops
    then.
    """

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, FILE)
        self._fd = -1

    def __enter__(self) -> None:
        while True:
            fd = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o750)
            try:
                with cancel.interruptible():
                    fcntl.flock(fd, fcntl.LOCK_EX)
                cancel.checkpoint()
                current = self._is_current(fd)
            except BaseException:
                os.close(fd)
                raise
            if current:
                self._fd = fd
                return
            os.close(fd)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _is_current(self, fd: int) -> bool:
        """Say whether the locked file is the one that others lock: it may have been deleted."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path))
        except FileNotFoundError:
            return False
