"""Launchers made ready to run, and a stand-in for the agent that does what a test tells it."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pytest

from cnisdk.agent import protocol, trailer
from cnisdk.agent.protocol import Descriptor, Reason, Request

CONFIG = b'{"cniVersion": "1.0.0", "name": "net", "type": "bridge"}'

FALLBACK = 'echo one-call >>"$1"; printf "%%s:" "$0"; cat'
"""A one call that leaves a line in a file and prints its stdin."""


def require(present: object, what: str) -> None:
    """Skip, or fail where CI is set, unless a tool is there."""
    if not present and "CI" in os.environ:
        pytest.fail(f"{what} is not installed")
    if not present:
        pytest.skip(f"{what} is not installed")


class Outcome(NamedTuple):
    """What became of an executed launcher."""

    status: int
    stdout: bytes
    stderr: bytes


class Launcher:
    """One launcher, of either kind, in a directory of its own."""

    def __init__(self, directory: Path, base: bytes) -> None:
        self.directory = directory
        self.base = base
        self.path = directory / "bridge"
        self.socket = directory / "agent.sock"
        self.queue = directory / "state" / "queue"
        self.ran = directory / "ran"
        self.write([])

    def write(self, settings: Sequence[tuple[str, str]], payload: bytes = b"") -> Path:
        """Write the executable; a socket, a queue and short waits are set already."""
        common = [("socket", str(self.socket)), ("queue-dir", str(self.queue))]
        self.path.write_bytes(trailer.append(self.base, [*common, *settings], payload))
        self.path.chmod(0o755)
        return self.path

    def with_fallback(self, *settings: tuple[str, str]) -> Path:
        """Write it as one that runs `FALLBACK` when no agent serves."""
        shell = [("mode", "exec"), ("exec", "/bin/sh"), ("arg", "-c"), ("arg", FALLBACK)]
        return self.write([*shell, ("arg", "%n"), ("arg", str(self.ran)), *settings])

    def environ(self, command: str, **variables: str) -> dict[str, str]:
        """Return the variables of a usual call."""
        usual = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": "",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        return {name: value for name, value in {**usual, **variables}.items() if value}

    def run(
        self,
        command: str,
        *,
        stdin: bytes = CONFIG,
        argv: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        big: Mapping[str, str] | None = None,
        **variables: str,
    ) -> Outcome:
        """Execute it as a runtime does."""
        done = subprocess.run(
            [*argv, str(self.path)],
            env={**self.environ(command, **variables), **(big or {})} if env is None else env,
            input=stdin,
            capture_output=True,
            timeout=20,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @property
    def one_calls(self) -> int:
        """How often the fallback has run."""
        return len(self.ran.read_text().splitlines()) if self.ran.exists() else 0


class Connection:
    """One accepted connection of the stand-in, which does what daemon.py would have to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fds: list[int] = []
        self.descriptors: dict[Descriptor, int] = {}

    def receive(self) -> Request | None:
        """Read a request; None if the launcher closes before it is complete."""
        decoder = protocol.Decoder()
        request = None
        while request is None:
            data, fds = protocol.recv_fds(self.sock, decoder.wanted)
            self.fds += fds
            if not data:
                return None
            request = decoder.feed(data)
        self.descriptors = protocol.match_fds(request.descriptors, self.fds)
        return request

    def begin(self) -> bool:
        """Accept the call; say whether it may begin."""
        try:
            self.sock.sendall(protocol.ACCEPTED)
            if not protocol.withdrawn(self.sock):
                return True
            self.sock.sendall(protocol.encode_refusal(Reason.WITHDRAWN))
        except BrokenPipeError:
            return False  # the launcher is gone altogether
        return False

    def finish(self, status: int) -> None:
        self.sock.sendall(protocol.encode_status(status))

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.sock.close()


Behaviour = Callable[[Connection], object]


class StandIn:
    """Listens on a socket and hands each connection, one after the other, to a behaviour."""

    def __init__(self, path: Path, behaviour: Behaviour, *, backlog: int = 64) -> None:
        self.behaviour = behaviour
        self.problems: list[BaseException] = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(backlog)
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return  # shut down
            connection = Connection(sock)
            try:
                self.behaviour(connection)
            except BaseException as err:
                self.problems.append(err)
            finally:
                connection.close()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        if err is None and self.problems:
            raise self.problems[0]


def read_all(fd: int) -> bytes:
    """Return everything from the descriptor's offset to its end."""
    chunks = []
    while chunk := os.read(fd, 1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def serve(status: int = 0, output: bytes = b"from the agent\n") -> Behaviour:
    """Serve each call: print ``output``, end with ``status``."""

    def behave(connection: Connection) -> None:
        assert connection.receive() is not None
        assert connection.begin()
        os.write(connection.descriptors[Descriptor.STDOUT], output)
        connection.finish(status)

    return behave


def die() -> Behaviour:
    """Accept each call, read its stdin as a hook would, print half an answer, and die."""

    def behave(connection: Connection) -> None:
        assert connection.receive() is not None
        assert connection.begin()
        read_all(connection.descriptors[Descriptor.STDIN])
        os.write(connection.descriptors[Descriptor.STDOUT], b'{"cniVersion": ')

    return behave


def refuse(reason: Reason) -> Behaviour:
    """Refuse each call."""

    def behave(connection: Connection) -> None:
        connection.receive()
        connection.sock.sendall(protocol.encode_refusal(reason))

    return behave
