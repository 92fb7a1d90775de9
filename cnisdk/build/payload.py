"""Put together what stands behind the launcher: plugins, what they require, an interpreter.

::

    main.pyc    what runs first: `cnisdk.build.start`
    plugins     which plugins there are
    modules     all Python modules, compiled: `cnisdk.build.bundle`
    site/       extension modules and data, where their packages look for them; the docstrings of
                fields, for ``schema``
    bin/ lib/   standalone only: the interpreter, its libraries and extension modules
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnisdk.build import bundle, progress
from cnisdk.build.errors import BuildError
from cnisdk.build.interpreter import Copy, Interpreter, Source, extension_name, module_name
from cnisdk.build.project import Project, installed_files
from cnisdk.build.requirements import closure
from cnisdk.types import descriptions

HERE = Path(__file__).parent

# Of our own package: what makes executables, and what serves people, has no place in them.
_LEFT_OUT = tuple(
    f"cnisdk/{name}/"
    for name in ("build", "cli", "conformance", "node", "picture", "template", "agent/bin")
)


class Payload(NamedTuple):
    """A tree that is ready to be packed."""

    tree: Path
    command: tuple[str, ...]
    """What to execute, ``%d`` being the directory it was unpacked to; name and path follow."""
    versions: Mapping[str, tuple[str, ...]]
    """Name of a plugin: what it answers to VERSION."""


def assemble(
    projects: Sequence[Project],
    interpreter: Interpreter,
    tree: Path,
    *,
    standalone: bool,
    show: progress.Progress = progress.silent,
) -> Payload:
    """Make the payload of ``projects`` in the empty directory ``tree`` and try it."""
    files = collect(projects)
    plugins = _plugins(projects)
    lines = (f"{name}={value}\n" for name, value in sorted(plugins.items()))
    (tree / "plugins").write_text("".join(lines), encoding="utf-8")
    copy = Copy(interpreter, tree) if standalone else None
    modules, others = _site(files, tree)
    _describe(files, tree)
    loose = [("main.py", str(HERE / "start.py"), str(tree / "main.pyc"))]
    written = tree / "written.py"
    if copy is not None:
        with show("Copying the interpreter", 1) as advance:
            others |= copy.extensions()
            copy.executables(files.values())
            advance()
        modules += copy.modules()
        loose += copy.files()
        name, text = copy.sysconfig()
        written.write_text(text)
        modules.append(Source(name, is_package=False, shown=f"{name}.py", source=written))
    _compile(interpreter, tree, modules, others, loose, show)
    written.unlink(missing_ok=True)
    run = copy.command(str(tree)) if copy else interpreter.command()
    versions = {name: tuple(spoken) for name, spoken in _try(run, tree, projects).items()}
    command = copy.command("%d") if copy else interpreter.command()
    return Payload(tree, (*command, "%d/main.pyc", "%n", "%s", "%w"), versions)


def collect(projects: Sequence[Project]) -> dict[str, Path]:
    """Return the files of the projects, of what they require and of cnisdk, by their paths."""
    required = [("cnisdk", "a build")]
    required += [(text, project.name) for project in projects for text in project.requires]
    files: dict[str, Path] = {}
    for distribution in closure(required).values():
        files |= installed_files(distribution)
    for project in projects:
        files |= project.files()
    return {
        path: files[path]
        for path in sorted(files)
        if not path.startswith(_LEFT_OUT) and "\n" not in path
    }


def _plugins(projects: Sequence[Project]) -> dict[str, str]:
    plugins: dict[str, str] = {}
    for project in projects:
        for name, value in project.plugins.items():
            if plugins.setdefault(name, value) != value:
                raise BuildError(f"several projects have a plugin {name}", "build them apart")
    return plugins


def _site(
    files: Mapping[str, Path], tree: Path
) -> tuple[list[Source], dict[str, str | tuple[int, int, bool]]]:
    """Copy what is no Python; return the modules to compile, and the index's other entries."""
    site = tree / "site"
    site.mkdir()
    modules: list[Source] = []
    others: dict[str, str | tuple[int, int, bool]] = {}
    for path, source in files.items():
        parent = PurePosixPath(path).parent
        extension = extension_name(source.name)
        if extension:
            others[".".join((*parent.parts, extension))] = path
        elif source.suffix == ".py":
            name, is_package = module_name(Path(path))
            modules.append(Source(name, is_package, path, source))
            continue
        (site / parent).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, site / path)
        (site / path).chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    # An extension module comes before a source of its name, as it does in any directory.
    modules = [module for module in modules if module.name not in others]
    names = {module.name for module in modules} | set(others)
    for name in sorted(names):
        parts = name.split(".")
        for i in range(1, len(parts)):
            if (package := ".".join(parts[:i])) not in names:
                others[package] = (0, 0, True)  # a namespace package, PEP 420
    return modules, others


def _describe(files: Mapping[str, Path], tree: Path) -> None:
    """Keep what compiled modules lose and ``schema`` tells: docstrings below fields."""
    kept: dict[str, descriptions.Written] = {}
    for path, source in files.items():
        if source.suffix == ".py" and b"cnisdk" in (content := source.read_bytes()):
            name, _ = module_name(Path(path))
            try:
                written = descriptions.written_in(content)
            except (SyntaxError, ValueError):
                continue  # nobody imports it
            if written:
                kept[name] = written
    (tree / "site" / "cnisdk" / "types").mkdir(parents=True, exist_ok=True)
    text = json.dumps(kept, sort_keys=True)
    (tree / "site" / "cnisdk" / "types" / descriptions.KEPT).write_text(text, encoding="utf-8")


def _compile(
    interpreter: Interpreter,
    tree: Path,
    modules: Sequence[Source],
    others: Mapping[str, str | tuple[int, int, bool]],
    files: list[tuple[str, str, str]],
    show: progress.Progress,
) -> None:
    work: bundle.Work = {
        "output": str(tree / "modules"),
        "modules": [(m.name, m.is_package, m.shown, str(m.source)) for m in sorted(modules)],
        "others": dict(sorted(others.items())),
        "files": files,
    }
    argv = [interpreter.executable, "-I", "-S", "-W", "ignore", "-X", "no_debug_ranges"]
    with (
        show("Compiling", len(modules)) as advance,
        subprocess.Popen(
            [*argv, str(HERE / "bundle.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018
        json.dump(work, process.stdin)
        process.stdin.close()
        for _ in process.stdout:
            advance()
        problem = process.stderr.read().strip()
    if process.returncode != 0:
        raise BuildError("a module cannot be compiled:\n" + problem)


def _try(run: Sequence[str], tree: Path, projects: Sequence[Project]) -> dict[str, list[str]]:
    """Import the plugins out of the tree alone, with nothing around it that could help.

    Returns name of a plugin: what it answers to VERSION.
    """
    argv = [*run, str(tree / "main.pyc"), "", "", ""]
    done = subprocess.run(argv, env={}, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode == 0:
        versions: dict[str, list[str]] = json.loads(done.stdout)
        return versions
    problem = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    named = " and ".join(project.name for project in projects)
    kind, _, what = problem.partition(": ")
    if kind == "ModuleNotFoundError":
        raise BuildError(
            f"{named}: {what}, for no dependency brings it",
            "add what has it to [project] dependencies in pyproject.toml, and install it",
        )
    sys.stderr.write(done.stderr)
    raise BuildError(f"{named} cannot be imported: {problem}")
