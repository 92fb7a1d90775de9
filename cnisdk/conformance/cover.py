"""Directories of one's own in place of the machine's, in a private mount namespace.

A directory that the machine has is covered by an empty one.  One that it lacks cannot be made
without changing the machine, and root may do that even from a user namespace: so its parent is
covered instead, by a directory that has all that the parent has, and room for one more.
"""

import os
import sys
import tempfile

if sys.platform == "linux":
    from cnisdk.net._uapi import MS_BIND, MS_MOVE, MS_REC
    from cnisdk.net.libc import mount


def empty(path: str) -> None:
    """Cover a directory by an empty one."""
    mount("tmpfs", path, "tmpfs")
    os.chmod(path, 0o755)  # noqa: S103 - as it is on a machine


def add(path: str) -> None:
    """Have an empty directory at ``path``, whether there is one yet or not.

    Its parent is there; ``/run`` is ours already.
    """
    if not os.path.isdir(path):
        repeat(os.path.dirname(path))
        os.mkdir(path)
    empty(path)


def repeat(path: str) -> None:
    """Cover a directory by one to which entries can be added, with the same entries."""
    draft = tempfile.mkdtemp(prefix="cover-", dir="/run")
    empty(draft)
    with os.scandir(path) as entries:
        for entry in entries:
            there = os.path.join(draft, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), there)
                continue
            if entry.is_dir():
                os.mkdir(there)
            else:
                os.close(os.open(there, os.O_CREAT | os.O_WRONLY, 0o644))
            # What is mounted below has to come along, or the kernel refuses a user namespace.
            mount(entry.path, there, mountflags=MS_BIND | MS_REC)
    mount(draft, path, mountflags=MS_MOVE)
    os.rmdir(draft)
