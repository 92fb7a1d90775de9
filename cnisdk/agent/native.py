"""Make the launcher: compile it, find one that came compiled, or take the one in Python.

The C launcher must run on any node of its architecture, whatever libc that has, so only static
files are made.  ziglang, from PyPI, is a compiler for all of them and needs nothing else.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("launcher.c", "agent.c", "trailer.c", "json.c", "alone.c", "unpack.c")
"""Those that exist are compiled together."""
FLAGS = ("-std=gnu11", "-Os", "-static", "-s", "-Wall", "-Wextra")

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def compile_launcher(
    output: str,
    *,
    cc: str | Sequence[str] | None = None,
    target: str | None = None,
    report: Callable[[str], object] | None = None,
) -> str | None:
    """Compile the launcher to ``output``, replaced at once and with mode 0755, and return it.

    ``cc`` is the one compiler to use, a command with its arguments; without it $CC and whatever
    is installed are tried in turn.  ``target`` is a triple such as ``aarch64-linux-musl``; by
    default the result is for this machine.  Returns None if nothing here can compile it;
    ``report`` is told why a compiler that is there could not.
    """
    sources = [str(HERE / name) for name in SOURCES if (HERE / name).exists()]
    temporary = f"{output}.{os.getpid()}.tmp"
    for compiler in _compilers(cc, target):
        command = [*compiler, *FLAGS, "-o", temporary, *sources]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                os.chmod(temporary, 0o755)  # noqa: S103 - an executable
                os.replace(temporary, output)
                return output
            if report is not None:
                report(f"{shlex.join(compiler)}: {done.stderr.strip()}")
        except OSError as err:
            if report is not None:
                report(f"{shlex.join(compiler)}: {err.strerror}")
        finally:
            Path(temporary).unlink(missing_ok=True)
    return None


def _compilers(cc: str | Sequence[str] | None, target: str | None) -> Iterator[list[str]]:
    """Yield the commands to try, those with musl first.

    A file with glibc inside is ten times as large, and starts five times as slowly in a virtual
    machine: it asks cpuid dozens of times, and each is a trap (measured: 1.2 ms against 0.2).
    """
    if cc is not None:
        yield shlex.split(cc) if isinstance(cc, str) else list(cc)
        return
    if os.environ.get("CC"):
        yield shlex.split(os.environ["CC"])
    is_native = target is None or target.partition("-")[0] == machine()
    cross = "musl-gcc" if is_native else f"{target}-gcc"
    if shutil.which(cross):
        yield [cross]
    if has_ziglang():
        triple = target or f"{machine()}-linux-musl"
        yield [sys.executable, "-m", "ziglang", "cc", "-target", triple]
    if is_native:
        yield from ([name] for name in ("cc", "gcc", "clang") if shutil.which(name))


def has_ziglang() -> bool:
    """Say whether the package ziglang is installed."""
    from importlib.util import find_spec

    return find_spec("ziglang") is not None


def machine(name: str | None = None) -> str:
    """Return the architecture ``name``, by default this machine's, as in a compiler's triple."""
    name = (name or platform.machine()).lower()
    return _MACHINES.get(name, name)


def prebuilt(machine_name: str | None = None) -> str | None:
    """Return the path of the launcher that this package carries for a machine, None if none."""
    path = HERE / "bin" / f"launcher-{machine(machine_name)}"
    return str(path) if path.is_file() else None


def script(python: str) -> bytes:
    """Return the Python launcher as an executable for the interpreter ``python``.

    Like a compiled one it becomes a plugin with `cnisdk.agent.trailer.append`.
    """
    source = (HERE / "launcher.py").read_bytes()
    return b"#!" + os.fsencode(python) + b" -ISE\n" + source
