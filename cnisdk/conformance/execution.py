"""Execute a plugin as a runtime does, and keep what was sent and what came back.

`spawn` starts the executable itself.  A test that runs many variants of one Python plugin may
give another function of the same form, which forks; everything else stays the same.
"""

import contextlib
import json
import os
import select
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CLOSED = -1
"""In place of a descriptor: the plugin has no stdin at all."""

TIMEOUT = 30.0
"""Seconds after which a plugin that has not ended is killed."""

_PIPE_SIZE = 1 << 16

NO_FILES = ("/bin/sh", "-c", 'ulimit -f 0; exec "$0"')
"""Prefix of a plugin that is ended, by SIGXFSZ, when it first writes to a regular file."""

Spawn = Callable[[str, Mapping[str, str], tuple[int, int, int], Sequence[str]], int]
"""Executable, environment, its descriptors 0 to 2, what to execute it with: the pid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One call: what was sent, and how it ended."""

    executable: str
    environ: Mapping[str, str]
    stdin: bytes | None
    """None if it was closed."""
    status: int
    """Exit status; the negative number of a signal that ended it."""
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False

    @property
    def command(self) -> str:
        """CNI_COMMAND of the call."""
        return self.environ.get("CNI_COMMAND", "")

    @property
    def ok(self) -> bool:
        """Whether the plugin said that it succeeded."""
        return self.status == 0

    def objects(self) -> list[Any]:
        """Return the JSON values on stdout, one after the other; ValueError for other text."""
        decoder = json.JSONDecoder()
        text = self.stdout.decode()
        values = []
        at = 0
        while rest := text[at:].lstrip():
            value, length = decoder.raw_decode(rest)
            values.append(value)
            at = len(text) - len(rest) + length
        return values

    def object(self) -> dict[str, Any]:
        """Return the one JSON object on stdout, or an empty one if that is not what there is."""
        try:
            values = self.objects()
        except ValueError:
            return {}
        return values[0] if len(values) == 1 and isinstance(values[0], dict) else {}

    def ending(self) -> str:
        """Say how it ended."""
        if self.timed_out:
            return f"killed after {self.seconds:.0f} s without an answer"
        if self.status < 0:
            return f"ended by {signal.Signals(-self.status).name}"
        return f"exit status {self.status}"

    def script(self) -> str:
        """Return the call as a command that a person can type."""
        words = ["env", "-i", *(f"{key}={value}" for key, value in self.environ.items())]
        stdin = "<&-" if self.stdin is None else f"<<< {shlex.quote(_text(self.stdin))}"
        return f"{shlex.join([*words, self.executable])} {stdin}"


def _text(data: bytes, limit: int = 4000) -> str:
    text = data.decode("utf-8", "backslashreplace")
    return text if len(text) <= limit else f"{text[:limit]}... ({len(data)} bytes)"


def spawn(
    executable: str, environ: Mapping[str, str], fds: tuple[int, int, int], prefix: Sequence[str]
) -> int:
    """Start ``executable`` in a process group of its own and in the namespaces of the caller.

    ``prefix`` is a command that executes it.
    """
    actions: list[tuple[int, int] | tuple[int, int, int]] = [
        (os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds) if fd != CLOSED
    ]
    if fds[0] == CLOSED:
        actions.append((os.POSIX_SPAWN_CLOSE, 0))
    argv = [*prefix, executable]
    return os.posix_spawn(
        argv[0],
        argv,
        dict(environ),
        file_actions=actions,
        setpgroup=0,
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # which Python ignores
        setsigmask=(),
    )


class Running:
    """A plugin at work; `finish` has to be called."""

    def __init__(
        self,
        executable: str,
        environ: Mapping[str, str],
        stdin: bytes | None,
        *,
        silent: bool = False,
        prefix: Sequence[str] = (),
        spawn: Spawn = spawn,
    ) -> None:
        """Start it.

        ``stdin`` None closes stdin; with ``silent`` it is a pipe that never says anything and
        is not closed.
        """
        self._executable = executable
        self._environ = dict(environ)
        self._stdin = stdin
        inside, self._in = (CLOSED, CLOSED) if stdin is None else os.pipe()
        self._out, out = os.pipe()
        self._err, err = os.pipe()
        self._pending = memoryview(stdin or b"")
        self._silent = silent
        for fd in (self._in, self._out, self._err):
            if fd != CLOSED:
                os.set_blocking(fd, False)
        self._write()  # before it is there, since it may not wait for its stdin
        self._started = time.monotonic()
        try:
            self.pid = spawn(executable, self._environ, (inside, out, err), prefix)
        finally:
            for fd in (inside, out, err):
                if fd != CLOSED:
                    os.close(fd)
        self._pidfd = os.pidfd_open(self.pid)

    def _write(self) -> None:
        """Give the plugin as much of its stdin as it takes now; close it after the last byte."""
        if self._in == CLOSED:
            return
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._in, self._pending) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._pending = memoryview(b"")
        if not self._silent:
            os.close(self._in)
            self._in = CLOSED

    def fileno(self) -> int:
        """Return what becomes readable when the plugin has ended."""
        return self._pidfd

    def kill(self) -> None:
        """Kill the plugin, and whatever it started in its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def finish(self, timeout: float = TIMEOUT) -> Execution:
        """Wait for the end, at most ``timeout`` seconds from the start."""
        answers = {self._out: bytearray(), self._err: bytearray()}
        timed_out = not self._converse(answers, timeout)
        if timed_out:
            self.kill()
            self._converse(answers, timeout + TIMEOUT)
        seconds = time.monotonic() - self._started
        for fd, answer in answers.items():
            _drain(fd, answer)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        for fd in (self._in, self._out, self._err, self._pidfd):
            if fd != CLOSED:
                os.close(fd)
        return Execution(
            executable=self._executable,
            environ=self._environ,
            stdin=self._stdin,
            status=status,
            stdout=bytes(answers[self._out]),
            stderr=bytes(answers[self._err]),
            seconds=seconds,
            timed_out=timed_out,
        )

    def _converse(self, answers: Mapping[int, bytearray], timeout: float) -> bool:
        """Write and read until the plugin has ended; say whether it has in time."""
        poll = select.poll()
        for fd in (*answers, self._pidfd):
            poll.register(fd, select.POLLIN)
        if self._pending:
            poll.register(self._in, select.POLLOUT)
        while True:
            rest = self._started + timeout - time.monotonic()
            ready = [fd for fd, _ in poll.poll(max(0.0, rest) * 1000)]
            for fd in ready:
                if fd in answers and not _drain(fd, answers[fd]):
                    poll.unregister(fd)
                elif fd == self._in:
                    self._write()
                    if not self._pending:
                        poll.unregister(fd)
            if not ready or self._pidfd in ready:
                return bool(ready)


def _drain(fd: int, into: bytearray) -> bool:
    """Read what is there; False at the end."""
    try:
        while chunk := os.read(fd, _PIPE_SIZE):
            into += chunk
    except BlockingIOError:
        return True
    return False
