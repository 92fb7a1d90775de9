"""A directory of plugins to record, and the calls that were kept."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cnisdk.recorder.call import Call, calls
from cnisdk.recorder.wrapping import Limits, record, stop
from tests.host import OURS, REFERENCE

CAT = shutil.which("cat") or ""
PYTHON = sys._base_executable  # type: ignore[attr-defined]


class Recorder:
    """Plugins in ``bin``, and what is kept of their calls in ``calls``."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.directory = directory / "calls"
        self.bin.mkdir()

    def script(self, name: str, text: str) -> Path:
        """Add a plugin in shell."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def copy(self, source: str | Path, name: str = "") -> Path:
        """Add a copy of an executable."""
        return Path(shutil.copy2(source, self.bin / (name or Path(source).name)))

    def plugins(self, directory: str, *names: str) -> None:
        for name in names:
            self.copy(Path(directory, name))

    def record(self, *names: str, **limits: int) -> None:
        for name in names:
            record(
                str(self.bin / name), calls=str(self.directory), limits=Limits()._replace(**limits)
            )

    def stop(self, *names: str) -> list[str]:
        said: list[str] = []
        for name in names:
            stop(str(self.bin / name), say=said.append)
        return said

    def run(
        self,
        name: str,
        *argv: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        command: str = "ADD",
    ) -> subprocess.CompletedProcess[bytes]:
        variables = {"CNI_COMMAND": command, "PATH": os.environ["PATH"], **(env or {})}
        path = self.bin / name
        return subprocess.run(
            [path, *argv], input=stdin, capture_output=True, env=variables, timeout=60, check=False
        )

    @property
    def calls(self) -> list[Call]:
        """All of them, oldest first; each must be readable."""
        problems: list[str] = []
        found = calls(str(self.directory), problems=problems)
        assert problems == []
        return found

    @property
    def call(self) -> Call:
        """The only one."""
        (call,) = self.calls
        return call


def identity(path: Path) -> tuple[object, ...]:
    """Return all of a file that recording it must leave as it was."""
    status = path.lstat()
    content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return (
        status.st_ino,
        stat.filemode(status.st_mode),
        status.st_uid,
        status.st_mtime_ns,
        status.st_nlink,
        content,
    )


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@pytest.fixture(params=["ours", pytest.param("reference", marks=pytest.mark.reference)])
def plugins(request: pytest.FixtureRequest) -> str:
    """A directory with bridge and host-local, of both kinds."""
    return OURS if request.param == "ours" else REFERENCE
