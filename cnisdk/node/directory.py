"""A directory of a node in which every file is the old one or the new one, at any moment.

A file is drafted beside its place under a name that no runtime looks at, put on disk, and renamed.
The rename stays within the directory: containerd reloads when it sees a name go or a file be
written, and overlooks one that only comes, as from another directory.  What a killed run has
drafted the next one sweeps away; its drafts are told by their name, so only one run at a time may
use a directory (`cnisdk.node.receipt` has the lock).
"""

import hashlib
import itertools
import os
import stat
from contextlib import suppress
from typing import NamedTuple

from cnisdk.node.root import Root

DRAFT = ".cnisdk-install-"
"""What the names of drafts begin with; no extension that a runtime watches."""

LABELS = ("security.selinux",)
"""Extended attributes that a new file takes over from the one whose place it takes."""

_PIECE = 1 << 20
_count = itertools.count(1)


class Found(NamedTuple):
    """A file as it is on the node."""

    digest: str
    """SHA-256; ``""`` for what is no regular file."""
    mode: int
    uid: int
    inode: tuple[int, int]
    is_directory: bool = False


class Directory:
    """A directory of a node, held open: where it was when this was made, it stays."""

    def __init__(self, root: Root, path: str, *, create: bool = False) -> None:
        self.path = path
        self.fd = root.open_directory(path, create=create)
        status = os.fstat(self.fd)
        self.identity = (status.st_dev, status.st_ino)
        """The same for every path that leads to it."""
        self._drafts: dict[str, str] = {}
        """Draft: the name that it is for."""

    def close(self) -> None:
        """Take away what was drafted and not placed, and give back the descriptor."""
        for draft in self._drafts:
            with suppress(OSError):  # the next run sweeps it
                os.unlink(draft, dir_fd=self.fd)
        os.close(self.fd)

    def sweep(self) -> None:
        """Take away what a run that was killed has drafted."""
        for name in os.listdir(self.fd):
            if name.startswith(DRAFT) and name not in self._drafts:
                os.unlink(name, dir_fd=self.fd)

    def names(self) -> list[str]:
        """Return what is in it, drafts left out."""
        return sorted(name for name in os.listdir(self.fd) if not name.startswith(DRAFT))

    def find(self, name: str) -> Found | None:
        """Return what is there under ``name``, None if nothing is; a link is not followed."""
        try:
            status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                is_directory = stat.S_ISDIR(status.st_mode)
                return Found("", 0, status.st_uid, (0, 0), is_directory)
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(fd)
            mode = stat.S_IMODE(status.st_mode)
            return Found(digest(fd), mode, status.st_uid, (status.st_dev, status.st_ino))
        finally:
            os.close(fd)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        with open(fd, "rb") as file:
            return file.read()

    # -- changing ---------------------------------------------------------------------------

    def draft(self, name: str, source_fd: int, mode: int) -> str:
        """Copy a file, from its start, to what is to become ``name``; return its SHA-256."""
        fd = self._create(name)
        try:
            sha256 = hashlib.sha256()
            offset = 0
            while piece := os.pread(source_fd, _PIECE, offset):
                offset += len(piece)
                sha256.update(piece)
                _write(fd, piece)
            self._finish(fd, name, mode)
        finally:
            os.close(fd)
        return sha256.hexdigest()

    def draft_bytes(self, name: str, data: bytes, mode: int) -> None:
        """Write what is to become ``name``."""
        fd = self._create(name)
        try:
            _write(fd, data)
            self._finish(fd, name, mode)
        finally:
            os.close(fd)

    def draft_link(self, name: str, other: str, found: Found | None = None) -> bool:
        """Make what is to become ``name`` a link to the draft of ``other``, or to ``found`` there.

        False where that cannot be: a file system without links, or another file by now.
        """
        source = next((d for d, n in self._drafts.items() if n == other), other)
        draft = self._draft_name()
        try:
            os.link(source, draft, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        self._drafts[draft] = name
        status = os.stat(draft, dir_fd=self.fd, follow_symlinks=False)
        if found is not None and (status.st_dev, status.st_ino) != found.inode:
            del self._drafts[draft]
            os.unlink(draft, dir_fd=self.fd)
            return False
        return True

    def place(self) -> None:
        """Rename every draft to what it is for; all of it is on disk when this returns."""
        for draft, name in list(self._drafts.items()):
            os.rename(draft, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            del self._drafts[draft]
            # Of two links to one file, rename(2) leaves both.
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=self.fd)
        os.fsync(self.fd)

    def remove(self, name: str) -> None:
        """Take a file away; it may be gone."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def sync(self) -> None:
        """Have what was removed off the disk."""
        os.fsync(self.fd)

    def _create(self, name: str) -> int:
        draft = self._draft_name()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(draft, flags, 0o600, dir_fd=self.fd)
        self._drafts[draft] = name
        return fd

    def _draft_name(self) -> str:
        return f"{DRAFT}{os.getpid()}-{next(_count)}"

    def _finish(self, fd: int, name: str, mode: int) -> None:
        os.fchmod(fd, mode)
        self._label(fd, name)
        os.fsync(fd)

    def _label(self, fd: int, name: str) -> None:
        """Take over the labels of the file in whose place this goes.

        One that has none got what the policy has for new files of the directory.
        """
        try:
            old = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError:
            return  # nothing there, or a link
        try:
            for label in LABELS:
                with suppress(OSError):  # no such label, or it is not ours to set
                    os.setxattr(fd, label, os.getxattr(old, label))
        finally:
            os.close(old)


def digest(fd: int) -> str:
    """Return the SHA-256 of a whole file, wherever its offset is."""
    sha256 = hashlib.sha256()
    offset = 0
    while piece := os.pread(fd, _PIECE, offset):
        offset += len(piece)
        sha256.update(piece)
    return sha256.hexdigest()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
