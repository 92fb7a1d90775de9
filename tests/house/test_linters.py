"""The linters are tests: one command says whether the tree is good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import PROJECTS, ROOT, files

# Kernel tables grow with the kernel, not with our logic.
TABLES = {"cnisdk/net/_uapi.py"}
LIMIT = 600


def run(tool: str, *args: str) -> None:
    path = Path(sys.executable).parent / tool
    if not path.exists():
        pytest.skip(f"{tool} is not installed beside {sys.executable}")
    # lint-imports finds packages on PYTHONPATH; pytest's own pythonpath does not reach it.
    env = {**os.environ, "PYTHONPATH": ":".join(map(str, [ROOT, *PROJECTS]))}
    done = subprocess.run(
        [path, *args], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_has_the_form_of_ruff() -> None:
    run("ruff", "format", "--check", ".")


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", ".")


def test_types_are_strict_everywhere() -> None:
    run("mypy")
    for project in PROJECTS:  # each has a package "tests", so they cannot share a run or a cache
        name = project.relative_to(ROOT).as_posix()
        run("mypy", "--cache-dir", f".mypy_cache/{name}", f"{name}/tests")


def test_imports_go_down_the_layers() -> None:
    run("lint-imports")


def test_no_module_is_longer_than_the_limit() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines())
        for path in files("*.py")
    }
    assert {p: n for p, n in lengths.items() if n > LIMIT and p not in TABLES} == {}
