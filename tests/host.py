"""A private "host" for tests on the real kernel, and the executables of this checkout on it.

`Host` is the conformance kit's (`cnisdk.conformance.host`) with a way to execute a plugin as a
runtime does.  Works inside the session that `tests.private` made, in any number of workers at
once: nothing has a name that another worker could use.  What a test learns here comes from ``ip``,
``nft`` and ``iptables-save``, never from the code under test.
"""

import json
import os
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnisdk.conformance import host as conformance
from cnisdk.conformance.host import Container as Container, Namespace as Namespace

ROOT = Path(__file__).parent.parent

REFERENCE = os.environ.get("CNI_REFERENCE", "/usr/lib/cni")
"""Directory of the Go reference plugins."""

_SHEBANG_MAX = 127

_SCRIPT = """\
import sys
sys.path[:0] = {path!r}
from cnisdk.runner import main
from {module} import {attr}

main({attr})
"""


def _executables() -> str:
    """Write this session's executables of the plugins in this checkout; return their directory.

    They run the code as it lies here, whatever is installed.
    """
    directory = tempfile.mkdtemp(
        prefix="plugins-", dir="/run"
    )  # private, and goes with the session
    projects = sorted(ROOT.glob("plugins/*/pyproject.toml"))
    path = [str(ROOT), *(str(project.parent) for project in projects)]
    first = f"#!{sys.executable} -I"
    if len(first) > _SHEBANG_MAX or " " in sys.executable:
        first = f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} -I \"$0\" \"$@\"\n' '''"
    for project in projects:
        declared = tomllib.loads(project.read_text())["project"]["entry-points"]["cnisdk.plugins"]
        for name, value in declared.items():
            module, _, attr = value.partition(":")
            file = Path(directory, name)
            file.write_text(f"{first}\n{_SCRIPT.format(path=path, module=module, attr=attr)}")
            file.chmod(0o755)
    return directory


OURS = _executables()
"""Directory of the executables of this checkout's plugins."""

CNI_PATH = f"{OURS}:{REFERENCE}"


class Outcome(NamedTuple):
    """How an execution of a plugin ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.stdout)


def cni_variables(
    command: str, container: Container, path: str = "/nowhere", *, ifname: str = "eth0"
) -> dict[str, str]:
    """Return those of a call as a runtime sets them, for tests that execute a plugin their way."""
    return {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container.id,
        "CNI_NETNS": container.path,
        "CNI_IFNAME": ifname,
        "CNI_PATH": path,
    }


class Host(conformance.Host):
    """The machine that a runtime works on; ``state`` is the directory for its files."""

    def plugin(
        self,
        name: str,
        command: str,
        config: Mapping[str, Any] | bytes,
        container: Container | None = None,
        *,
        ifname: str = "eth0",
        args: str = "",
        path: str | None = None,
        env: Mapping[str, str | None] | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> Outcome:
        """Execute plugin ``name`` as a runtime does; with ``check`` it must succeed.

        ``path`` is CNI_PATH, ours before the reference by default; ``name`` is looked up in it.
        ``env`` adds variables, replaces them, and with None takes them away.
        """
        path = path or CNI_PATH
        cni: dict[str, str] = {"CNI_COMMAND": command, "CNI_PATH": path}
        if container is not None:
            cni = {**cni_variables(command, container, path, ifname=ifname), "CNI_ARGS": args}
        environ = {"PATH": os.environ["PATH"], **cni, **(env or {})}
        done = self.run(
            self.find(name, path),
            input=config if isinstance(config, bytes) else json.dumps(config),
            env={key: value for key, value in environ.items() if value is not None},
            check=False,
            timeout=timeout,
        )
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        if check and outcome.status != 0:
            raise AssertionError(f"{name} {command}: {outcome.stdout}{outcome.stderr}")
        return outcome

    def find(self, name: str, path: str = "") -> str:
        """Return the executable of plugin ``name`` in ``path``, ours first by default."""
        for directory in (path or CNI_PATH).split(":"):
            if os.access(file := f"{directory}/{name}", os.X_OK):
                return file
        raise FileNotFoundError(f"no plugin {name!r} in {path or CNI_PATH}")

    def snapshot(self) -> dict[str, Any]:
        """Return what the kit's does; that there are no rules must not be for want of a tool."""
        for program in ("nft", "iptables-save", "ip6tables-save"):
            assert conformance.tool(program), f"{program} is not installed"
        return super().snapshot()
