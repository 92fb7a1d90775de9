"""Which boot of the machine this is, and whether that can be relied on.

No container outlives its kernel, and every kernel draws an ID when it starts.  No clock has a
part in it: clocks jump.  Two calls that see different IDs are of different boots, unless

- one of them runs in a container that was given another ID (systemd-nspawn and LXC mount a file
  over the kernel's), beside others on the same kernel;
- the files are those of several machines, on a file system that can be mounted by more than one.

`is_certain` excludes both.
"""

import os
from functools import cache

from cnisdk.net import libc

_BOOT_ID = "/proc/sys/kernel/random/boot_id"

# f_type of statfs(2), as in linux/magic.h and in the sources of ZFS.
_PROC = 0x9FA0
_OF_ONE_KERNEL = frozenset(
    (
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # btrfs
        0xF2F52010,  # F2FS
        0xCA451A4E,  # bcachefs
        0x2FC12FC1,  # ZFS
        0x01021994,  # tmpfs
    )
)
"""File systems that only one kernel can have mounted at a time."""


@cache
def current() -> str:
    """Return what no other boot has."""
    fd = os.open(_BOOT_ID, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 36).decode()
    finally:
        os.close(fd)


def is_certain(directory: str) -> bool:
    """Say whether a file in ``directory`` that was made in another boot is of a dead container."""
    return libc.statfs(_BOOT_ID) == _PROC and libc.statfs(directory) in _OF_ONE_KERNEL
