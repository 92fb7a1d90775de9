"""Projects in, executables out: the launcher, its settings and the payload in one file."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnisdk.agent import native, protocol, trailer
from cnisdk.build import archive, payload, progress, script
from cnisdk.build.errors import BuildError
from cnisdk.build.interpreter import Interpreter
from cnisdk.build.project import Project, plugin_project

MAX_WARM = 24 * 60 * 60
MAX_SOCKET = 107
"""Bytes of a socket's path (unix(7)), without the NUL that ends it."""
SHARED = ("/", "/run", "/var/run", "/var/lib", "/var", "/etc", "/opt")
"""Directories that neither an agent nor payloads can have for themselves."""


class Options(NamedTuple):
    """How executables are made."""

    standalone: bool = False
    """Bring the interpreter along."""
    python: str = sys.executable
    """The interpreter to run on, or to bring along."""
    warm: int = 0
    """Seconds for which a call may leave an agent behind."""
    unpack_dirs: tuple[str, ...] = ()
    """Where to unpack on a node; by default what unpack.c says."""
    socket: str = ""
    """Where to look for an agent; by default where `cnisdk agent` listens."""


DEFAULTS = Options()


class Built(NamedTuple):
    """Executables that were made."""

    paths: tuple[Path, ...]
    """All names; those with the same versions are links to one file."""
    size: int
    kind: str
    """What they need, in words."""


def build(
    named: Sequence[Path | str],
    output: Path,
    options: Options = DEFAULTS,
    show: progress.Progress = progress.silent,
) -> Built:
    """Make the executables of the plugins in the projects ``named`` and put them into ``output``.

    They share one payload, and each takes the place of an older one at once.  Where there is no
    native launcher and none can be compiled, they are scripts for this machine.  Raises
    BuildError.
    """
    check(options)
    projects = [plugin_project(name) for name in named]
    with tempfile.TemporaryDirectory(prefix="cnisdk-build-") as temporary:
        with show("Making the launcher", 1) as advance:
            launcher, problems = native_launcher(temporary)
            advance()
        if launcher is None and options.standalone:
            why = f"; {problems}" if problems else ""
            raise BuildError(
                f"--standalone needs the native launcher, and nothing here can compile it{why}",
                "install a C compiler with a static libc (Debian: musl-tools), "
                "or pip install ziglang",
            )
        if launcher is None:
            return _scripts(projects, output, options)
        interpreter = Interpreter.probe(options.python)
        tree = Path(temporary, "tree")
        tree.mkdir()
        made = payload.assemble(
            projects, interpreter, tree, standalone=options.standalone, show=show
        )
        return _executables(launcher, made, output, options, interpreter)


def check(options: Options) -> None:
    """Refuse what would make no safe executable, before anything is done."""
    if not 0 <= options.warm <= MAX_WARM:
        raise BuildError(f"--warm {options.warm} is not from 0 to {MAX_WARM} seconds")
    if options.socket:
        _check_place("--socket", options.socket)
        if len(os.fsencode(options.socket)) > MAX_SOCKET:
            raise BuildError(f"--socket {options.socket} has more than {MAX_SOCKET} bytes")
        if options.socket.endswith("/") or os.path.dirname(_place(options.socket)) in SHARED:
            raise BuildError(
                f"--socket {options.socket} needs a directory of its own, as 0700 as it is"
            )
    for path in options.unpack_dirs:
        _check_place("--unpack-dir", path)
        if _place(path) in SHARED:
            raise BuildError(f"--unpack-dir {path} has to be a directory for payloads alone")
    guarded = {os.path.dirname(_place(path)) for path in (options.socket, protocol.SOCKET) if path}
    for path in options.unpack_dirs or trailer.UNPACK_DIRS:
        for directory in guarded:
            if f"{_place(path)}/".startswith(f"{directory}/"):
                # Whoever unpacks first would make it 0755, and no agent could start then.
                raise BuildError(f"an agent's directory, {directory}, cannot have {path} in it")


def _place(path: str) -> str:
    return os.path.normpath(path)


def _check_place(option: str, path: str) -> None:
    """Refuse a place on a node that others can take, or that is only here."""
    place = _place(path)
    home = os.path.expanduser("~")
    if any(ord(letter) < 32 for letter in path):
        raise BuildError(f"{option} {path!r} has a letter that is not to be seen")
    if not place.startswith("/") or f"{place}/".startswith(("/tmp/", "/var/tmp/")):  # noqa: S108
        raise BuildError(f"{option} {path} has to be absolute, and nothing temporary")
    if home != "/" and f"{place}/".startswith(f"{home}/"):
        raise BuildError(f"{option} {path} is in a home directory, which no node has")


def native_launcher(directory: str) -> tuple[bytes | None, str]:
    """Return the launcher that came compiled, or compile it; None and why not otherwise."""
    problems: list[str] = []
    path = native.prebuilt() or native.compile_launcher(
        f"{directory}/launcher", report=problems.append
    )
    return (Path(path).read_bytes() if path else None), "; ".join(problems)


def _executables(
    launcher: bytes,
    made: payload.Payload,
    output: Path,
    options: Options,
    interpreter: Interpreter,
) -> Built:
    packed = archive.pack(made.tree)
    launcher += bytes(-len(launcher) % archive.PAGE)
    run = [made.command[0].replace("%", "%%") if not options.standalone else made.command[0]]
    common = [("mode", "exec"), ("exec", run[0])]
    common += [("arg", argument) for argument in made.command[1:]]
    common += [("payload-id", archive.identity(packed))]
    common += [("unpack-dir", path) for path in options.unpack_dirs]
    common += [("warm", str(options.warm))] if options.warm else []
    common += [("socket", options.socket)] if options.socket else []
    paths: list[Path] = []
    size = 0
    for versions, names in _by_versions(made.versions).items():
        settings = [("versions", ",".join(versions)), *common]
        try:
            data = trailer.append(launcher, settings, packed)
        except trailer.TrailerError as err:
            raise BuildError(f"{', '.join(names)}: {err}") from err
        paths += put(data, output, names)
        size += len(data)
    kind = "nothing but libc" if options.standalone else interpreter.executable
    return Built(tuple(sorted(paths)), size, kind)


def _by_versions(versions: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """Group the plugins whose executables can be one file: the launcher answers VERSION."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(versions):
        groups.setdefault(versions[name], []).append(name)
    return groups


def _scripts(projects: Sequence[Project], output: Path, options: Options) -> Built:
    paths: list[Path] = []
    size = 0
    described = script.describe(projects, options.python)
    for versions, names in _by_versions(described).items():
        data = script.script(
            projects, options.python, versions, warm=options.warm, socket=options.socket
        )
        paths += put(data, output, names)
        size += len(data)
    return Built(tuple(sorted(paths)), size, f"{options.python} and what is installed there")


def put(data: bytes, output: Path, names: Sequence[str]) -> list[Path]:
    """Write an executable under all ``names`` in ``output``: each is the old one or the new one."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with _temporary(output, names) as temporaries:
            first = temporaries[0]
            first.write_bytes(data)
            first.chmod(0o755)
            for other in temporaries[1:]:
                try:
                    os.link(first, other)
                except OSError:  # a file system without links
                    shutil.copy2(first, other)
            for temporary, name in zip(temporaries, names, strict=True):
                os.replace(temporary, output / name)
    except OSError as err:
        raise BuildError(f"{err.filename or output}: {err.strerror}") from err
    return [output / name for name in names]


@contextlib.contextmanager
def _temporary(directory: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Yield a path for each name, hidden from runtimes; what is left of them goes at the end."""
    paths = [directory / f".{name}.{os.getpid()}.tmp" for name in names]
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
