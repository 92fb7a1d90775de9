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
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cnisdk.conformance import ptrace
from cnisdk.conformance.changes import Change
from cnisdk.conformance.execution import TIMEOUT, Execution
from cnisdk.conformance.tracees import Mode, Tracees, limited, waited

# Says that it is there, waits until it is traced, and then is the program.
_START = ("/bin/sh", "-c", 'echo >&3; read -r _ <&3; exec 3<&-; exec "$0"')


@dataclass(slots=True)
class Trace:
    """How it ended, and the changes up to then."""

    execution: Execution
    changes: list[Change] = field(default_factory=list)


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

    def run(
        self, executable: str, environ: Mapping[str, str], stdin: bytes, timeout: float
    ) -> Trace:
        """Execute it to the end."""
        with contextlib.closing(Call(executable, environ, stdin)) as call:
            root = self._start(call)
            with limited(timeout, self._tracees.kill) as timed_out:
                status = self._follow(root)
            execution = call.execution(status, timed_out=timed_out.is_set())
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
        for pid, status in waited(-root):
            if os.WIFSTOPPED(status):
                self._tracees.stopped(pid, status)
            else:
                self._tracees.ended(pid)
                if pid == root:
                    result = os.waitstatus_to_exitcode(status)
        self._end_strays()
        return result

    def _end_strays(self) -> None:
        for pid in self._tracees.traced:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                for _ in waited(pid):
                    pass  # stopped once more on its way out, and then ended


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
