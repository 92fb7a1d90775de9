"""The interpreter that an executable runs on: the host's, or a copy that it brings along.

A copy is the interpreter as it runs here, with its standard library and the shared libraries that
they need, but for those of the C library: that has to be the node's, as its loader is.
"""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import NamedTuple

from cnisdk.build.errors import BuildError

FLAGS = ("-I", "-S", "-B", "-X", "utf8")
"""Nothing around it decides what is imported, nothing is written, no locale matters."""

# What the kernel's and the C library's authors ship together; the loader is one of them.
LIBC = (
    "linux-vdso.", "linux-gate.", "ld-", "libc.", "libm.", "libdl.", "libpthread.", "librt.",
    "libresolv.", "libutil.", "libanl.", "libmvec.", "libnsl.so.1",
)  # fmt: skip

_SKIPPED_STDLIB = {
    "__phello__", "__pycache__", "antigravity", "dist-packages", "distutils", "ensurepip",
    "idlelib", "lib-dynload", "lib2to3", "pydoc_data", "site-packages", "test", "this", "tkinter",
    "turtle", "turtledemo", "venv",
}  # fmt: skip
_SKIPPED_EXTENSIONS = (
    "_curses", "_dbm", "_gdbm", "_test", "_tkinter", "_xx", "nis", "ossaudiodev", "readline", "xx",
)  # fmt: skip
_LOOSE = ("os.py", "encodings/__init__.py", "encodings/aliases.py", "encodings/utf_8.py")
"""What the interpreter looks for before main.pyc can run."""

_PROBE = """\
import json, os, sys, sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
names = ("SOABI", "EXT_SUFFIX", "MULTIARCH", "TZPATH", "Py_DEBUG", "Py_GIL_DISABLED")
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
    "stdlib": sysconfig.get_path("stdlib"),
    "dynload": sysconfig.get_config_var("DESTSHARED") or "",
    "libdir": sys.platlibdir,
    "suffixes": EXTENSION_SUFFIXES,
    "variables": {name: sysconfig.get_config_var(name) for name in names},
    "sysconfig": sysconfig._get_sysconfigdata_name(),
}))
"""


class Interpreter(NamedTuple):
    """An interpreter, as it says itself."""

    executable: str
    """Its real path: not that of a virtual environment, nor of a link that may be changed."""
    stdlib: str
    dynload: str
    libdir: str
    suffixes: list[str]
    variables: dict[str, object]
    sysconfig: str

    @classmethod
    def probe(cls, python: str) -> "Interpreter":
        """Ask ``python``; BuildError if it cannot run what is installed beside this one."""
        try:
            done = subprocess.run(
                [python, "-I", "-S", "-c", _PROBE], capture_output=True, text=True, check=True
            )
        except OSError as err:
            raise BuildError(f"{python}: {err.strerror}") from err
        except subprocess.CalledProcessError as err:
            raise BuildError(f"{python} is no Python that works: {err.stderr.strip()}") from err
        found = cls(**json.loads(done.stdout))
        if found.suffixes != EXTENSION_SUFFIXES:
            raise BuildError(
                f"{python} cannot use the extension modules that are installed here",
                f"install cnisdk and the project with {python}, and build with that cnisdk",
            )
        return found

    def command(self) -> list[str]:
        """Return how the host's interpreter is executed, its path first."""
        return [self.executable, *FLAGS]


class Source(NamedTuple):
    """A module to compile."""

    name: str
    is_package: bool
    shown: str
    source: Path


class Copy:
    """A copy of an interpreter at the top of ``tree``."""

    def __init__(self, interpreter: Interpreter, tree: Path) -> None:
        self.interpreter = interpreter
        self.tree = tree
        self.python = tree / "bin" / "python3"
        self.stdlib = f"{interpreter.libdir}/{Path(interpreter.stdlib).name}"
        self.loader = elf_interpreter(interpreter.executable)

    def command(self, directory: str) -> list[str]:
        """Return how it is executed when the tree is ``directory``.

        By its loader, so that its libraries are found with no variable that its children would
        inherit.
        """
        python = [f"{directory}/bin/python3", *FLAGS]
        if not self.loader:
            return python
        return [self.loader, "--library-path", f"{directory}/lib", *python]

    def modules(self) -> Iterator[Source]:
        """Yield the standard library."""
        top = Path(self.interpreter.stdlib)
        for source in sorted(top.rglob("*.py")):
            path = source.relative_to(top)
            if path.stem.startswith("_sysconfigdata") or not _SKIPPED_STDLIB.isdisjoint(
                (*path.parts, path.stem)
            ):
                continue
            name, is_package = module_name(path)
            yield Source(name, is_package, f"{self.stdlib}/{path}", source)

    def files(self) -> list[tuple[str, str, str]]:
        """Make room for what has to be a .pyc file of its own, and return it."""
        found = []
        for name in _LOOSE:
            output = self.tree / self.stdlib / f"{name}c"
            output.parent.mkdir(parents=True, exist_ok=True)
            source = Path(self.interpreter.stdlib, name)
            found.append((f"{self.stdlib}/{name}", str(source), str(output)))
        return found

    def extensions(self) -> Iterator[tuple[str, str]]:
        """Copy the extension modules; yield names and paths below ``site``."""
        dynload = self.tree / self.stdlib / "lib-dynload"
        dynload.mkdir(parents=True, exist_ok=True)
        for source in sorted(Path(self.interpreter.dynload).glob("*.so")):
            name = extension_name(source.name)
            if name and not name.startswith(_SKIPPED_EXTENSIONS):
                strip(source, dynload / source.name)
                yield name, f"../{self.stdlib}/lib-dynload/{source.name}"

    def sysconfig(self) -> tuple[str, str]:
        """Return name and text of the module of configuration variables.

        The original has the directories of the machine that the interpreter was built on.
        """
        variables = {k: v for k, v in self.interpreter.variables.items() if v is not None}
        return self.interpreter.sysconfig, f"build_time_vars = {variables!r}\n"

    def executables(self, known: Iterable[Path]) -> None:
        """Copy the interpreter, and the libraries that it and all extension modules need.

        ``known`` are files that are in the tree already, libraries that a wheel brought included.
        """
        self.python.parent.mkdir()
        strip(Path(self.interpreter.executable), self.python)
        if not self.loader:
            return  # a static one, which loads nothing
        there = {os.path.realpath(path) for path in known}
        needing = [Path(self.interpreter.executable), *(p for p in known if p.suffix == ".so")]
        needing += Path(self.interpreter.dynload).glob("*.so")
        (self.tree / "lib").mkdir(exist_ok=True)
        for needs in needing:
            if extension_name(needs.name).startswith(_SKIPPED_EXTENSIONS):
                continue
            for name, path in libraries(self.loader, needs).items():
                target = self.tree / "lib" / name
                if not target.exists() and os.path.realpath(path) not in there:
                    strip(path, target)


def module_name(path: Path) -> tuple[str, bool]:
    """Return the name of the module in a source file, and whether it is a package."""
    parts = list(path.with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts), is_package


def extension_name(file: str) -> str:
    """Return the name of an extension module without its packages, ``""`` if it is none."""
    suffix = next((s for s in EXTENSION_SUFFIXES if file.endswith(s)), "")
    return file.removesuffix(suffix) if suffix else ""


def strip(source: Path, target: Path) -> None:
    """Copy an executable or a library without what only debuggers read, if that can be done."""
    tool = shutil.which("strip")
    if tool is not None:
        argv = [tool, "--strip-unneeded", "-o", str(target), str(source)]
        if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
            return
    shutil.copyfile(source, target)
    target.chmod(0o755)


def elf_interpreter(path: str) -> str:
    """Return the loader that an executable asks for, ``""`` if it is static; elf(5), PT_INTERP."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or head[4] != 2:
            raise BuildError(f"{path} is no 64-bit ELF file, so it cannot be copied")
        order = "<" if head[5] == 1 else ">"
        (offset,) = struct.unpack_from(f"{order}Q", head, 32)
        size, count = struct.unpack_from(f"{order}HH", head, 54)
        for i in range(count):
            file.seek(offset + i * size)
            kind, _, at, _, _, length = struct.unpack(f"{order}IIQQQQ", file.read(40))
            if kind == 3:
                file.seek(at)
                return file.read(length).rstrip(b"\0").decode()
    return ""


def libraries(loader: str, path: Path) -> dict[str, Path]:
    """Ask the loader which libraries ``path`` needs beyond the C library; ld.so(8), --list."""
    done = subprocess.run([loader, "--list", path], capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if not arrow or name.startswith(LIBC):
            continue
        if rest == "not found":
            raise BuildError(f"{path} needs {name}, which is not here", f"install {name}")
        found[name] = Path(rest.rpartition(" (")[0])
    return found
