"""The agent's socket: made where nobody else can put one, or taken from who started us."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from cnisdk.agent import owned, systemd

if sys.platform == "linux":
    import fcntl

BACKLOG = 1024

_LOCK_VARIABLE = "CNISDK_AGENT_LOCK_FD"
_FIRST_LOCK_FD = 10  # out of the way of the descriptors that are passed by number


class UnsafeDirectoryError(Exception):
    """Others could put a socket of theirs in the place of ours."""


class Listener(NamedTuple):
    """A listening socket, and the lock that keeps another agent away from its path."""

    sock: socket.socket
    lock_fd: int = -1
    """Locked for as long as this process lives; -1 if nobody else could."""

    def pass_on(self) -> None:
        """Leave both to the program that this process is about to execute."""
        if self.lock_fd >= 0:
            os.set_inheritable(self.lock_fd, True)
            os.environ[_LOCK_VARIABLE] = str(self.lock_fd)
        systemd.pass_listener(self.sock)


def open_listener(path: str, prepare: Callable[[], object] = lambda: None) -> Listener:
    """Return a listening socket at ``path``, or the one that was passed to this process.

    The directory is made with mode 0700, or has to have it already and belong to us.  Where an
    agent lives that serves ``path``, or still undoes what it did, and where a service manager
    listens: OSError(EADDRINUSE).
    ``prepare`` is called when ``path`` is ours and nobody can connect yet.
    """
    lock = os.environ.pop(_LOCK_VARIABLE, "")
    passed = systemd.listener()
    if passed is not None:
        if lock:
            os.set_inheritable(int(lock), False)
            return Listener(passed, int(lock))
        try:
            return Listener(passed, _lock_passed(passed))
        except BaseException:
            passed.close()
            raise
    _make_directory(os.path.dirname(os.path.abspath(path)))
    lock_fd = _lock(f"{path}.lock", path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _refuse_to_replace(path)
        prepare()
        with suppress(FileNotFoundError):
            os.unlink(path)  # of an agent that died: we have its lock, and nobody listens
        sock.bind(path)
        os.chmod(path, 0o600)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        os.close(lock_fd)
        raise
    return Listener(sock, lock_fd)


def _make_directory(directory: str) -> None:
    # What it is in may be another agent's own: /run/cnisdk, say.
    os.makedirs(os.path.dirname(directory), mode=0o700, exist_ok=True)
    with suppress(FileExistsError):  # looked at below, like one we just made
        os.mkdir(directory, 0o700)
    if problem := owned.problem(directory):
        raise UnsafeDirectoryError(problem)


def _lock_passed(sock: socket.socket) -> int:
    """Keep agents that are started by hand away from a socket that was passed; -1 if none can be.

    They bind only in a directory of the kind that `_make_directory` makes.
    """
    path = sock.getsockname()
    if not isinstance(path, str) or not path.startswith("/"):
        return -1  # abstract
    try:
        return -1 if owned.problem(os.path.dirname(path)) else _lock(f"{path}.lock", path)
    except OSError as err:
        if err.errno == errno.EADDRINUSE:
            raise
        return -1  # read-only, or taken away: nobody else makes a socket there either


def _refuse_to_replace(path: str) -> None:
    """Raise OSError(EADDRINUSE) if somebody listens at ``path``, as systemd without an agent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)  # a backlog that is full is somebody's, too
        with suppress(FileNotFoundError, ConnectionRefusedError):
            with suppress(BlockingIOError):
                sock.connect(path)
            raise OSError(errno.EADDRINUSE, "somebody listens on this socket already", path)


def _lock(lock_path: str, path: str) -> int:
    """Lock the file until this process ends; whoever is killed leaves it unlocked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(lock_path, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_LOCK_FD)
    except BlockingIOError as err:
        raise OSError(errno.EADDRINUSE, "an agent has this socket already", path) from err
    finally:
        os.close(fd)  # the lock belongs to the open file, which the duplicate keeps
