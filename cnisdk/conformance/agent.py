"""An agent under test: `cnisdk agent` in a process of its own, and its calls traced.

The tracer attaches to all threads of the agent while one call is made through it, and follows
what they start.  The launcher that makes the call is not traced: it is the runtime's.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cnisdk.conformance import ptrace
from cnisdk.conformance.execution import TIMEOUT
from cnisdk.conformance.tracees import Mode, Tracees, limited, waited
from cnisdk.conformance.tracer import Call, Trace

_SOCKET_VARIABLE = "CNISDK_SOCKET"  # of a launcher: where the agent listens
_START = ("-P", "-c", "from cnisdk.cli import main; main()", "agent")


class AgentError(Exception):
    """The agent does not do what an agent has to do."""


class Agent:
    """A running agent that serves every installed plugin, in the caller's namespaces.

    It lives in ``directory``, which nobody else may write to, and may be the second one there.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._socket = directory / "agent" / "agent.sock"
        # In memory, so that what it logs is no change of a file.
        self._log = os.memfd_create("log")
        self.pid, self._pidfd = 0, -1
        with _notified(directory / "notify") as notify:
            argv = [sys.executable, *_START, "--socket", str(self._socket)]
            argv += ["--queue", str(directory / "queue")]
            variables = {"NOTIFY_SOCKET": notify.getsockname(), "PYTHONDONTWRITEBYTECODE": "1"}
            self.pid = os.posix_spawn(
                sys.executable,
                argv,
                {**os.environ, **variables},
                file_actions=[(os.POSIX_SPAWN_DUP2, self._log, fd) for fd in (1, 2)],
                setpgroup=0,
            )
            self._pidfd = os.pidfd_open(self.pid)
            try:
                self._await_ready(notify)
            except BaseException:
                self.close()
                raise

    def _await_ready(self, notify: socket.socket) -> None:
        poll = select.poll()
        for fd in (notify.fileno(), self._pidfd):
            poll.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll(TIMEOUT * 1000)]
            if notify.fileno() in ready and b"READY=1" in notify.recv(4096):
                return
            if not ready or self._pidfd in ready:
                raise AgentError(f"the agent does not serve: {self.said()}")

    def environ(self) -> dict[str, str]:
        """Return the variable by which launchers find it."""
        return {_SOCKET_VARIABLE: str(self._socket)}

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    def has_served(self, command: str, container_id: str) -> bool:
        """Say whether it has logged a call: its launcher may have made it alone."""
        text = os.pread(self._log, os.fstat(self._log).st_size, 0).decode("utf-8", "replace")
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                entry: dict[str, Any] = json.loads(line)
                if (entry.get("command"), entry.get("container")) == (command, container_id):
                    return True
        return False

    def said(self) -> str:
        """Return the end of its log."""
        size = os.fstat(self._log).st_size
        return os.pread(self._log, 2000, max(0, size - 2000)).decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End it; a second time does nothing."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # the tracer has seen it end
                os.waitpid(self.pid, 0)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def trace(
        self,
        executable: str,
        environ: Mapping[str, str],
        stdin: bytes,
        *,
        point: int = 0,
        mode: Mode = Mode.KILL,
        timeout: float = TIMEOUT,
    ) -> Trace:
        """Make a call, and interfere with the agent at its change number ``point``.

        As `cnisdk.conformance.tracer.trace`, but that it is the agent and all that it starts
        which is killed, or of which a call fails, and that an agent which was not killed serves
        on.
        """
        ptrace.machine()
        call = Call(executable, environ, stdin)
        with contextlib.closing(call), ThreadPoolExecutor(1, "tracer") as thread:
            return thread.submit(_trace, self.pid, call, point, mode, timeout).result()


@contextlib.contextmanager
def _notified(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        try:
            yield sock
        finally:
            path.unlink()


def _trace(agent: int, call: Call, point: int, mode: Mode, timeout: float) -> Trace:
    """Trace one call, in a thread of its own: all that it can wait for belongs to the call."""
    tracees = Tracees(point, mode, started=True)
    _attach(agent, tracees)
    launcher = call.spawn()

    def give_up() -> None:
        tracees.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(launcher, signal.SIGKILL)

    with limited(timeout, give_up) as timed_out:
        status = _follow(launcher, tracees)
    return Trace(call.execution(status, timed_out=timed_out.is_set()), tracees.changes)


def _attach(agent: int, tracees: Tracees) -> None:
    """Trace every thread of the agent, those too that come into being meanwhile.

    Each stops once, which is for `_follow` to see.
    """
    while True:
        found = {int(name) for name in os.listdir(f"/proc/{agent}/task")} - tracees.traced
        if not found:
            return
        for thread in found:
            try:
                tracees.seize(thread)
            except ProcessLookupError:
                continue
            except PermissionError:
                if not _is_traced(thread):
                    raise
                tracees.traced.add(thread)  # a traced thread has just started it
            ptrace.interrupt(thread)


def _is_traced(thread: int) -> bool:
    with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as file:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)


def _follow(launcher: int, tracees: Tracees) -> int:
    """Let all run until the launcher has ended, and the tracees have too or are let go."""
    status: int | None = None
    for pid, wait_status in waited(-1):
        if pid == launcher:
            status = os.waitstatus_to_exitcode(wait_status)
            if not tracees.killed:
                tracees.interrupt()
        elif not os.WIFSTOPPED(wait_status):
            tracees.ended(pid)
        elif status is None or tracees.killed:
            tracees.stopped(pid, wait_status)
        else:
            tracees.release(pid, wait_status)
    return -signal.SIGKILL if status is None else status
