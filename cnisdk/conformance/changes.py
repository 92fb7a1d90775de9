"""Which system calls of a stopped process change something, and how each can fail.

A call that only looks is none of them, nor is one that changes the process alone.  Whether a
write goes to a file, or a send to the kernel's netlink, is not in the call's arguments: this
looks at the descriptor and at the memory of the process, which ptrace(2) allows.
"""

import errno
import os
import socket
import struct
from dataclasses import dataclass

_OPEN, _FD, _PATH, _PATH_AT, _SEND, _MESSAGE, _CHILD, _EXEC, _MOUNT = range(9)

# Number on x86-64: name, what its arguments are, how it fails.
_CALLS = {
    1: ("write", _FD, errno.ENOSPC),
    2: ("open", _OPEN, errno.ENOSPC),
    18: ("pwrite64", _FD, errno.ENOSPC),
    20: ("writev", _FD, errno.ENOSPC),
    44: ("sendto", _SEND, errno.ENOMEM),
    46: ("sendmsg", _MESSAGE, errno.ENOMEM),
    56: ("clone", _CHILD, errno.EAGAIN),
    57: ("fork", _CHILD, errno.EAGAIN),
    58: ("vfork", _CHILD, errno.EAGAIN),
    59: ("execve", _EXEC, errno.ENOMEM),
    74: ("fsync", _FD, errno.EIO),
    75: ("fdatasync", _FD, errno.EIO),
    76: ("truncate", _PATH, errno.EIO),
    77: ("ftruncate", _FD, errno.EIO),
    82: ("rename", _PATH, errno.ENOSPC),
    83: ("mkdir", _PATH, errno.ENOSPC),
    84: ("rmdir", _PATH, errno.EBUSY),
    85: ("creat", _PATH, errno.ENOSPC),
    86: ("link", _PATH, errno.ENOSPC),
    87: ("unlink", _PATH, errno.EIO),
    88: ("symlink", _PATH, errno.ENOSPC),
    165: ("mount", _MOUNT, errno.EBUSY),
    166: ("umount2", _PATH, errno.EBUSY),
    257: ("openat", _OPEN, errno.ENOSPC),
    258: ("mkdirat", _PATH_AT, errno.ENOSPC),
    263: ("unlinkat", _PATH_AT, errno.EIO),
    264: ("renameat", _PATH_AT, errno.ENOSPC),
    265: ("linkat", _PATH_AT, errno.ENOSPC),
    266: ("symlinkat", _PATH, errno.ENOSPC),
    285: ("fallocate", _FD, errno.ENOSPC),
    296: ("pwritev", _FD, errno.ENOSPC),
    316: ("renameat2", _PATH_AT, errno.ENOSPC),
    435: ("clone3", _CHILD, errno.EAGAIN),
}

_STDOUT = "to stdout"
_CLONE_THREAD = 0x10000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_PIDFD_GETFD = 438
_NETLINK_ROUTE = 0
_NETLINK_NETFILTER = 12
_NFNL_SUBSYS_NFTABLES = 10
_NFNL_SUBSYS_NFT_COMPAT = 11  # says which extensions there are
_NFT_GETTERS = frozenset((1, 4, 7, 10, 13, 16, 19, 21, 23))
_NFNL_BATCH = (16, 17)  # NFNL_MSG_BATCH_BEGIN and _END; what is between them follows
_RTM = ("LINK", "ADDR", "ROUTE", "NEIGH", "RULE", "QDISC", "TCLASS", "TFILTER", "ACTION")
_RTM_VERBS = ("NEW", "DEL", "GET", "SET")


@dataclass(frozen=True, slots=True)
class Change:
    """A system call that is about to change something."""

    process: str
    """What the process executes."""
    call: str
    what: str
    error: int
    """The errno with which the call is made to fail."""

    def __str__(self) -> str:
        return f"{self.process}: {self.call} {self.what}".rstrip()


def change_of(pid: int, number: int, args: tuple[int, ...]) -> Change | None:
    """Return what the call that ``pid`` is about to make changes, None if nothing."""
    known = _CALLS.get(number)
    if known is None:
        return None
    name, form, error = known
    what = _what(pid, name, form, args)
    if what is None:
        return None
    if what == _STDOUT:
        error = errno.EPIPE
    return Change(_process(pid), name, what, error)


def _what(pid: int, name: str, form: int, args: tuple[int, ...]) -> str | None:
    if form == _OPEN:
        path, flags = (args[0], args[1]) if name == "open" else (args[1], args[2])
        text = _text(pid, path)
        return text if flags & _WRITES and not text.startswith("/dev/") else None
    if form == _FD:
        return _file(pid, args[0], answer=name in ("write", "writev"))
    if form in (_PATH, _PATH_AT, _EXEC):
        return _text(pid, args[1 if form == _PATH_AT else 0])
    if form == _MOUNT:
        return _text(pid, args[1])
    if form == _CHILD:
        return _child(pid, name, args)
    address = args[1]
    if form == _MESSAGE:
        (iov,) = struct.unpack_from("Q", _memory(pid, address + 16, 8).ljust(8, b"\0"))
        (address,) = struct.unpack_from("Q", _memory(pid, iov, 8).ljust(8, b"\0"))
    return _netlink(pid, args[0], address)


def _child(pid: int, name: str, args: tuple[int, ...]) -> str | None:
    if name in ("fork", "vfork"):
        return "a process"
    flags = args[0]
    if name == "clone3":
        (flags,) = struct.unpack("Q", _memory(pid, args[0], 8).ljust(8, b"\0"))
    return None if flags & _CLONE_THREAD else "a process"


def _file(pid: int, fd: int, *, answer: bool) -> str | None:
    try:
        target = os.readlink(f"/proc/{pid}/fd/{fd & 0xFFFFFFFF}")
    except OSError:
        return None
    if fd == 1 and answer:
        return _STDOUT
    return (
        target if target.startswith("/") and not target.startswith(("/dev/", "/memfd:")) else None
    )


def _netlink(pid: int, fd: int, address: int) -> str | None:
    protocol = _protocol(pid, fd)
    data = _memory(pid, address, 64)
    if protocol is None or len(data) < 16:
        return None
    kind = struct.unpack_from("H", data, 4)[0]
    if protocol == _NETLINK_ROUTE and kind >= 16:
        verb, family = (kind - 16) % 4, (kind - 16) // 4
        if _RTM_VERBS[verb] == "GET":
            return None
        subject = _RTM[family] if family < len(_RTM) else str(kind)
        return f"RTM_{_RTM_VERBS[verb]}{subject}"
    if protocol == _NETLINK_NETFILTER:
        subsystem, message = kind >> 8, kind & 0xFF
        if subsystem == _NFNL_SUBSYS_NFT_COMPAT:
            return None
        if subsystem == _NFNL_SUBSYS_NFTABLES and message in _NFT_GETTERS:
            return None
        return "nftables batch" if kind in _NFNL_BATCH else f"netfilter {kind:#x}"
    return None


def _protocol(pid: int, fd: int) -> int | None:
    """Return the protocol of a netlink socket; None if the descriptor is none."""
    try:
        link = os.readlink(f"/proc/{pid}/fd/{fd}")
        if not link.startswith("socket:"):
            return None
        pidfd = os.pidfd_open(_tgid(pid))
    except OSError:
        return None
    try:
        copy = _pidfd_getfd(pidfd, fd)
    except OSError:
        return None
    finally:
        os.close(pidfd)
    with socket.socket(fileno=copy) as sock:
        return sock.proto if sock.family == socket.AF_NETLINK else None


def _pidfd_getfd(pidfd: int, fd: int) -> int:
    """Return a copy of another process's descriptor; see pidfd_getfd(2)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    copy: int = libc.syscall(_PIDFD_GETFD, pidfd, fd, 0)
    if copy < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return copy


def _tgid(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))


def _process(pid: int) -> str:
    """Return the name of what ``pid`` executes, a script's rather than its interpreter's."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "?"


def _text(pid: int, address: int) -> str:
    return _memory(pid, address, 4096).partition(b"\0")[0].decode("utf-8", "replace")


def _memory(pid: int, address: int, size: int) -> bytes:
    """Read memory of a process; what of it is there."""
    data = b""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            file.seek(address)
            while size > 0:
                # not across a page, of which the next may not be there
                some = min(size, 4096 - (address + len(data)) % 4096)
                data += file.read(some)
                size -= some
    except (OSError, ValueError, OverflowError):
        return data
    return data
