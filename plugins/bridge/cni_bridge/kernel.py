"""Small courtesies towards the kernel that several modules share."""

from collections.abc import Iterator
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
