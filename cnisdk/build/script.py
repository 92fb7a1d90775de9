"""Executables for where there is no native launcher: scripts with the launcher in Python.

They run what is installed beside the interpreter that they name, so they serve the machine that
they are made on and no other.  Otherwise they do what a native launcher does: ask the agent, and
make the call themselves when there is none; plugins built together run as one process.
"""

import compileall
import hashlib
import json
import shlex
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cnisdk.agent import trailer
from cnisdk.build.errors import BuildError
from cnisdk.build.project import Project

# The kernel reads this much of the first line, its end included (BINPRM_BUF_SIZE); binfmt_script(5)
# also cuts it at white space.  It was 128 before Linux 5.1.
_SHEBANG_MAX = 127

_BODY = """\
import sys

sys.path[:0] = {path!r}
from cnisdk.agent.launcher import main


def one_call(warm):
    from cnisdk.build.start import run

    run({plugins!r}, sys.argv[0].rpartition("/")[2], {identity!r}, warm)


main(__file__, one_call)
"""
_DESCRIBE = """\
import sys

sys.path[:0] = {path!r}
from cnisdk.build.start import describe

describe({plugins!r})
"""


def script(
    projects: Sequence[Project],
    python: str,
    versions: Sequence[str],
    *,
    warm: int = 0,
    socket: str = "",
) -> bytes:
    """Return the executable of all plugins of ``projects`` that speak ``versions``.

    The interpreter is isolated (``-I``): the environment of a call belongs to the runtime, and no
    PYTHONPATH of its may decide what is imported.
    """
    shebang = f"#!{python} -I"
    if len(shebang) > _SHEBANG_MAX or " " in python:
        # The shell sees a command; Python, from the second line on, a string.
        shebang = f"#!/bin/sh\n'''exec' {shlex.quote(python)} -I \"$0\" \"$@\"\n' '''"
    path, plugins = _path(projects), _plugins(projects)
    identity = hashlib.sha256(repr((python, path, plugins)).encode()).hexdigest()[:32]
    body = _BODY.format(path=path, plugins=plugins, identity=identity)
    settings = [("versions", ",".join(versions)), ("payload-id", identity)]
    settings += [("warm", str(warm))] if warm else []
    settings += [("socket", socket)] if socket else []
    return trailer.append(f"{shebang}\n{body}".encode(), settings)


def describe(projects: Sequence[Project], python: str) -> dict[str, tuple[str, ...]]:
    """Import the plugins as a call will, and return the versions of each.

    Compiles what they import, so that the first call is as fast as the next.
    """
    code = _DESCRIBE.format(path=_path(projects), plugins=_plugins(projects))
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        problem = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        names = " and ".join(project.name for project in projects)
        raise BuildError(f"{names} cannot be imported: {problem}")
    for location in _locations(projects):
        compileall.compile_dir(location, quiet=2)
    described: dict[str, list[str]] = json.loads(done.stdout)
    return {name: tuple(versions) for name, versions in described.items()}


def _locations(projects: Sequence[Project]) -> list[str]:
    spec = find_spec("cnisdk")
    ours = list(spec.submodule_search_locations or ()) if spec else []
    packages = [p.root / package for p in projects for package in p.packages]
    return ours + [str(package) for package in packages if package.is_dir()]


def _path(projects: Sequence[Project]) -> list[str]:
    """Return the directories of the projects, and ours, in case nothing of it is installed."""
    ours = Path(__file__).parents[2]
    return [*(str(project.root.resolve()) for project in projects), str(ours)]


def _plugins(projects: Sequence[Project]) -> dict[str, str]:
    return {name: value for p in projects for name, value in sorted(p.plugins.items())}
