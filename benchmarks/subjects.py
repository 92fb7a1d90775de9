"""Who is measured: the Go reference, and ours as one call, with the agent, and standalone.

What cannot be made here is missing from what `make` returns, with the reason; a table shows that
too.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.network import Subject
from cnisdk.agent import native, trailer
from cnisdk.versions import SUPPORTED

ROOT = Path(__file__).parents[1]
REFERENCE = os.environ.get("CNI_REFERENCE", "/usr/lib/cni")
"""Directory of the Go reference plugins."""

PROJECTS = [ROOT / "plugins" / name for name in ("bridge", "host_local")]
CNISDK = str(Path(sys.executable).with_name("cnisdk"))
PLUGINS = ("bridge", "host-local")

GO = "Go"
ONE_CALL = "one call"
WARM = "warm"
STANDALONE = "standalone"

_START_TIMEOUT = 20.0


class MissingError(Exception):
    """A subject that cannot be made here; says why."""


def go() -> Subject:
    """Return the reference plugins as Debian has them, or those in CNI_REFERENCE."""
    for name in PLUGINS:
        if not os.access(f"{REFERENCE}/{name}", os.X_OK):
            raise MissingError(f"no {name} in {REFERENCE}: apt install containernetworking-plugins")
    return Subject(GO, REFERENCE)


def one_call(directory: Path) -> Subject:
    """Return the executables that run on the host's Python, with no agent to be found."""
    return _built(ONE_CALL, directory)


def standalone(directory: Path) -> Subject:
    """Return the executables with an interpreter of their own inside, and no agent."""
    return _built(STANDALONE, directory, "--standalone")


def _built(name: str, directory: Path, *options: str) -> Subject:
    unpacked = ("--unpack-dir", f"{directory}-payload")
    command = [CNISDK, "build", *map(str, PROJECTS), "-o", str(directory), *unpacked, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MissingError(done.stderr.strip())
    return Subject(name, str(directory), {"CNISDK_SOCKET": "/run/no-agent.sock"})


def witness(directory: Path) -> str:
    """Compile witness.c and return its path."""
    output = str(directory / "witness")
    source = str(Path(__file__).with_name("witness.c"))
    for compiler in ("musl-gcc", "cc", "gcc", "clang"):
        if shutil.which(compiler):
            command = [compiler, "-O1", "-static", "-s", "-o", output, source]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return output
    raise MissingError("no C compiler here makes static files")


class Agent:
    """An agent that serves both plugins, and the launchers that call it; a context manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "run" / "agent.sock"
        self.log = directory / "agent.log"
        bin_directory = directory / "bin"
        bin_directory.mkdir(parents=True)
        launcher = str(bin_directory / "bridge")
        if native.compile_launcher(launcher) is None:
            raise MissingError("no C compiler here makes static files")
        # No fallback: a call without the agent must not pass for one with it.
        settings = [("mode", "none"), ("on-del", "fail"), ("versions", ",".join(SUPPORTED))]
        Path(launcher).write_bytes(trailer.append(Path(launcher).read_bytes(), settings))
        (bin_directory / "host-local").symlink_to("bridge")
        self._process = self._start()

    @property
    def subject(self) -> Subject:
        """Launchers and agent."""
        environ = {"CNISDK_SOCKET": str(self.socket)}
        return Subject(WARM, str(self.directory / "bin"), environ, self._process.pid)

    def close(self) -> None:
        """End the agent."""
        self._process.terminate()
        self._process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [CNISDK, "agent", "--socket", str(self.socket)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise MissingError(f"the agent does not start: {self.log.read_text()[-500:]}")
            time.sleep(0.02)
        return process

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(str(self.socket)) == 0
