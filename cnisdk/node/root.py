"""A node's file system: ``/``, or mounted somewhere in the container that we run in.

Paths are the node's own, ``/etc/cni/net.d``, wherever its root is.  Links are followed as the node
would: an absolute one starts at the node's root, ``..`` ends there, so no path leads out of it,
whoever made the links and whenever.  That is what openat2(2) calls RESOLVE_IN_ROOT; here each
component is opened beneath the one before, which no kernel and no sandbox refuses.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MAX_LINKS = 40  # as the kernel has it

_DIRECTORY = 0
if sys.platform == "linux":
    _DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Root:
    """The file system of a node, at ``prefix``."""

    def __init__(self, prefix: str = "/") -> None:
        self.prefix = os.path.abspath(prefix)

    @property
    def is_ours(self) -> bool:
        """Whether it is the root that this process has too."""
        return self.prefix == "/"

    def join(self, path: str) -> str:
        """Return where ``path`` would be, no link followed."""
        return os.path.normpath(f"{self.prefix}/{path}")

    def path_of(self, path: str) -> str:
        """Return the node's path of what is at ``path`` here; the other way round than `join`."""
        return os.path.join("/", os.path.relpath(path, self.prefix))

    def locate(self, path: str) -> str:
        """Return what to open in place of ``path``: for reading, since links may change after.

        The path of what does not exist is returned all the same.
        """
        if self.is_ours:
            return path
        with self._walk() as walk:
            rest = walk.follow(path)
            if ".." in rest:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return os.path.join(self.prefix, *walk.names, *rest)

    def exists(self, path: str) -> bool:
        """Say whether ``path`` is there, links followed; OSError where we may not look."""
        try:
            os.stat(self.locate(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def is_dir(self, path: str) -> bool:
        """Say whether ``path`` is a directory, as far as we may look."""
        return os.path.isdir(self.locate(path))

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        with open(self.locate(path), "rb") as file:
            return file.read()

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none where there is no directory."""
        try:
            return sorted(os.listdir(self.locate(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def open_directory(self, path: str, *, create: bool = False) -> int:
        """Open a directory, for the caller to close; with ``create`` it is made where missing.

        Directories that are made have mode 0755 and are on disk when this returns.
        """
        try:
            with self._walk() as walk:
                missing = walk.follow(path)
                if missing and (not create or ".." in missing):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                for name in missing:
                    walk.make(name)
                return os.open(".", _DIRECTORY, dir_fd=walk.fd)
        except OSError as err:
            raise OSError(err.errno, err.strerror, path) from err

    @contextmanager
    def _walk(self) -> Iterator["_Walk"]:
        walk = _Walk(os.open(self.prefix, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            yield walk
        finally:
            walk.close()


class _Walk:
    """The directories from a node's root down to where we are, each held open."""

    def __init__(self, root_fd: int) -> None:
        self._fds = [root_fd]
        self.names: list[str] = []

    @property
    def fd(self) -> int:
        """Where we are."""
        return self._fds[-1]

    def close(self) -> None:
        """Give back all of them."""
        for fd in self._fds:
            os.close(fd)

    def follow(self, path: str) -> list[str]:
        """Go along ``path``; return what is left of it where there is nothing, or no directory."""
        pending = path.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                self._up()
                continue
            try:
                fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            except FileNotFoundError:
                return [name, *(part for part in pending[::-1] if part not in ("", "."))]
            mode = os.fstat(fd).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                pending += self._target(fd).split("/")[::-1]
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            elif stat.S_ISDIR(mode):
                self._fds.append(fd)
                self.names.append(name)
            else:
                os.close(fd)
                return [name, *pending[::-1]]
        return []

    def make(self, name: str) -> None:
        """Make a directory where we are, and go there."""
        made = False
        with suppress(FileExistsError):  # another one made it
            os.mkdir(name, 0o755, dir_fd=self.fd)
            made = True
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fd)
        parent = self.fd
        self._fds.append(fd)
        self.names.append(name)
        if made:
            os.fchmod(fd, 0o755)  # whatever the umask
            _sync(parent)

    def _up(self) -> None:
        if self.names:
            os.close(self._fds.pop())
            self.names.pop()

    def _target(self, fd: int) -> str:
        """Return where a link leads, back at the root if that is where it starts."""
        try:
            target = os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)
        if target.startswith("/"):
            while self.names:
                self._up()
        return target


def _sync(path_fd: int) -> None:
    """Put a directory on disk that is open for its path alone."""
    fd = os.open(".", _DIRECTORY, dir_fd=path_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
