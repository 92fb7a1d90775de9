"""Which system calls of a stopped process change something, and how each can fail.

A call that only looks is none of them, nor is one that changes the process alone.  Whether a
write goes to a file, or a send to the kernel's netlink, is not in the call's arguments: this
looks at the descriptor and at the memory of the process, which ptrace(2) allows.
"""

import errno
import functools
import os
import socket
import struct
from dataclasses import dataclass

from cnisdk.conformance import ptrace

_OPEN, _FD, _PATH, _PATH_AT, _SEND, _MESSAGE, _CHILD, _EXEC, _MOUNT, _OPTION = range(10)

# Name: its number on x86-64 and on aarch64, which lacks the older ones; what its arguments are;
# how it fails.
CALLS = {
    "write": (1, 64, _FD, errno.ENOSPC),
    "open": (2, None, _OPEN, errno.ENOSPC),
    "pwrite64": (18, 68, _FD, errno.ENOSPC),
    "writev": (20, 66, _FD, errno.ENOSPC),
    "sendto": (44, 206, _SEND, errno.ENOMEM),
    "sendmsg": (46, 211, _MESSAGE, errno.ENOMEM),
    "setsockopt": (54, 208, _OPTION, errno.ENOMEM),
    "clone": (56, 220, _CHILD, errno.EAGAIN),
    "fork": (57, None, _CHILD, errno.EAGAIN),
    "vfork": (58, None, _CHILD, errno.EAGAIN),
    "execve": (59, 221, _EXEC, errno.ENOMEM),
    "fsync": (74, 82, _FD, errno.EIO),
    "fdatasync": (75, 83, _FD, errno.EIO),
    "truncate": (76, 45, _PATH, errno.EIO),
    "ftruncate": (77, 46, _FD, errno.EIO),
    "rename": (82, None, _PATH, errno.ENOSPC),
    "mkdir": (83, None, _PATH, errno.ENOSPC),
    "rmdir": (84, None, _PATH, errno.EBUSY),
    "creat": (85, None, _PATH, errno.ENOSPC),
    "link": (86, None, _PATH, errno.ENOSPC),
    "unlink": (87, None, _PATH, errno.EIO),
    "symlink": (88, None, _PATH, errno.ENOSPC),
    "mount": (165, 40, _MOUNT, errno.EBUSY),
    "umount2": (166, 39, _PATH, errno.EBUSY),
    "openat": (257, 56, _OPEN, errno.ENOSPC),
    "mkdirat": (258, 34, _PATH_AT, errno.ENOSPC),
    "unlinkat": (263, 35, _PATH_AT, errno.EIO),
    "renameat": (264, 38, _PATH_AT, errno.ENOSPC),
    "linkat": (265, 37, _PATH_AT, errno.ENOSPC),
    "symlinkat": (266, 36, _PATH, errno.ENOSPC),
    "fallocate": (285, 47, _FD, errno.ENOSPC),
    "pwritev": (296, 70, _FD, errno.ENOSPC),
    "renameat2": (316, 276, _PATH_AT, errno.ENOSPC),
    "clone3": (435, 435, _CHILD, errno.EAGAIN),
}

_STDOUT = "to stdout"
_PEER = "to a Unix socket"
_CLONE_THREAD = 0x10000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_XT_SET_REPLACE = ((socket.IPPROTO_IP, 64), (socket.IPPROTO_IPV6, 64))  # of iptables-legacy
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


@functools.cache
def _numbers() -> dict[int, tuple[str, int, int]]:
    """Return the calls of this machine: name, what the arguments are, how it fails."""
    column = ptrace.MACHINES.index(ptrace.machine())
    return {
        number: (name, form, error)
        for name, (*numbers, form, error) in CALLS.items()
        if (number := numbers[column]) is not None
    }


def change_of(pid: int, number: int, args: tuple[int, ...]) -> Change | None:
    """Return what the call that ``pid`` is about to make changes, None if nothing."""
    known = _numbers().get(number)
    if known is None:
        return None
    name, form, error = known
    what = _what(pid, name, form, args)
    if what is None:
        return None
    if what in (_STDOUT, _PEER):
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
    if form == _OPTION:
        return "the firewall's rules" if args[1:3] in _XT_SET_REPLACE else None
    address = args[1]
    if form == _MESSAGE:
        (iov,) = struct.unpack_from("Q", _memory(pid, address + 16, 8).ljust(8, b"\0"))
        (address,) = struct.unpack_from("Q", _memory(pid, iov, 8).ljust(8, b"\0"))
    return _message(pid, args[0], address)


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
    if answer and (fd == 1 or target.startswith("/memfd:stdout")):
        return _STDOUT
    return (
        target if target.startswith("/") and not target.startswith(("/dev/", "/memfd:")) else None
    )


def _message(pid: int, fd: int, address: int) -> str | None:
    sock = _socket(pid, fd)
    if sock is None:
        return None
    with sock:
        if sock.family == socket.AF_UNIX:
            return _PEER
        if sock.family != socket.AF_NETLINK:
            return None
        return _netlink(sock.proto, _memory(pid, address, 64))


def _netlink(protocol: int, data: bytes) -> str | None:
    if len(data) < 16:
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


def _socket(pid: int, fd: int) -> socket.socket | None:
    """Return a copy of another process's socket; None if the descriptor is none."""
    try:
        if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            return None
        pidfd = os.pidfd_open(_tgid(pid))
    except OSError:
        return None
    try:
        return socket.socket(fileno=_pidfd_getfd(pidfd, fd))
    except OSError:
        return None
    finally:
        os.close(pidfd)


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
