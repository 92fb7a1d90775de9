"""Execute programs: firewall tools here, plugins in `cnisdk.invoke`.

On posix_spawn(3), since importing subprocess costs more than most executions.  The child starts
in the calling thread's network namespace, with default signal dispositions and none of our
descriptors but the three it is given.  Everything is waited for at once (input, output, the end,
a cancelled hook), so neither side can wait for the other; when `run` ends, by whatever exception,
the child has ended too and is reaped.  Output of what the child left running is not waited for.

Where there is no posix_spawn or no pidfd_open (Linux before 5.3, other systems) subprocess does
the same, but a hook cancelled from another thread waits for the child.
"""

import errno
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

from cnisdk import cancel

TOOL_TIMEOUT = 60.0
"""Seconds for a tool: a busy host makes them wait for a lock or for the kernel's memory."""

_GRACE = 2.0  # seconds for a child to undo what it did, between SIGTERM and SIGKILL
_PIECE = 65536
_STDIO_END = 3


class Completed(NamedTuple):
    """How a child ended: exit status, or minus the signal's number."""

    status: int
    stdout: bytes
    stderr: bytes


class ExecutionError(OSError):
    """A tool ended with a failure; its text has what the tool said on stderr."""

    def __init__(self, program: str, status: int, stderr: str) -> None:
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        super().__init__(errno.EIO, f"{program}: {stderr.strip() or how}")

    def __str__(self) -> str:
        return str(self.strerror)


def find(program: str, search_path: str) -> str | None:
    """Return where ``program`` is in ``search_path`` (as PATH), None if it is nowhere."""
    for directory in search_path.split(os.pathsep):
        path = os.path.join(directory, program)
        if directory and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def tool(argv: Sequence[str], *, search_path: str, stdin: bytes = b"") -> bytes:
    """Run a tool found in ``search_path`` and return its stdout.

    Raises FileNotFoundError if it is not there, TimeoutError, and ExecutionError if it fails.
    """
    env = {"PATH": search_path, "LC_ALL": "C"}
    done = run(argv, env=env, stdin=stdin, timeout=TOOL_TIMEOUT)
    if done.status != 0:
        raise ExecutionError(argv[0], done.status, done.stderr.decode("utf-8", "replace")[:2000])
    return done.stdout


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes = b"",
    stderr_fd: int | None = None,
    timeout: float | None = None,
) -> Completed:
    """Run a program to its end.

    A program without a slash is looked up in the PATH of ``env``, which is all the environment
    that the child gets.  Its stderr goes to ``stderr_fd`` if there is one and is returned
    otherwise.  After ``timeout`` seconds, TimeoutError.  A child that must end early (a timeout,
    a cancelled hook) gets SIGTERM, and SIGKILL two seconds later.
    """
    cancel.checkpoint()
    if not _can_spawn():
        return _run_by_subprocess(argv, env, stdin, stderr_fd, timeout)
    path = argv[0] if "/" in argv[0] else find(argv[0], env.get("PATH", ""))
    if path is None:
        raise FileNotFoundError(errno.ENOENT, "no such program in PATH", argv[0])
    deadline = None if timeout is None else time.monotonic() + timeout
    cancel.about_to_wait()
    with _Child(path, argv, env, stdin, stderr_fd) as child:
        child.communicate(deadline)
        status = child.reap()
    stdout, stderr = (b"".join(child.received.get(fd, ())) for fd in (child.stdout, child.stderr))
    return Completed(status, stdout, stderr)


_pidfd: bool | None = None


def _can_spawn() -> bool:
    global _pidfd  # asked once; what two threads find is the same
    if _pidfd is None:
        _pidfd = False
        if sys.platform == "linux" and hasattr(os, "pidfd_open"):
            with suppress(OSError):  # an older kernel, or a sandbox that refuses
                os.close(os.pidfd_open(os.getpid()))
                _pidfd = True
    return _pidfd


class _Bell:
    """Ends a poll from another thread; see `cancel.waking`.

    Closed when nobody refers to it any more: a cancelling thread may be about to ring.
    """

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ring(self) -> None:
        os.eventfd_write(self.fd, 1)

    def __del__(self) -> None:
        os.close(self.fd)


class _Child:
    """A child process and our ends of its pipes; leaving it ends and reaps the child."""

    def __init__(
        self,
        path: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        stdin: bytes,
        stderr_fd: int | None,
    ) -> None:
        self.name = argv[0]
        self.status: int | None = None
        self.received: dict[int, list[bytes]] = {}
        self._rest = memoryview(stdin)
        self._fds: set[int] = set()
        try:
            its_stdin, self._stdin = self._pipe()
            self.stdout, its_stdout = self._reading_pipe()
            self.stderr, its_stderr = self._reading_pipe() if stderr_fd is None else (-1, stderr_fd)
            os.set_blocking(self._stdin, False)
            self._feed()  # as a rule all of it fits into the pipe
            self._pid = _spawn(path, argv, env, its_stdin, its_stdout, its_stderr)
        except BaseException:
            self._close(*self._fds)
            raise
        self._close(its_stdin, its_stdout, its_stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            if self.status is None:
                self._end()
        finally:
            self._close(*self._fds)

    def communicate(self, deadline: float | None) -> None:
        """Feed the child and take its output until it ends."""
        from select import POLLIN, POLLOUT, poll

        pidfd = self._open_pidfd()
        bell = _Bell()
        poller = poll()
        for fd in (pidfd, bell.fd, *self.received):
            poller.register(fd, POLLIN)
        if self._stdin >= 0:
            poller.register(self._stdin, POLLOUT)
        with cancel.waking(bell.ring), cancel.interruptible():
            ready: list[int] = []
            while pidfd not in ready:
                ready = [fd for fd, _ in poller.poll(_milliseconds(deadline))]
                if not ready:
                    raise TimeoutError(errno.ETIMEDOUT, "did not end in time", self.name)
                for fd in ready:
                    if fd in self.received:
                        more = self._take(fd)
                    elif fd == self._stdin:
                        more = self._feed()
                    else:
                        cancel.checkpoint()
                        more = False
                    if not more:
                        poller.unregister(fd)
            for fd in self.received:
                while self._take(fd):
                    pass

    def reap(self) -> int:
        """Wait for the end and return the status: minus the signal's number if one did it."""
        try:
            _, status = os.waitpid(self._pid, 0)
        except ChildProcessError as err:
            raise self._lost() from err
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def _open_pidfd(self) -> int:
        try:
            pidfd = os.pidfd_open(self._pid)
        except ProcessLookupError as err:
            raise self._lost() from err
        self._fds.add(pidfd)
        return pidfd

    def _lost(self) -> ChildProcessError:
        """Say that somebody else took the child's status; there is nothing left to end."""
        self.status = 0
        text = "its exit status is lost: is SIGCHLD ignored?"
        return ChildProcessError(errno.ECHILD, text, self.name)

    def _end(self) -> None:
        """Make the child end: it may undo what it did, but not for long."""
        from select import POLLIN, poll
        from signal import SIGKILL, SIGTERM

        # Gone already, with its status, if SIGCHLD is ignored.
        with cancel.shielded(), suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, SIGTERM)
            poller = poll()
            poller.register(self._open_pidfd(), POLLIN)
            if not poller.poll(_GRACE * 1000):
                os.kill(self._pid, SIGKILL)
            self.reap()

    def _feed(self) -> bool:
        """Write what the pipe takes; close it and return False when there is nothing more."""
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._stdin, self._rest) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            pass  # the child does not want to know
        self._close(self._stdin)
        self._stdin = -1  # the number may be another descriptor's from now on
        return False

    def _take(self, fd: int) -> bool:
        """Read one piece; return False at the end, or if there is nothing yet."""
        try:
            piece = os.read(fd, _PIECE)
        except BlockingIOError:
            return False
        self.received[fd].append(piece)
        return bool(piece)

    def _reading_pipe(self) -> tuple[int, int]:
        reading, writing = self._pipe()
        os.set_blocking(reading, False)
        self.received[reading] = []
        return reading, writing

    def _pipe(self) -> tuple[int, int]:
        """Return a pipe whose ends cannot be mistaken for stdin, stdout and stderr."""
        ends = list(os.pipe())
        self._fds.update(ends)
        for place, fd in enumerate(ends):
            if fd < _STDIO_END:
                import fcntl

                ends[place] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STDIO_END)
                self._fds.add(ends[place])
                self._close(fd)
        return ends[0], ends[1]

    def _close(self, *fds: int) -> None:
        """Close those of ``fds`` that are this object's."""
        for fd in fds:
            if fd in self._fds:
                self._fds.remove(fd)
                os.close(fd)


def _spawn(
    path: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
) -> int:
    # what signal makes its enumerations from, which takes it 2 ms
    from _signal import SIGPIPE, SIGXFSZ  # type: ignore[import-not-found]

    return os.posix_spawn(
        path,
        list(argv),
        env,
        # stderr first: it may be one of the caller's, which the others then replace
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stderr, 2),
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
        ],
        setsigmask=(),
        setsigdef=(SIGPIPE, SIGXFSZ),  # the interpreter ignores them
    )


def _milliseconds(deadline: float | None) -> int | None:
    """Return how long to poll: None is for ever."""
    return None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000) + 1)


def _run_by_subprocess(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdin: bytes,
    stderr_fd: int | None,
    timeout: float | None,
) -> Completed:
    import shutil
    import subprocess

    path = argv[0] if os.path.dirname(argv[0]) else shutil.which(argv[0], path=env.get("PATH", ""))
    if path is None:
        raise FileNotFoundError(errno.ENOENT, "no such program in PATH", argv[0])
    with cancel.interruptible():
        try:
            done = subprocess.run(
                argv,
                executable=path,
                env=env,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if stderr_fd is None else stderr_fd,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as err:
            raise TimeoutError(errno.ETIMEDOUT, "did not end in time", argv[0]) from err
    return Completed(done.returncode, done.stdout, done.stderr or b"")
