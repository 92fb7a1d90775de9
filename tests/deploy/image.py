"""The image, as far as the commands of its Dockerfile make it.

There is no package index here: what it would be asked for is this session's.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.deploy import dockerfile
from tests.deploy.dockerfile import Stage

FOLDERS = ("/wheels", "/plugins", "/networks")
"""What commands name with its whole path."""

INTO = " --root /installed"
"""What pip installs with this is copied into the image."""


def make(file: Path, context: Path, root: Path) -> None:
    """Execute the commands of all stages, each in a virtual environment below ``root``."""
    wheels, made, installed = dockerfile.read(file)
    venvs = [environment(root / name) for name in ("wheels-venv", "made", "installed")]
    assert run(wheels, context, root, venvs[0]) == 2
    assert run(made, context, root, venvs[1]) == 1
    assert run(installed, context, root, venvs[2]) == 0


def environment(venv: Path) -> Path:
    """Make a virtual environment that has what this session has."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "session.pth").write_text(sysconfig.get_path("purelib"))
    pip = venv / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{venv}/bin/python" -m pip "$@"\n')
    pip.chmod(0o755)
    return venv


def run(stage: Stage, context: Path, root: Path, venv: Path) -> int:
    """Execute the commands of a stage; return how many."""
    source, done = root / f"{venv.name}-src", 0
    source.mkdir()
    for instruction in stage.instructions:
        if instruction.word == "COPY" and "from" not in instruction.options:
            sources, target = dockerfile.copied(instruction)
            there = root / target.strip("/") if target.startswith("/") else source
            for name in sources:
                copy(context / name, there / (name if target.endswith("/") else target))
        elif instruction.word == "RUN" and not dockerfile.only_fetches(instruction):
            command = instruction.rest
            if INTO in command:
                command = command.replace(INTO, "")
                command = command.replace("pip ", f"pip --python {root}/installed ", 1)
            for path in FOLDERS:
                command = command.replace(f" {path}", f" {root}{path}")
            ran = subprocess.run(
                ["/bin/sh", "-c", command], cwd=source, env=environ(venv), capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            assert ran.returncode == 0, ran.stdout + ran.stderr
            done += 1
    return done


def environ(venv: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_IGNORE_INSTALLED": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", ".venv", "dist")
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    else:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
