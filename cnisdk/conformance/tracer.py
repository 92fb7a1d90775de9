"""Execute a program and everything it starts under ptrace(2), up to its n-th change.

The changes of the whole tree are counted in one row, so a point is the same call each time; the
counters of ``strace -e inject=...:when=N`` are one a thread and a system call, which meets
another call where a plugin delegates, or is a Go program whose threads take turns.  At the
point the tree is killed, before the call is made, or the call fails and is not made.

Only x86-64 for now: system calls have other numbers and registers elsewhere.
"""

import contextlib
import ctypes
import os
import platform
import signal
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cnisdk.conformance.changes import Change, change_of
from cnisdk.conformance.execution import TIMEOUT, Execution

_SEIZE, _SYSCALL, _POKEUSER, _LISTEN, _SYSCALL_INFO = 0x4206, 24, 6, 0x4208, 0x420E

# TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, EXITKILL
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000
_EVENT_EXEC, _EVENT_STOP = 4, 128
_ENTRY, _EXIT = 1, 2
_INFO_SIZE = 88
_ORIG_RAX, _RAX = 15 * 8, 10 * 8
_ANY_CHILD = 0x40000000 | 0x20000000  # __WALL, and __WNOTHREAD: no other thread's children
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

# Says that it is there, waits until it is traced, and then is the program.
_START = ("/bin/sh", "-c", 'echo >&3; read -r _ <&3; exec 3<&-; exec "$0"')


class Mode(StrEnum):
    """What happens at the point."""

    KILL = "kill"
    """SIGKILL, to the plugin and all that it started."""
    ERROR = "error"
    """The call fails: ENOSPC on a write, ENOMEM from netlink, and so on."""


class UnsupportedError(Exception):
    """The machine's system calls are not known here."""


@dataclass(slots=True)
class Trace:
    """How it ended, and the changes up to then."""

    execution: Execution
    changes: list[Change] = field(default_factory=list)


def trace(
    executable: str,
    environ: Mapping[str, str],
    stdin: bytes,
    *,
    point: int = 0,
    mode: Mode = Mode.KILL,
    timeout: float = TIMEOUT,
) -> Trace:
    """Execute a plugin, and interfere with change number ``point``, the first is 1.

    With 0 nothing is interfered with.  Returns when the last process of the tree has ended;
    what has not after ``timeout`` seconds is killed.
    """
    if platform.machine() != "x86_64":
        raise UnsupportedError(f"no system calls are known of {platform.machine()}")
    return _Tracer(executable, environ, stdin, point, mode, timeout).run()


class _Tracer:
    """One execution.  Belongs to one thread, as ptrace(2) wants it."""

    def __init__(
        self,
        executable: str,
        environ: Mapping[str, str],
        stdin: bytes,
        point: int,
        mode: Mode,
        timeout: float,
    ) -> None:
        self._executable = executable
        self._environ = dict(environ)
        self._stdin = stdin
        self._point = point
        self._mode = mode
        self._timeout = timeout
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
        self._libc.ptrace.restype = ctypes.c_long
        self._changes: list[Change] = []
        self._tracees: set[int] = set()
        self._failing: dict[int, int] = {}
        self._started = False
        """Whether the plugin has taken the shell's place."""
        self._killed = False
        self._timed_out = False

    def run(self) -> Trace:
        """Execute it to the end."""
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            fds = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
            for fd in fds:
                stack.callback(os.close, fd)
            os.write(fds[0], self._stdin)
            os.lseek(fds[0], 0, os.SEEK_SET)
            self._root = self._start(fds)
            timer = threading.Timer(self._timeout, self._give_up)
            timer.start()
            stack.callback(timer.cancel)
            status = self._follow()
            out, err = (os.pread(fd, os.fstat(fd).st_size, 0) for fd in fds[1:])
        execution = Execution(
            executable=self._executable,
            environ=self._environ,
            stdin=self._stdin,
            status=status,
            stdout=out,
            stderr=err,
            seconds=time.monotonic() - started,
            timed_out=self._timed_out,
        )
        return Trace(execution, self._changes)

    def _start(self, fds: list[int]) -> int:
        ours, gate = socket.socketpair()
        with ours, gate:
            numbers = enumerate([*fds, gate.fileno()])
            pid = os.posix_spawn(
                _START[0],
                [*_START, self._executable],
                self._environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in numbers],
                setpgroup=0,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
                setsigmask=(),
            )
            gate.close()
            try:
                ours.recv(1)
                self._ptrace(_SEIZE, pid, 0, _OPTIONS)
            except OSError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
            self._tracees.add(pid)
            ours.send(b"\n")
        return pid

    def _follow(self) -> int:
        """Let everything run until nothing is left; return how the program ended.

        Waits for the plugin's process group alone: other children of ours may live on, and are
        somebody else's to wait for.  What left the group is ended with it.
        """
        result = 0
        while True:
            try:
                pid, status = os.waitpid(-self._root, _ANY_CHILD)
            except ChildProcessError:
                self._end_strays()
                return result
            if os.WIFSTOPPED(status):
                self._tracees.add(pid)
                self._stopped(pid, status)
            else:
                self._tracees.discard(pid)
                if pid == self._root:
                    result = os.waitstatus_to_exitcode(status)

    def _end_strays(self) -> None:
        for pid in self._tracees:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                while not os.WIFSIGNALED(os.waitpid(pid, _ANY_CHILD)[1]):
                    pass  # stopped once more on its way out
        self._tracees.clear()

    def _stopped(self, pid: int, status: int) -> None:
        if self._killed:  # a child that came into being at that moment
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        sig, event = os.WSTOPSIG(status), status >> 16
        request, deliver = _SYSCALL, 0
        if sig == signal.SIGTRAP | 0x80:
            self._system_call(pid)
        elif event == _EVENT_EXEC:
            self._started = True
        elif event == _EVENT_STOP:
            request = _LISTEN if sig in _STOPS else _SYSCALL
        elif not event:
            deliver = sig
        with contextlib.suppress(ProcessLookupError):  # killed in the meantime
            self._ptrace(request, pid, 0, deliver)

    def _system_call(self, pid: int) -> None:
        try:
            op, number, args = self._info(pid)
            if op == _EXIT and pid in self._failing:
                self._poke(pid, _RAX, -self._failing.pop(pid))
            elif op == _ENTRY:
                self._entered(pid, number, args)
        except ProcessLookupError:
            return

    def _entered(self, pid: int, number: int, args: tuple[int, ...]) -> None:
        change = change_of(pid, number, args) if self._started else None
        if change is None:
            return
        self._changes.append(change)
        if len(self._changes) != self._point:
            return
        if self._mode is Mode.KILL:
            self._kill()
        else:
            self._poke(pid, _ORIG_RAX, -1)
            self._failing[pid] = change.error

    def _kill(self) -> None:
        self._killed = True
        for pid in list(self._tracees):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _give_up(self) -> None:
        self._timed_out = True
        self._kill()

    # -- ptrace(2) -------------------------------------------------------------------------

    def _ptrace(
        self, request: int, pid: int, addr: int, data: int | ctypes.Array[ctypes.c_char]
    ) -> None:
        if self._libc.ptrace(request, pid, addr, data) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"ptrace: {os.strerror(number)}")

    def _poke(self, pid: int, offset: int, value: int) -> None:
        self._ptrace(_POKEUSER, pid, offset, value & 0xFFFFFFFFFFFFFFFF)

    def _info(self, pid: int) -> tuple[int, int, tuple[int, ...]]:
        """Return what kind of stop it is, the number of the call and its arguments."""
        buffer = ctypes.create_string_buffer(_INFO_SIZE)
        self._ptrace(_SYSCALL_INFO, pid, _INFO_SIZE, buffer)
        op = buffer.raw[0]
        number, *args = struct.unpack_from("7Q", buffer.raw, 24)
        return op, number, tuple(args)


def main() -> None:
    """``python -m cnisdk.conformance.tracer POINT MODE EXECUTABLE``: for scripts of stories."""
    import sys

    point, mode, executable = sys.argv[1:]
    stdin = sys.stdin.buffer.read()
    done = trace(executable, dict(os.environ), stdin, point=int(point), mode=Mode(mode)).execution
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    sys.exit(done.status if done.status >= 0 else 128 - done.status)


if __name__ == "__main__":
    main()
