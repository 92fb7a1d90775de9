"""A shell on a private host, in which the commands of a document are run in their order.

The machine's own files cannot be written there: only the page's directory, and what the host has
for itself.  This checkout's plugins are in /opt/cni/bin, ``cnisdk`` and ``python3`` run its code.
For what a page does not show there are: ``prepared``, which gives the project in the working
directory what ``make`` would install; ``checkout``, which makes that directory one of cnisdk; and
``shown DOCUMENT FILE``, which writes the file that another page shows.
"""

import os
import select
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cnisdk.conformance.private import witness
from tests.host import OURS
from tests.house.tree import PROJECTS, ROOT

TIMEOUT = 120.0

_FLAGS = ("--net", "--mount", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")

# What the machine has of runtimes is not what a page is about.
_START = """\
import os, shutil, sys
from cnisdk.conformance import cover, private
home, ours = sys.argv[1:]
private.prepare()
for path in ("/usr/lib/cni", "/etc/containerd", "/etc/crio", "/var/lib/rancher"):
    if os.path.isdir(path):
        cover.empty(path)
for path in ("/opt/cni", "/opt/cni/bin"):  # a machine need have neither
    cover.add(path)
shutil.copytree(ours, "/opt/cni/bin", dirs_exist_ok=True)
os.system(f"mount --bind {home} {home} && mount -o remount,bind,ro /")
os.environ["CNISDK_OUTSIDE"] = ""  # what makes a host of its own makes another one
os.chdir(home)
os.execvp("bash", ["bash", "--norc", "-O", "expand_aliases"])
"""

_PROGRAMS = {
    "cnisdk": "exec {python} -P -c 'from cnisdk.cli import main; main()' \"$@\"",
    "python3": 'exec {python} -P "$@"',
    "python": 'exec {python} -P "$@"',
    "shown": 'exec {python} -P -m tests.docs.blocks "$@"',
    "prepared": """\
rm -rf .venv && mkdir -p .venv/bin
for tool in cnisdk ruff mypy; do ln -sf {tools}/$tool .venv/bin/; done
ln -sf {home}/.bin/cnisdk .venv/bin/cnisdk
ln -sf {home}/.bin/python3 .venv/bin/python
touch -d tomorrow .venv/bin/ready .venv/ready-to-run .venv/ready-to-test""",
    "checkout": """\
for name in Makefile pyproject.toml README.md hatch_build.py cnisdk plugins demo docs; do
  cp -rs {root}/$name . 2>/dev/null || ln -s {root}/$name .
done
prepared""",
}


class Outcome(NamedTuple):
    """How a command ended, and what it wrote to stdout and stderr."""

    status: int
    output: str


class Session:
    """The shell; `close` ends it and everything that it has started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "page"
        self._outputs = directory / "outputs"
        programs = self.directory / ".bin"
        for made in (self._outputs, programs):
            made.mkdir(parents=True)
        self._write_programs(programs)
        ours = shutil.copytree(OURS, directory / "ours")
        self._read, write = os.pipe()
        self._shell = subprocess.Popen(
            ["unshare", *_FLAGS, "--", sys.executable, "-c", _START, str(directory), str(ours)],
            stdin=subprocess.PIPE,
            env=self._environ(programs) | witness(),
            pass_fds=(write,),
            text=True,
        )
        os.close(write)
        self._status = write
        self._count = 0
        try:
            self.run(f"cd {shlex.quote(str(self.directory))}")
        except BaseException:
            self.close()
            raise

    def _write_programs(self, directory: Path) -> None:
        words = {
            "python": sys.executable,
            "tools": str(Path(sys.executable).parent),
            "home": str(self.directory),
            "root": str(ROOT),
        }
        for name, text in _PROGRAMS.items():
            for key, value in words.items():
                text = text.replace(f"{{{key}}}", shlex.quote(value))
            (directory / name).write_text(f"#!/bin/sh\n{text}\n")
            (directory / name).chmod(0o755)

    def _environ(self, programs: Path) -> dict[str, str]:
        return {
            "PATH": f"{programs}:/opt/cni/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.directory),
            "TMPDIR": str(self._outputs),
            "LANG": "C.UTF-8",
            "PYTHONPATH": ":".join([str(ROOT), *map(str, PROJECTS)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, command: str) -> Outcome:
        """Run ``command`` in the shell, so that variables and directory last."""
        self._count += 1
        output = self._outputs / str(self._count)
        streams = f">{shlex.quote(str(output))} 2>&1 </dev/null"
        line = f"{{ {command}\n}} {streams}; echo $? >&{self._status}\n"
        assert self._shell.stdin is not None
        self._shell.stdin.write(line)
        self._shell.stdin.flush()
        readable, _, _ = select.select([self._read], [], [], TIMEOUT)
        said = os.read(self._read, 16) if readable else b""
        if not said:
            raise AssertionError(f"the shell did not come back from: {command}")
        return Outcome(int(said), output.read_text(errors="replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the shell and everything that it has started."""
        self._shell.kill()  # and with it its namespace, for --kill-child
        self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        os.close(self._read)
