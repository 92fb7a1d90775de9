"""Small courtesies towards the kernel that several modules share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cnisdk.net import sysctl


@contextmanager
def tolerating(*errnos: int) -> Iterator[None]:
    """Take an OSError with one of ``errnos`` for success: somebody else was faster."""
    try:
        yield
    except OSError as err:
        if err.errno not in errnos:
            raise


def prefer(name: str, value: int, *, new: bool = False) -> None:
    """Set a kernel parameter where that is possible; ``new``: of a link that was just made.

    For what makes a link better and not what makes it work: /proc/sys may be read-only, and a
    kernel without IPv6 has no parameters for it.
    """
    try:
        sysctl.write(name, value, compare=not new)
    except OSError:
        return


@contextmanager
def beside(step: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Take ``step`` in a thread of its own beside the block, which ends no earlier.

    For a step in which the kernel waits.  The thread begins in the namespaces of the caller's,
    and nothing cancels it.  Yields what waits for its end and raises what it raised.
    """
    from threading import Thread  # few calls have two things to wait for

    failures: list[BaseException] = []

    def take() -> None:
        try:
            step()
        except BaseException as err:  # noqa: BLE001 - it is raised where it can be handled
            failures.append(err)

    thread = Thread(target=take)
    try:
        thread.start()
    except RuntimeError:  # no more threads: one after the other will do
        take()

    def wait() -> None:
        if thread.ident is not None:
            thread.join()

    def ended() -> None:
        wait()
        if failures:
            raise failures.pop()

    try:
        yield ended
    finally:
        wait()
