"""A daemon of a container runtime, started and ended as a service manager does it."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.netns.agent.agents import eventually


class Daemon:
    """Runs from `start` until `stop` or `kill`, and can be started again."""

    def __init__(
        self, argv: list[str], env: Mapping[str, str], log: Path, is_ready: Callable[[], bool]
    ) -> None:
        self._argv = argv
        self._env = env
        self._log = log
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._is_up, f"{self._argv[0]} does not answer:\n{self._log.read_text()}")

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return self._is_ready()

    def stop(self) -> None:
        """End it; a second time does nothing."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def kill(self) -> None:
        """End it without warning."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None
