"""Makes the mount namespace that it was started in that of a container or of a node, and executes.

python -m tests.deploy.inside JSON, by `tests.deploy.node`.
"""

import ctypes
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, NoReturn

from cnisdk.conformance import cover
from cnisdk.net._uapi import MS_BIND, MS_REC
from cnisdk.net.libc import mount

MS_RDONLY, MS_REMOUNT = 0x1, 0x20
_KEPT = (os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC, os.ST_NOATIME, os.ST_NODIRATIME, os.ST_RELATIME)
# The two ways of saying relatime have different values.
_FLAGS = {os.ST_RELATIME: 1 << 21}


class Setup(NamedTuple):
    """What a container gets of its manifest."""

    argv: list[str]
    mounts: list[tuple[str, str, bool]]
    """Source, target, and whether it is read-only."""
    hidden: str = ""
    """A directory that is not to be seen."""
    capabilities: list[str] | None = None
    """The only ones; None for a node, which has all, and a root directory of its own."""
    no_new_privileges: bool = False


def main(setup: Setup) -> NoReturn:
    """Be it."""
    if setup.capabilities is not None:
        _new_root()
        _ours.add("/")
    for source, target, read_only in setup.mounts:
        _make(target, is_dir=os.path.isdir(source))
        mount(source, target, mountflags=MS_BIND | MS_REC)
        if read_only:
            _make_read_only(target)
    if setup.hidden:
        cover.empty(setup.hidden)
    if setup.capabilities is None:
        os.execvp(setup.argv[0], setup.argv)
    targets = {target for _, target, _ in setup.mounts}
    for path in ["/", *(f"/{name}" for name in os.listdir("/"))]:
        if os.path.ismount(path) and path not in (targets | {"/dev", "/proc"}):
            _make_read_only(path)
    mount("/proc/sys", "/proc/sys", mountflags=MS_BIND)
    _make_read_only("/proc/sys")
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in setup.capabilities)])
    privileges = ["--no-new-privs"] if setup.no_new_privileges else []
    command = ["setpriv", "--bounding-set", kept, "--inh-caps=-all", *privileges, "--"]
    os.execvp(command[0], [*command, *setup.argv])


def _new_root() -> None:
    """Move to a root directory with what the old one has, and room for more."""
    root = tempfile.mkdtemp(prefix="root-", dir="/run")
    cover.empty(root)
    with os.scandir("/") as entries:
        for entry in entries:
            there = f"{root}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), there)
            elif entry.is_dir():
                os.mkdir(there)
                if entry.name != "run":
                    mount(entry.path, there, mountflags=MS_BIND | MS_REC)
    # As runc does it: the old root ends up below the new one, and is detached.
    os.chdir(root)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.pivot_root(b".", b".") == 0, os.strerror(ctypes.get_errno())
    assert libc.umount2(b".", 2) == 0, os.strerror(ctypes.get_errno())
    os.chdir("/")
    cover.empty("/run")


_ours: set[str] = set()
"""Directories that were covered, or made in one that was."""


def _make(target: str, *, is_dir: bool) -> None:
    """Have something to mount on, on no filesystem of the machine's."""
    parent = os.path.dirname(target)
    if os.path.exists(target):
        return
    if parent != "/" and not os.path.isdir(parent):
        _make(parent, is_dir=True)
    if parent not in _ours and not f"{parent}/".startswith("/run/"):
        cover.repeat(parent)
        _ours.add(parent)
    if is_dir:
        _ours.add(target)
        os.mkdir(target)
    else:
        Path(target).touch()


def _make_read_only(path: str) -> None:
    found = os.statvfs(path).f_flag
    flags = sum(_FLAGS.get(flag, flag) for flag in _KEPT if found & flag)
    mount("", path, mountflags=MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


if __name__ == "__main__":
    main(Setup(**json.loads(sys.argv[1])))
