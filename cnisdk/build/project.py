"""What a plugin project consists of: its plugins, its own files, what it requires.

A project is a directory with a pyproject.toml; it is built as it lies there, installed or not.
What it requires has to be installed, since that is what it was tested with.  A distribution that
is installed, with plugins, is as good as a project.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from cnisdk.build.errors import BuildError

GROUP = "cnisdk.plugins"

# What no plugin needs at run time.
_SKIPPED_DIRS = {"__pycache__", "tests"}
_SKIPPED_SUFFIXES = {".pyc", ".pyi", ".pyx", ".pxd", ".c", ".h", ".so.debug", ".orig"}
_SKIPPED_NAMES = {"py.typed"}
_KEPT_METADATA = {"METADATA", "entry_points.txt"}

Files = Mapping[str, Path]
"""Path below the directory that is imported from, with forward slashes: where it is now."""


class Project(NamedTuple):
    """A project in its directory."""

    directory: Path
    name: str
    requires: tuple[str, ...]
    plugins: Mapping[str, str]
    """Name of a plugin: ``module:Class``."""
    root: Path
    """The directory that its packages are imported from: the project's or its ``src``."""
    packages: tuple[str, ...]
    """Paths of packages and modules below ``root``."""

    @classmethod
    def read(cls, directory: Path) -> "Project":
        """Read the project in ``directory``; BuildError if it is none."""
        path = directory / "pyproject.toml"
        try:
            declared = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as err:
            raise BuildError(
                f"{directory} is no project: it has no pyproject.toml",
                "name the directory of a plugin's project",
            ) from err
        except (OSError, ValueError) as err:
            raise BuildError(f"{path}: {err}") from err
        project = declared.get("project", {})
        plugins = project.get("entry-points", {}).get(GROUP, {})
        name = str(project.get("name") or directory.resolve().name)
        root, packages = _packages(directory, name, declared, plugins)
        requires = tuple(project.get("dependencies", ()))
        return cls(directory, name, requires, plugins, root, packages)

    def files(self) -> dict[str, Path]:
        """Return the files of its packages."""
        found: dict[str, Path] = {}
        for package in self.packages:
            top = self.root / package
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                relative = PurePosixPath(path.relative_to(self.root))
                if path.is_file() and is_wanted(relative):
                    found[str(relative)] = path
        return found


def plugin_project(what: Path | str) -> Project:
    """Return the project with plugins that ``what`` is; BuildError for any other.

    A directory, or, as a string, the name of an installed distribution: one from an index, say.
    """
    directory = Path(what)
    if isinstance(what, str) and not directory.is_dir():
        found = _installed(what)
        if isinstance(found, Project):
            return found
        directory = found
    project = Project.read(directory)
    if not project.plugins:
        raise BuildError(
            f'{directory / "pyproject.toml"}: no plugin in [project.entry-points."{GROUP}"]',
            'declare one there: my-plugin = "my_package:MyPlugin"',
        )
    for name, value in project.plugins.items():
        module, colon, attr = value.partition(":")
        if not name or "/" in name or not module or not colon or not attr:
            raise BuildError(
                f"{directory / 'pyproject.toml'}: {name} = {value!r} names no class",
                "write it as module:Class",
            )
    if not project.packages:
        raise BuildError(
            f"{directory}: the modules of {', '.join(sorted(project.plugins.values()))} "
            "are neither here nor in src",
        )
    return project


def _installed(name: str) -> Project | Path:
    """Return the installed distribution ``name``, by its source where it is an editable one."""
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError) as err:
        raise BuildError(
            f"{name} is neither a directory nor an installed distribution",
            f"name the directory of a plugin's project, or pip install {name}",
        ) from err
    if (source := editable_source(found)) is not None:
        return source
    plugins = {entry.name: entry.value for entry in found.entry_points if entry.group == GROUP}
    if not plugins:
        raise BuildError(f"the distribution {name} has no plugin, no entry point in {GROUP}")
    # Its files come with those of what it requires, as its own requirement.
    site = Path(str(found.locate_file("")))
    return Project(site, name, (name,), plugins, site, ())


def _packages(
    directory: Path, name: str, declared: Mapping[str, Any], plugins: Mapping[str, str]
) -> tuple[Path, tuple[str, ...]]:
    """Return where the packages are: as hatch is told, or found by the names that are known."""
    wheel = declared.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {})
    told = tuple(wheel.get("wheel", {}).get("packages", ()))
    if told:
        parents = {PurePosixPath(path).parent for path in told}
        if len(parents) == 1:
            root = directory / parents.pop()
            return root, tuple(sorted(PurePosixPath(path).name for path in told))
        raise BuildError(f"{directory}: packages {', '.join(told)} are in several directories")
    tops = {value.partition(":")[0].partition(".")[0] for value in plugins.values()}
    tops = tops or {name.lower().replace("-", "_")}
    for root in (directory / "src", directory):
        found = tuple(sorted(p for p in (_module(root, top) for top in tops) if p))
        if found:
            return root, found
    return directory, ()


def _module(root: Path, name: str) -> str:
    if (root / name).is_dir():
        return name
    return f"{name}.py" if (root / f"{name}.py").is_file() else ""


def is_wanted(path: PurePosixPath) -> bool:
    """Say whether a file of a package is of any use on a node."""
    if any(part in _SKIPPED_DIRS or part.startswith(".") for part in path.parts):
        return False
    return path.suffix not in _SKIPPED_SUFFIXES and path.name not in _SKIPPED_NAMES


def installed_files(distribution: Distribution) -> dict[str, Path]:
    """Return the files of an installed distribution; of an editable one those of its source."""
    source = editable_source(distribution)
    if source is not None:
        return {**Project.read(source).files(), **dict(_metadata(distribution))}
    found = dict(_metadata(distribution))
    for file in distribution.files or ():
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or path.suffix == ".pth":
            continue  # scripts; and what is imported at start-up only
        if path.parts[0].endswith((".dist-info", ".egg-info")):
            continue
        located = Path(str(distribution.locate_file(file)))
        if is_wanted(path) and located.is_file():
            found[str(path)] = located
    return found


def editable_source(distribution: Distribution) -> Path | None:
    """Return the project that an editable distribution is, None for any other."""
    url = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not url.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(url["url"]).path))


def _metadata(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield what importlib.metadata needs to know the version and the entry points."""
    for file in distribution.files or ():
        if file.parts[0].endswith(".dist-info") and file.name in _KEPT_METADATA:
            yield file.as_posix(), Path(str(distribution.locate_file(file)))
