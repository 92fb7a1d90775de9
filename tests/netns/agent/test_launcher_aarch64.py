"""The launcher for another architecture, cross-compiled and run under an emulator."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from cnisdk.agent import native
from tests.netns.agent.launchers import CONFIG, Launcher, StandIn, require, serve


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The first time ever takes ziglang a minute, for musl and its own runtime; then it is kept.

    It keeps another one where it is called above its own files, as from a checkout with .venv.
    """
    require(native.has_ziglang(), "ziglang")
    directory = tmp_path_factory.mktemp("aarch64")
    output = directory / "launcher"
    problems: list[str] = []
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-Werror"]
    with contextlib.chdir(directory):
        native.compile_launcher(str(output), cc=zig, report=problems.append)
    assert problems == []
    return output.read_bytes()


@pytest.fixture(scope="module")
def emulator() -> list[str]:
    if native.machine() == "aarch64":
        return []
    path = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    require(path, "qemu-aarch64")
    return [str(path)]


@pytest.fixture
def launcher(aarch64: bytes, tmp_path: Path) -> Launcher:
    return Launcher(tmp_path, aarch64)


def test_it_is_a_static_file_for_aarch64(aarch64: bytes) -> None:
    assert aarch64[:4] == b"\x7fELF"
    assert int.from_bytes(aarch64[18:20], "little") == 183  # EM_AARCH64
    assert b"ld-musl" not in aarch64
    assert len(aarch64) < 150_000


def test_it_answers_version(launcher: Launcher, emulator: list[str]) -> None:
    launcher.write([("versions", "0.4.0,9.9.9")])
    outcome = launcher.run("VERSION", argv=emulator, stdin=b'{"cniVersion": "0.4.0"}')

    assert json.loads(outcome.stdout) == {
        "cniVersion": "0.4.0",
        "supportedVersions": ["0.4.0", "9.9.9"],
    }


def test_it_hands_a_call_to_the_agent(launcher: Launcher, emulator: list[str]) -> None:
    with StandIn(launcher.socket, serve(3)):
        assert launcher.run("ADD", argv=emulator) == (3, b"from the agent\n", b"")


def test_it_runs_the_plugin_in_one_call(launcher: Launcher, emulator: list[str]) -> None:
    launcher.with_fallback()

    assert launcher.run("ADD", argv=emulator).stdout == b"bridge:" + CONFIG
