"""Trace a program and everything it starts up to its n-th change, and interfere there.

The changes of the whole tree, threads and processes, are counted in one row, so a point is the
same call each time; the counters of ``strace -e inject=...:when=N`` are one a thread and a system
call, which meets another call where a plugin delegates, or is a Go program whose threads take
turns.  At the point the tree is killed, before the call is made, or the call fails and is not
made.

`trace` starts the program that it traces; `cnisdk.conformance.agent` traces one that runs.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cnisdk.conformance import ptrace
from cnisdk.conformance.changes import Change, change_of
from cnisdk.conformance.execution import TIMEOUT, Execution

ANY_CHILD = 0x40000000 | 0x20000000  # __WALL, and __WNOTHREAD: no other thread's children
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

# Says that it is there, waits until it is traced, and then is the program.
_START = ("/bin/sh", "-c", 'echo >&3; read -r _ <&3; exec 3<&-; exec "$0"')


class Mode(StrEnum):
    """What happens at the point."""

    KILL = "kill"
    """SIGKILL, to the plugin and all that it started."""
    ERROR = "error"
    """The call fails: ENOSPC on a write, ENOMEM from netlink, and so on."""


@dataclass(slots=True)
class Trace:
    """How it ended, and the changes up to then."""

    execution: Execution
    changes: list[Change] = field(default_factory=list)


class Tracees:
    """Threads that are traced, in any number of processes.

    Belongs to one thread, as ptrace(2) wants it: that which waits for them, and hands each stop
    to `stopped`.
    """

    def __init__(self, point: int, mode: Mode, *, started: bool) -> None:
        """Interfere at ``point``; ``started``: what runs is the program, not what becomes it."""
        self.changes: list[Change] = []
        self.traced: set[int] = set()
        self.killed = False
        self._point = point
        self._mode = mode
        self._started = started
        self._failing: dict[int, int] = {}
        self._entered: dict[int, ptrace.Stop] = {}
        self._restarting: dict[int, ptrace.Stop | None] = {}

    def seize(self, pid: int) -> None:
        """Trace a thread from now on."""
        ptrace.seize(pid)
        self.traced.add(pid)

    def stopped(self, pid: int, status: int) -> None:
        """See what a tracee has stopped for, and let it go on."""
        self.traced.add(pid)
        if self.killed:  # a child that came into being at that moment
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        sig, event = os.WSTOPSIG(status), status >> 16
        deliver = 0
        with contextlib.suppress(ProcessLookupError):  # killed in the meantime
            if sig == signal.SIGTRAP | 0x80:
                self._system_call(pid)
            elif event == ptrace.EVENT_EXEC:
                self._started = True
            elif event == ptrace.EVENT_STOP and sig in _STOPS:
                ptrace.listen(pid)
                return
            elif not event:
                deliver = sig
            ptrace.resume(pid, deliver)

    def interrupt(self) -> None:
        """Have all of them stop."""
        for pid in self.traced:
            with contextlib.suppress(ProcessLookupError):
                ptrace.interrupt(pid)

    def release(self, pid: int, status: int) -> None:
        """Trace one no more that has stopped."""
        sig, event = os.WSTOPSIG(status), status >> 16
        with contextlib.suppress(ProcessLookupError):
            if sig == signal.SIGTRAP | 0x80 and pid in self._failing:
                ptrace.fail(pid, self._failing.pop(pid))
            ptrace.detach(pid, 0 if event or sig == signal.SIGTRAP | 0x80 else sig)
        self.traced.discard(pid)

    def ended(self, pid: int) -> None:
        """Forget a tracee that has ended."""
        self.traced.discard(pid)

    def kill(self) -> None:
        """Kill all of them."""
        self.killed = True
        for pid in list(self.traced):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _system_call(self, pid: int) -> None:
        stop = ptrace.stop_of(pid)
        if stop.kind == ptrace.EXIT and pid in self._failing:
            ptrace.fail(pid, self._failing.pop(pid))
        elif stop.restarts:
            self._restarting[pid] = self._entered.get(pid)
        elif stop.kind == ptrace.ENTRY and self._started:
            self._entered[pid] = stop
            change = change_of(pid, stop.number, stop.args)
            if change is None:
                return  # what a signal's handler does before a call is restarted, perhaps
            if self._restarting.pop(pid, None) != stop:  # else counted when it was first made
                self._count(pid, change)

    def _count(self, pid: int, change: Change) -> None:
        self.changes.append(change)
        if len(self.changes) != self._point:
            return
        if self._mode is Mode.KILL:
            self.kill()
        else:
            ptrace.skip(pid)
            self._failing[pid] = change.error


class Call:
    """The call of a plugin, with files in memory for its streams."""

    def __init__(self, executable: str, environ: Mapping[str, str], stdin: bytes) -> None:
        self._executable = executable
        self._environ = dict(environ)
        self._stdin = stdin
        self._fds = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        os.write(self._fds[0], stdin)
        os.lseek(self._fds[0], 0, os.SEEK_SET)
        self._started = time.monotonic()

    def spawn(self, prefix: tuple[str, ...] = (), *fds: int) -> int:
        """Start it, in a process group of its own; ``fds`` are its descriptors from 3 on."""
        argv = [*prefix, self._executable]
        numbers = enumerate([*self._fds, *fds])
        return os.posix_spawn(
            argv[0],
            argv,
            self._environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in numbers],
            setpgroup=0,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            setsigmask=(),
        )

    def execution(self, status: int, *, timed_out: bool) -> Execution:
        """Return how it ended."""
        out, err = (os.pread(fd, os.fstat(fd).st_size, 0) for fd in self._fds[1:])
        return Execution(
            executable=self._executable,
            environ=self._environ,
            stdin=self._stdin,
            status=status,
            stdout=out,
            stderr=err,
            seconds=time.monotonic() - self._started,
            timed_out=timed_out,
        )

    def close(self) -> None:
        """Close its streams."""
        for fd in self._fds:
            os.close(fd)


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
    ptrace.machine()
    return _Tracer(point, mode).run(executable, environ, stdin, timeout)


class _Tracer:
    """One execution, traced from its first system call to its last."""

    def __init__(self, point: int, mode: Mode) -> None:
        self._tracees = Tracees(point, mode, started=False)
        self._timed_out = False

    def run(
        self, executable: str, environ: Mapping[str, str], stdin: bytes, timeout: float
    ) -> Trace:
        """Execute it to the end."""
        with contextlib.closing(Call(executable, environ, stdin)) as call:
            root = self._start(call)
            timer = threading.Timer(timeout, self._give_up)
            timer.start()
            try:
                status = self._follow(root)
            finally:
                timer.cancel()
            execution = call.execution(status, timed_out=self._timed_out)
        return Trace(execution, self._tracees.changes)

    def _start(self, call: Call) -> int:
        ours, gate = socket.socketpair()
        with ours, gate:
            pid = call.spawn(_START, gate.fileno())
            gate.close()
            try:
                ours.recv(1)
                self._tracees.seize(pid)
            except OSError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
            ours.send(b"\n")
        return pid

    def _follow(self, root: int) -> int:
        """Let everything run until nothing is left; return how the program ended.

        Waits for the plugin's process group alone: other children of ours may live on, and are
        somebody else's to wait for.  What left the group is ended with it.
        """
        result = 0
        while True:
            try:
                pid, status = os.waitpid(-root, ANY_CHILD)
            except ChildProcessError:
                self._end_strays()
                return result
            if os.WIFSTOPPED(status):
                self._tracees.stopped(pid, status)
            else:
                self._tracees.ended(pid)
                if pid == root:
                    result = os.waitstatus_to_exitcode(status)

    def _end_strays(self) -> None:
        for pid in self._tracees.traced:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                while not os.WIFSIGNALED(os.waitpid(pid, ANY_CHILD)[1]):
                    pass  # stopped once more on its way out

    def _give_up(self) -> None:
        self._timed_out = True
        self._tracees.kill()


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
