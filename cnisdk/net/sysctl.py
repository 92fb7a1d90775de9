"""Kernel parameters of the calling thread's namespaces; see sysctl(8).

A name has ``/`` between its parts, ``net/ipv6/conf/eth0.1/accept_ra``, so that a link's name may
contain dots.  Of another network namespace: inside its `NetNS.enter`.
"""

import errno
import os

from cnisdk import cancel

_FORBIDDEN = frozenset(("", ".", ".."))  # as parts of a name


def read(name: str) -> str:
    """Return a parameter's value without the newline; FileNotFoundError if there is none."""
    fd = os.open(_path(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536).decode("utf-8", "surrogateescape").strip()
    finally:
        os.close(fd)


def write(name: str, value: str | int, *, compare: bool = True) -> bool:
    """Set a parameter unless it has the value already; return whether it was changed.

    Numbers of a list may be separated by any white space.  Without ``compare`` it is set anyway:
    for one that is known to have another value, such as a new link's.
    """
    text = str(value)
    path = _path(name)
    try:
        if compare and read(name).split() == text.split():
            return False
    except PermissionError:
        pass  # some can only be written, such as net/ipv4/route/flush
    cancel.checkpoint()
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("utf-8", "surrogateescape"))
    except OSError as err:
        raise OSError(err.errno, f"{os.strerror(err.errno or 0)}: {text!r}", path) from err
    finally:
        os.close(fd)
    return True


def _path(name: str) -> str:
    if not _FORBIDDEN.isdisjoint(name.split("/")):
        raise OSError(errno.EINVAL, "not the name of a kernel parameter", name)
    return "/proc/sys/" + name
