"""What is published: a wheel that needs no compiler where it is installed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cnisdk.agent import native
from tests.host import ROOT

MACHINES = {"x86_64": 62, "aarch64": 183}
"""ELF's e_machine of each."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy of what git has, so that nothing else gets in."""
    top = tmp_path_factory.mktemp("wheel")
    source = top / "source"
    shutil.copytree(ROOT / "cnisdk", source / "cnisdk", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(ROOT / "cookiecutter", source / "cookiecutter")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(top), str(source))
    (made,) = top.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with cnisdk installed from the wheel."""
    directory = tmp_path_factory.mktemp("site")
    pip("install", "--no-index", "--target", str(directory), str(wheel))
    return directory


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-deps"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def test_it_carries_launchers_for_every_machine(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for machine, number in MACHINES.items():
            launcher = archive.read(f"cnisdk/agent/bin/launcher-{machine}")

            assert launcher[:4] == b"\x7fELF"
            assert int.from_bytes(launcher[18:20], "little") == number
            assert b"ld-musl" not in launcher


def test_it_carries_what_is_no_module_too(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {"cnisdk/py.typed", "cnisdk/agent/launcher.c", "cnisdk/agent/launcher.py"} <= names
    assert "cnisdk/template/cookiecutter.json" in names
    assert {f"cnisdk/{path.relative_to(ROOT / 'cnisdk')}" for path in modules()} <= names
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("tests/")]


def modules() -> list[Path]:
    return list((ROOT / "cnisdk").rglob("*.py"))


def test_an_executable_is_built_where_there_is_no_compiler(installed: Path, tmp_path: Path) -> None:
    command = ["from cnisdk.cli import main; main()", "build", str(ROOT / "plugins" / "host_local")]
    environ = {"PYTHONPATH": str(installed), "PATH": "/nonexistent", "CC": "/nonexistent/cc"}
    subprocess.run(
        [sys.executable, "-c", *command, "-o", str(tmp_path / "bin")],
        env=environ,
        check=True,
        timeout=120,
        cwd=tmp_path,
    )
    prebuilt = (installed / f"cnisdk/agent/bin/launcher-{native.machine()}").read_bytes()
    built = tmp_path / "bin" / "host-local"

    assert built.read_bytes().startswith(prebuilt)
    asked = {"CNI_COMMAND": "VERSION", "PATH": os.defpath}
    answer = subprocess.run([built], env=asked, check=True, capture_output=True, timeout=60)
    assert b'"1.1.0"' in answer.stdout
