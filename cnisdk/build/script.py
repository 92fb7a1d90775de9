"""Make executables that run from the virtual environment they are made in.

    python -m cnisdk.build.script PROJECT... -o DIRECTORY

A project is a directory whose pyproject.toml has entry points in the group ``cnisdk.plugins``;
each becomes one executable of that name.  The entry point is resolved here and now: a call must
not pay for importlib.metadata.  The executable serves the machine that it was made on, as it
names this interpreter; what is installed anywhere else needs more than a script.
"""

import argparse
import compileall
import os
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from cnisdk.plugin import Plugin

GROUP = "cnisdk.plugins"

# The kernel reads this much of the first line, its end included (BINPRM_BUF_SIZE); binfmt_script(5)
# also cuts it at white space.  It was 128 before Linux 5.1.
_SHEBANG_MAX = 127

_PATH = """\
import sys
sys.path[:0] = {path!r}
"""
_BODY = """\
from cnisdk.runner import main
from {module} import {attr}

main({attr})
"""


def entry_points(project: Path) -> list[EntryPoint]:
    """Return the plugins of ``project``, importable or not.

    Raises OSError if there is no pyproject.toml, ValueError if it declares no plugin.
    """
    path = project / "pyproject.toml"
    with path.open("rb") as file:
        declared = tomllib.load(file).get("project", {}).get("entry-points", {}).get(GROUP, {})
    if not declared:
        raise ValueError(f'{path}: no plugin in [project.entry-points."{GROUP}"]')
    return [EntryPoint(name, value, GROUP) for name, value in declared.items()]


def script(point: EntryPoint, interpreter: str, path: Sequence[str | Path] = ()) -> str:
    """Return the text of the executable for ``point``.

    The interpreter is isolated (``-I``): the environment of a call belongs to the runtime, and no
    PYTHONPATH of its may decide what is imported.  ``path`` is searched before what is installed.
    """
    shebang = f"#!{interpreter} -I"
    if len(shebang) > _SHEBANG_MAX or " " in interpreter:
        # The shell sees a command; Python, from the second line on, a string.
        shebang = f"#!/bin/sh\n'''exec' {shlex.quote(interpreter)} -I \"$0\" \"$@\"\n' '''"
    searched = _PATH.format(path=[str(entry) for entry in path]) if path else ""
    return f"{shebang}\n{searched}{_BODY.format(module=point.module, attr=point.attr)}"


def build(
    project: Path,
    directory: Path,
    interpreter: str = sys.executable,
    path: Sequence[str | Path] = (),
) -> list[Path]:
    """Write the executables of ``project`` into ``directory`` and return their paths.

    Each takes the place of an older one at once: a runtime finds the one or the other.  Modules
    are compiled, so that the first call is as fast as the next.  Raises TypeError for an entry
    point that is no plugin, and what its import raises.
    """
    built = []
    for point in entry_points(project):
        plugin = point.load()
        if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
            raise TypeError(f"{project}: {point.name} = {point.value!r} is no subclass of Plugin")
        _compile("cnisdk")
        _compile(point.module.partition(".")[0])
        built.append(_replace(directory / point.name, script(point, interpreter, path)))
    return built


def _compile(package: str) -> None:
    """Compile what is not; a tree that cannot be written to stays as it is."""
    spec = find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        compileall.compile_dir(location, quiet=2)


def _replace(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o755)  # noqa: S103 - an executable
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Build every project named on the command line; say what was made."""
    parser = argparse.ArgumentParser(prog="python -m cnisdk.build.script")
    parser.add_argument("project", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("dist/bin"))
    options = parser.parse_args(argv)
    for project in options.project:
        try:
            built = build(project, options.output)
        except (OSError, ValueError, TypeError, ImportError, AttributeError) as err:
            sys.stderr.write(f"cannot build {project}: {err}\n")
            return 1
        sys.stdout.writelines(f"{path}\n" for path in built)
    return 0


if __name__ == "__main__":
    sys.exit(main())
