"""A private "host" for tests on the real kernel: network namespaces of its own and a directory.

`Host` stands for the machine a runtime works on, `Container` for one container on it.  Both are
network namespaces with a path, as a runtime has them.  Works inside the session that
`tests.private` made, in any number of workers at once: nothing has a name that another worker
could use.  What a test learns here comes from ``ip``, ``nft`` and ``iptables-save``, never from
the code under test.
"""

import contextlib
import fcntl
import itertools
import json
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnisdk.net import netns
from cnisdk.net.netns import NetNS

ROOT = Path(__file__).parent.parent

REFERENCE = os.environ.get("CNI_REFERENCE", "/usr/lib/cni")
"""Directory of the Go reference plugins."""

_IFF_UP = 0x1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_SHEBANG_MAX = 127
_counter = itertools.count(1)

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


class Namespace:
    """A network namespace with ``lo`` up, at ``path``; `close` takes it away."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"/run/netns/{name}"
        netns.create(self.path)
        with self.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = struct.pack("16sh14x", b"lo", 0)
            (flags,) = struct.unpack_from("h", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)
            fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))

    def close(self) -> None:
        """Take the namespace away; a second time does nothing."""
        with contextlib.suppress(FileNotFoundError):
            netns.delete(self.path)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Move the calling thread in for the length of the block."""
        with NetNS.open(self.path) as ns, ns.enter():
            yield

    def run(
        self,
        *argv: str | os.PathLike[str],
        input: bytes | str | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Execute ``argv`` in this namespace; with ``check`` it must succeed."""
        stdin = input.encode() if isinstance(input, str) else input
        with self.inside():
            done = subprocess.run(
                argv, input=stdin or b"", capture_output=True, env=env, check=False, timeout=timeout
            )
        out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        if check and done.returncode != 0:
            command = shlex.join(map(str, argv))
            raise AssertionError(f"{command}: exit status {done.returncode}\n{err}{out}")
        return subprocess.CompletedProcess(argv, done.returncode, out, err)

    def json(self, tool: str, *argv: str) -> Any:
        """Execute one of ip, bridge, tc and nft with ``-j`` and return what it printed."""
        out = self.run(tool, "-j", *argv).stdout.strip()
        return json.loads(out) if out else []


class Container(Namespace):
    """A container: its namespace, and ``id`` for CNI_CONTAINERID."""

    @property
    def id(self) -> str:
        """A container ID that no other container of the session has."""
        return self.name


class Host(Namespace):
    """The machine that a runtime works on; ``state`` is the directory for its files."""

    def __init__(self, state: Path) -> None:
        super().__init__(f"host-{os.getpid()}-{next(_counter)}")
        self.state = state
        self._containers: list[Container] = []

    def close(self) -> None:
        """Take away the host and all its containers."""
        for container in self._containers:
            container.close()
        super().close()

    def container(self) -> Container:
        """Return a new container; it goes with the host."""
        container = Container(f"{self.name}-c{len(self._containers)}")
        self._containers.append(container)
        return container

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
        variables: dict[str, str | None] = {"CNI_COMMAND": command, "CNI_PATH": path}
        if container is not None:
            variables |= {
                "CNI_CONTAINERID": container.id,
                "CNI_NETNS": container.path,
                "CNI_IFNAME": ifname,
                "CNI_ARGS": args,
            }
        variables |= {"PATH": os.environ["PATH"], **(env or {})}
        done = self.run(
            self.find(name, path),
            input=config if isinstance(config, bytes) else json.dumps(config),
            env={key: value for key, value in variables.items() if value is not None},
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
        """Return what there is: links, addresses, routes, firewall rules, files under `state`.

        Two snapshots are equal if nothing was left behind in between.  What changes by itself
        is left out: counters, handles, states on their way, IPv6 link-local addresses.
        """
        return {
            "links": {link["ifname"]: _link(link) for link in self.json("ip", "-d", "addr")},
            "routes": [
                _without(route, "flags", "expires")
                for family in ("-4", "-6")
                for route in self.json("ip", family, "route", "show", "table", "all")
                if not str(route["dst"]).startswith(("fe80:", "ff00::/8"))
            ],
            "nft": [
                _without(next(iter(entry.values())), "handle")
                for entry in self.json("nft", "list", "ruleset")["nftables"]
                if "metainfo" not in entry
            ],
            "iptables": [
                _saved(self.run(tool).stdout) for tool in ("iptables-save", "ip6tables-save")
            ],
            "files": {
                str(file.relative_to(self.state)): file.read_bytes()
                for file in sorted(self.state.rglob("*"))
                if file.is_file()
            },
        }


def _without(value: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in keys}


def _link(link: dict[str, Any]) -> dict[str, Any]:
    kind = link.get("linkinfo", {}).get("info_kind", "")
    return {
        "kind": kind,
        "address": link.get("address"),
        "mtu": link["mtu"],
        "up": "UP" in link["flags"],
        "promiscuity": link.get("promiscuity"),
        "master": link.get("master"),
        "addresses": [
            f"{addr['local']}/{addr['prefixlen']}"
            for addr in link["addr_info"]
            if not (addr["family"] == "inet6" and addr["scope"] == "link")
        ],
    }


def _saved(text: str) -> list[str]:
    return [
        re.sub(r" ?\[\d+:\d+\]", "", line) for line in text.splitlines() if not line.startswith("#")
    ]
