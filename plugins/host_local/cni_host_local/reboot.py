"""Take back the addresses of containers that a reboot has ended.

After a power failure, or where nobody called DEL on the way down, reservations stay whose
containers cannot come back, and a range runs out over the months.  The files do not tell when
they were made: their times come from clocks, which jump, and stand still until the network is up.

But an index (`cni_host_local.index`) is of one boot, and has a hard link to every reservation that
was seen in that boot.  A reservation with the inode of such a link is that very file: while the
link exists, the inode is nobody else's.  So what an index of *another* boot has a link to was
there before this one, and its container is not.  All else stays: what the Go plugin reserved
unseen by us was perhaps reserved in this boot.  It is in this boot's index from then on, and is
taken back after the next reboot.

This is for the first ADD of a boot, before it chooses an address.  A container that its runtime
restores after the reboot gets an ADD too, since its namespace is gone, and finds the way free.
Killed in between, the next ADD goes on; the links go last.  Where boots cannot be told apart for
certain (`cni_host_local.boot`), somebody said so in ``shared``, for good, before he wrote
anything, and nothing is taken back.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from cni_host_local import boot
from cni_host_local.index import FILES, SHARED, Index, inodes_in


def earlier(index: Index) -> list[str]:
    """Return the directories of other boots; there are some only until the first ADD of a boot."""
    try:
        names = os.listdir(index.root)
    except FileNotFoundError:
        return []
    return [f"{index.root}/{name}" for name in names if name not in (SHARED, boot.current())]


def outlived(index: Index) -> Iterator[str]:
    """Yield the reservations that are older than this boot."""
    if os.path.lexists(f"{index.root}/{SHARED}") or not boot.is_certain(index.root):
        return
    now = inodes_in(index.directory)
    for path in earlier(index):
        with suppress(FileNotFoundError, NotADirectoryError):
            then = inodes_in(f"{path}/{FILES}")
            yield from (name for name in then if now.get(name) == then[name])


def forget(index: Index) -> None:
    """Delete what is left of other boots."""
    for path in earlier(index):
        _delete(path)


def _delete(path: str) -> None:
    if not os.path.isdir(path) or os.path.islink(path):
        os.unlink(path)
        return
    for name in os.listdir(path):
        _delete(f"{path}/{name}")
    os.rmdir(path)
