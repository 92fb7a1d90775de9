"""The files of the project."""

import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def files(*patterns: str) -> list[Path]:
    """Return the files whose name has one of ``patterns``, but for what .gitignore has.

    Git is not asked: the machine may have none, and may not trust the owner of the checkout.
    """
    everywhere = [".git", *(name for name in _ignored(ROOT) if not name.startswith("/"))]
    found = []
    for directory, names, here in os.walk(ROOT):
        ignored = [name.strip("/") for name in (*everywhere, *_ignored(Path(directory)))]
        names[:] = [name for name in names if not any(fnmatch(name, i) for i in ignored)]
        found += [Path(directory, name) for name in here if name != ".git"]
    return [path for path in found if any(fnmatch(path.name, p) for p in patterns or ("*",))]


def _ignored(directory: Path) -> list[str]:
    """Return the directories that a .gitignore names; ``/name/`` is meant beside it alone."""
    try:
        return (directory / ".gitignore").read_text().split()
    except FileNotFoundError:
        return []


def python(code: str, *args: str) -> str:
    """Run ``code`` in an interpreter of its own that finds the checkout; return its stdout."""
    found = [str(ROOT), *map(str, PROJECTS)]
    path = f"import sys; sys.path[:0] = {found!r}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", path + code, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
