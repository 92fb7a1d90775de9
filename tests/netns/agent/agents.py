"""A running agent, and launchers that call it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cnisdk.agent import trailer
from tests.host import OURS, ROOT, Container, Host, Outcome, cni_variables

TIMEOUT = 20.0
"""Seconds in which anything happens that a test waits for."""

NAMES = ("bridge", "host-local", "slow", "misbehaving", "meta", "process")


def environ() -> dict[str, str]:
    """Return what an agent for tests needs to find this checkout."""
    projects = sorted(str(path.parent) for path in ROOT.glob("plugins/*/pyproject.toml"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *projects])}


class Log:
    """The lines that an agent has logged so far, to be waited for."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.other: list[str] = []
        self._more = threading.Condition()

    def read(self, fd: int) -> None:
        with open(fd, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                self._take(line)

    def _take(self, line: str) -> None:
        with self._more:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.other.append(line)
            self._more.notify_all()

    def wait(self, event: str, *, count: int = 1, since: int = 0, **fields: Any) -> dict[str, Any]:
        """Return the line of ``event`` with these fields, the ``count``-th from ``since`` on."""

        def found() -> list[dict[str, Any]]:
            return self.find(event, since=since, **fields)

        with self._more:
            done = self._more.wait_for(lambda: len(found()) >= count, TIMEOUT)
            assert done, f"no {event} {fields} in {self.lines[since:]} {self.other}"
            return found()[count - 1]

    def find(self, event: str, *, since: int = 0, **fields: Any) -> list[dict[str, Any]]:
        return [
            line
            for line in self.lines[since:]
            if line["event"] == event and fields.items() <= line.items()
        ]


class RunningAgent:
    """An agent in a process, and a directory of launchers for it."""

    def __init__(
        self,
        directory: Path,
        base: bytes,
        *,
        options: Sequence[str] = (),
        wrapped: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        argv: Sequence[str] | None = None,
    ) -> None:
        self.directory = directory
        self.socket = directory / "agent" / "agent.sock"
        self.path = directory / "bin"
        self.queue = directory / "queue"
        self.base = base
        self.path.mkdir(exist_ok=True)
        for name in NAMES:
            self.write_launcher(name)
        module = [sys.executable, "-m", "tests.netns.agent.serving", str(self.socket)]
        self.health = directory / "health.sock"
        common = ["--queue", str(self.queue), "--health", str(self.health)]
        self.argv = [*wrapped, *(argv or module), *common, *options]
        self.env = {**environ(), **(env or {})}
        self.log = Log()
        self.start()

    def write_launcher(self, name: str, *settings: tuple[str, str]) -> None:
        """Write a launcher that without an agent does what ours do in one call."""
        common = [("socket", str(self.socket)), ("queue-dir", str(self.queue))]
        alone = f"{OURS}/{name}"
        if not settings and os.path.exists(alone):
            settings = (("mode", "exec"), ("exec", alone))
        path = self.path / name
        path.write_bytes(trailer.append(self.base, [*common, *settings]))
        path.chmod(0o755)

    def start(self) -> None:
        """Start it, and return when it serves."""
        read, write = os.pipe()
        since = len(self.log.lines)
        self.process = subprocess.Popen(
            self.argv, cwd=ROOT, env=self.env, stderr=write, stdout=subprocess.DEVNULL
        )
        os.close(write)
        self._reader = threading.Thread(target=self.log.read, args=(read,), daemon=True)
        self._reader.start()
        self.log.wait("serving", since=since)

    def kill(self, signum: int = signal.SIGKILL) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(signum)
        status = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if self.process.poll() is None and err is None:
                assert self.kill(signal.SIGTERM) == 0, self.log.lines
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(TIMEOUT)

    # -- calling it ---------------------------------------------------------------------------

    def call(
        self,
        host: Host,
        name: str,
        command: str,
        config: Mapping[str, Any] | bytes,
        container: Container | None = None,
        **kwargs: Any,
    ) -> Outcome:
        """Execute a launcher in ``host``, as `Host.plugin`."""
        return host.plugin(
            name, command, config, container, **{"path": str(self.path), "check": False, **kwargs}
        )

    def begin(
        self, host: Host, name: str, command: str, config: Mapping[str, Any], container: Container
    ) -> "subprocess.Popen[bytes]":
        """Start a launcher in ``host``, and return while it runs."""
        variables = {
            **cni_variables(command, container, str(self.path)),
            "PATH": os.environ["PATH"],
        }
        with host.inside():
            process = subprocess.Popen(
                [self.path / name],
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(config).encode())
        process.stdin.close()
        process.stdin = None
        return process

    def connect(self) -> socket.socket:
        """Connect as no launcher would."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT)
        sock.connect(str(self.socket))
        return sock

    def probe(self, path: str) -> tuple[int, str]:
        """Ask its health endpoint; return HTTP status and body."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(str(self.health))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            with sock.makefile("rb") as stream:
                head, _, body = stream.read().decode().partition("\r\n\r\n")
        return int(head.split()[1]), body

    def gauge(self, name: str) -> float:
        """Return one of its metrics."""
        _, text = self.probe("/metrics")
        (value,) = re.findall(rf"^cnisdk_agent_{name} (\S+)$", text, re.MULTILINE)
        return float(value)

    # -- looking at it ------------------------------------------------------------------------

    def fds(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self) -> int:
        """Its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait for something that nobody reports."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, what or "it did not come to that"
        time.sleep(0.005)


@contextlib.contextmanager
def fifo(path: Path) -> Iterator[Path]:
    """Make a FIFO."""
    os.mkfifo(path)
    try:
        yield path
    finally:
        path.unlink()
