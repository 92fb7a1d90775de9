"""Network namespaces: open, enter by one thread, create, delete.

A namespace is a file descriptor here, never a path that could come to mean another one.  A
thread that moves (`NetNS.enter`, `create`) moves alone, and back: no fork, no other thread
notices.  A thread that cannot move back must do nothing more, since whatever it did next would
happen to a container instead of the host: that is `StrandedThread`.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from cnisdk import cancel
from cnisdk.net import _uapi as k
from cnisdk.net.libc import mount, setns, umount2, unshare

_OWN = "/proc/thread-self/ns/net"

_NSTYPES = {
    k.CLONE_NEWNS: "mount",
    k.CLONE_NEWCGROUP: "cgroup",
    k.CLONE_NEWUTS: "uts",
    k.CLONE_NEWIPC: "ipc",
    k.CLONE_NEWUSER: "user",
    k.CLONE_NEWPID: "pid",
    k.CLONE_NEWTIME: "time",
}


class NotANamespaceError(OSError):
    """The path exists, and is no network namespace."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(errno.EINVAL, f"not a network namespace but {found}", path)


class StrandedThread(BaseException):
    """The calling thread could not move back to the network namespace it came from."""


class NetNS:
    """A network namespace, held by the descriptor ``fd``.

    Owns the descriptor unless told otherwise: `close`, or leaving it as a context manager,
    closes it.  ``path`` is where it was found, for messages.
    """

    __slots__ = ("_owned", "fd", "path")

    def __init__(self, fd: int, path: str = "", *, owned: bool = True) -> None:
        self.fd = fd
        self.path = path
        self._owned = owned

    @classmethod
    def open(cls, path: str) -> "NetNS":
        """Open the network namespace at ``path``.

        Raises FileNotFoundError where there is none, `NotANamespaceError` for anything else.
        """
        try:
            # O_NONBLOCK: a fifo must not hold us up.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        except ValueError as err:
            raise NotANamespaceError(path, "a name with a NUL byte") from err
        except OSError as err:
            if err.errno == errno.ENXIO:
                raise NotANamespaceError(path, "a socket") from err
            raise
        try:
            _check_type(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, path)

    @classmethod
    def of(cls, fd: int, path: str = "") -> "NetNS":
        """Take a descriptor that stays its owner's.

        Raises `NotANamespaceError` if it refers to anything but a network namespace.
        """
        _check_type(fd, path)
        return cls(fd, path, owned=False)

    @classmethod
    def current(cls) -> "NetNS":
        """Open the network namespace of the calling thread."""
        return cls(os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC), _OWN)

    def close(self) -> None:
        """Close the descriptor if it is owned; a second time does nothing."""
        fd, self.fd = self.fd, -1
        if self._owned and fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"NetNS(fd={self.fd}, path={self.path!r})"

    def same_as(self, other: "NetNS") -> bool:
        """Say whether both are one namespace, under whatever names."""
        mine, its = os.fstat(self.fd), os.fstat(other.fd)
        return (mine.st_dev, mine.st_ino) == (its.st_dev, its.st_ino)

    def holds_thread(self) -> bool:
        """Say whether the calling thread is in this namespace."""
        mine, its = os.fstat(self.fd), os.stat(_OWN)
        return (mine.st_dev, mine.st_ino) == (its.st_dev, its.st_ino)

    def move_thread(self) -> None:
        """Move the calling thread in for good; `enter` brings it back."""
        setns(self.fd, k.CLONE_NEWNET)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Move the calling thread in for the length of the block; other threads stay.

        A thread or a process that is started inside starts inside, and stays.  Sockets opened
        inside stay in this namespace.  /proc/sys/net is this namespace's, for this thread.
        """
        with _returning():
            setns(self.fd, k.CLONE_NEWNET)
            yield


@contextmanager
def _returning() -> Iterator[None]:
    """Bring the calling thread back to its network namespace, whatever the block did."""
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            with cancel.shielded():
                setns(own, k.CLONE_NEWNET)
        except OSError as err:
            # Who may not move has not left.
            if not NetNS(own, owned=False).holds_thread():
                raise StrandedThread(f"cannot return to the network namespace: {err}") from err
        finally:
            os.close(own)


def create(path: str) -> None:
    """Make a network namespace and keep it at ``path``, as ``ip netns add`` does.

    The caller stays where it is.  Makes missing directories; raises FileExistsError if there is
    anything at ``path``, and leaves nothing there if it fails.
    """
    cancel.checkpoint()
    os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        with _returning():
            unshare(k.CLONE_NEWNET)
            mount(_OWN, path, "none", k.MS_BIND)
    except BaseException:
        with suppress(OSError):  # not mounted yet, as a rule
            umount2(path, k.MNT_DETACH | k.UMOUNT_NOFOLLOW)
        with suppress(OSError):  # what went wrong first is what to report
            os.unlink(path)
        raise


def delete(path: str) -> None:
    """Take the namespace away from ``path``; it ends when nothing else holds it.

    Raises FileNotFoundError if there is nothing, `NotANamespaceError` if nothing is mounted.
    """
    cancel.checkpoint()
    try:
        umount2(path, k.MNT_DETACH | k.UMOUNT_NOFOLLOW)
    except OSError as err:
        if err.errno == errno.EINVAL:
            raise NotANamespaceError(path, "not mounted") from err
        raise
    os.unlink(path)


def _check_type(fd: int, path: str) -> None:
    try:
        nstype = fcntl.ioctl(fd, k.NS_GET_NSTYPE)
    except OSError as err:
        raise NotANamespaceError(path, _describe(os.fstat(fd).st_mode)) from err
    if nstype != k.CLONE_NEWNET:
        raise NotANamespaceError(path, f"a {_NSTYPES.get(nstype, 'strange')} namespace")


def _describe(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISREG(mode):
        return "a regular file"
    return "a special file"
