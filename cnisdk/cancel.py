"""Stop a hook between two kernel calls, never inside one.

A hook ends early when its runtime sends SIGTERM, or when the agent sees the caller go away.  An
exception raised at any instruction could fall between "the kernel made the link" and "the undo
stack knows it", and leak the link.  So cancelling only marks the hook's token; `checkpoint`,
which every kernel request and every delegation passes before it acts, raises `Cancelled`.  Where
a thread blocks without having changed anything yet (a lock, a delegate's output) it says so with
`interruptible`, and a signal handler may raise at once.  Undoing runs `shielded`.

Beside that the agent hears by the token when a hook is about to wait long (`about_to_wait`).

Tokens belong to a thread: the agent runs many hooks in one process.
"""

from _thread import _local  # threading.local without importing threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancelled(BaseException):
    """The call is being stopped; unwinds like KeyboardInterrupt, past ``except Exception``."""


class Token:
    """Whether one hook is to stop, and why."""

    __slots__ = ("interruptible", "on_wait", "reason", "shielded", "wakers")

    def __init__(self) -> None:
        self.reason = ""
        self.shielded = 0
        self.interruptible = 0
        self.wakers: list[Callable[[], object]] = []
        self.on_wait: Callable[[], object] | None = None

    def cancel(self, reason: str) -> None:
        """Stop the hook at its next `checkpoint`; the first reason stays.

        May be called from another thread and from a signal handler.
        """
        self.reason = self.reason or reason
        if not self.shielded:
            for wake in tuple(self.wakers):
                wake()

    def check(self) -> None:
        """Raise `Cancelled` if the hook is to stop and is not undoing."""
        if self.reason and not self.shielded:
            raise Cancelled(self.reason)


class _Local(_local):
    token: Token | None = None


_current = _Local()


@contextmanager
def cancellable(token: Token) -> Iterator[Token]:
    """Make ``token`` the calling thread's, for the length of one hook."""
    before, _current.token = _current.token, token
    try:
        yield token
    finally:
        _current.token = before


def checkpoint() -> None:
    """Raise `Cancelled` if the calling thread's hook is to stop."""
    token = _current.token
    if token is not None and token.reason:
        token.check()


def current() -> Token | None:
    """Return the calling thread's token, None outside a hook."""
    return _current.token


def about_to_wait() -> None:
    """Say that the calling thread's hook now waits, for long as computers go: milliseconds.

    For what is known to take long whoever else runs: the kernel taking a link down, another
    program.  The agent has another call run meanwhile.
    """
    token = _current.token
    if token is not None and token.on_wait is not None:
        token.on_wait()


@contextmanager
def interruptible() -> Iterator[None]:
    """Mark a wait in which nothing has been changed yet: it may be ended by an exception.

    The token is checked on entry, after the mark is set, so no signal is lost in between.
    """
    token = _current.token
    if token is None:
        yield
        return
    token.interruptible += 1
    try:
        token.check()
        yield
    finally:
        token.interruptible -= 1


@contextmanager
def waking(wake: Callable[[], object]) -> Iterator[None]:
    """Have ``wake`` end the wait in the block when the hook is cancelled from another thread.

    It is called in the cancelling thread, perhaps more than once, and must not block: kill the
    delegate that is waited for, shut the socket that is read.
    """
    token = _current.token
    if token is None or token.shielded:
        yield
        return
    token.wakers.append(wake)
    try:
        token.check()
        yield
    finally:
        token.wakers.remove(wake)


@contextmanager
def shielded() -> Iterator[None]:
    """Let nothing cancel the block: undoing, and steps that must come as a pair."""
    token = _current.token
    if token is None:
        yield
        return
    token.shielded += 1
    try:
        yield
    finally:
        token.shielded -= 1
