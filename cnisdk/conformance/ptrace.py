"""ptrace(2): one function a request, and where a machine keeps what a system call is about.

Known of x86-64 and aarch64.  Elsewhere everything here raises `UnsupportedError`: registers, and
the numbers of system calls (`cnisdk.conformance.changes`), are others there.
"""

import ctypes
import functools
import os
import platform
import struct
import sys
from typing import NamedTuple

_CONT_SYSCALL, _DETACH, _POKEUSER, _SETREGSET, _GETREGSET = 24, 17, 6, 0x4205, 0x4204
_SEIZE, _INTERRUPT, _LISTEN, _SYSCALL_INFO = 0x4206, 0x4207, 0x4208, 0x420E

# TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, EXITKILL
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000

EVENT_EXEC, EVENT_STOP = 4, 128
"""What a stop is about: its wait status, shifted by 16."""
ENTRY, EXIT = 1, 2
"""What a stop at a system call is about."""

_POINTER = 8  # a Python of 32 bits does other system calls
_INFO_SIZE = 88
_ORIG_RAX, _RAX = 15 * 8, 10 * 8
_NT_PRSTATUS, _NT_ARM_SYSTEM_CALL = 1, 0x404
_ARM_REGISTERS = 34 * 8  # x0 to x30, sp, pc, pstate

MACHINES = ("x86_64", "aarch64")


class UnsupportedError(Exception):
    """The machine's system calls are not known here."""


_RESTARTS = (-512, -513, -514, -516)  # ERESTARTSYS, -NOINTR, -NOHAND, _RESTARTBLOCK


class Stop(NamedTuple):
    """A tracee at the entry of a system call or at its exit."""

    kind: int
    number: int
    """Of the call; at the exit what it returns, or the negative errno."""
    args: tuple[int, ...]

    @property
    def restarts(self) -> bool:
        """Whether the kernel is about to make the same call once more, as if it were the first.

        It does so after a signal, and, all by itself, where a sysctl of the network finds another
        process at work on the network.
        """
        return self.kind == EXIT and self.number in _RESTARTS


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
    libc.ptrace.restype = ctypes.c_long
    return libc


def machine() -> str:
    """Return what this machine is called in `MACHINES`; UnsupportedError if it is none."""
    name = platform.machine()
    if sys.platform != "linux" or name not in MACHINES or struct.calcsize("P") != _POINTER:
        raise UnsupportedError(
            f"system calls are known of Linux on {' and '.join(MACHINES)}, not of {name}"
        )
    return name


def is_known() -> bool:
    """Say whether this machine is one of `MACHINES`."""
    try:
        machine()
    except UnsupportedError:
        return False
    return True


def seize(pid: int) -> None:
    """Become the tracer of a thread that runs on, and of all that it will start.

    Should this thread end, so do the tracees.
    """
    _request(_SEIZE, pid, 0, _OPTIONS)


def interrupt(pid: int) -> None:
    """Have a tracee stop, with `EVENT_STOP`."""
    _request(_INTERRUPT, pid)


def listen(pid: int) -> None:
    """Leave a tracee stopped by a signal as it is until it is continued."""
    _request(_LISTEN, pid)


def detach(pid: int, signum: int = 0) -> None:
    """Trace a stopped tracee no more."""
    _request(_DETACH, pid, 0, signum)


def resume(pid: int, signum: int = 0) -> None:
    """Let a stopped tracee run to the next entry or exit of a system call."""
    _request(_CONT_SYSCALL, pid, 0, signum)


def stop_of(pid: int) -> Stop:
    """Return at which system call a tracee has stopped."""
    buffer = ctypes.create_string_buffer(_INFO_SIZE)
    _request(_SYSCALL_INFO, pid, _INFO_SIZE, ctypes.addressof(buffer))
    number, *args = struct.unpack_from("q6Q", buffer.raw, 24)
    return Stop(buffer.raw[0], number, tuple(args))


def skip(pid: int) -> None:
    """Have the call at whose entry a tracee has stopped not be made."""
    if machine() == "x86_64":
        _poke(pid, _ORIG_RAX, -1)
    else:
        _set_registers(pid, _NT_ARM_SYSTEM_CALL, struct.pack("i", -1))


def fail(pid: int, error: int) -> None:
    """Have the call at whose exit a tracee has stopped return -1 and ``error``."""
    if machine() == "x86_64":
        _poke(pid, _RAX, -error)
        return
    registers = ctypes.create_string_buffer(_ARM_REGISTERS)
    iovec = _Iovec(ctypes.addressof(registers), _ARM_REGISTERS)
    _request(_GETREGSET, pid, _NT_PRSTATUS, ctypes.addressof(iovec))
    _set_registers(pid, _NT_PRSTATUS, struct.pack("q", -error) + registers.raw[8:])


def _set_registers(pid: int, kind: int, data: bytes) -> None:
    buffer = ctypes.create_string_buffer(data, len(data))
    iovec = _Iovec(ctypes.addressof(buffer), len(data))
    _request(_SETREGSET, pid, kind, ctypes.addressof(iovec))


def _poke(pid: int, offset: int, value: int) -> None:
    _request(_POKEUSER, pid, offset, value & 0xFFFFFFFFFFFFFFFF)


def _request(request: int, pid: int, addr: int = 0, data: int = 0) -> None:
    machine()
    if _libc().ptrace(request, pid, addr, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")
