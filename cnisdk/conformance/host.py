"""A private "host" on the real kernel: network namespaces, and what ``ip`` sees in them.

`Host` stands for the machine that a runtime works on, `Container` for one container on it.
Both are network namespaces with a path, as a runtime has them.  The caller is root in a private
user namespace (`cnisdk.conformance.private`).  What is learnt here comes from ``ip``, ``nft``
and ``iptables-save``, never from cnisdk's own view of the kernel: it is the second witness.
"""

import contextlib
import itertools
import json
import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnisdk.runtime.defaults import NETNS_DIR

if sys.platform == "linux":
    import fcntl

    from cnisdk.net import netns
    from cnisdk.net.netns import NetNS

_IFF_UP = 0x1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_counter = itertools.count(1)

# Where a poor environment has no PATH, the tools are still found.
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin"


def tool(name: str) -> str | None:
    """Return the path of a program of the machine, None if there is none."""
    return shutil.which(name, path=_PATH)


class Namespace:
    """A network namespace with ``lo`` up, at ``path``; `close` takes it away."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"{NETNS_DIR}/{name}"
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

    def json(self, program: str, *argv: str) -> Any:
        """Execute one of ip, bridge, tc and nft with ``-j`` and return what it printed."""
        out = self.run(tool(program) or program, "-j", *argv).stdout.strip()
        return json.loads(out) if out else []

    def ip(self, *commands: str) -> None:
        """Execute commands of ip(8), up to the first that fails."""
        self.run(tool("ip") or "ip", "-batch", "-", input="\n".join(commands) + "\n")

    def links(self) -> dict[str, dict[str, Any]]:
        """Return the links by name, each with its addresses, as ``ip -d addr`` has them."""
        return {link["ifname"]: link for link in self.json("ip", "-d", "addr")}

    def routes(self) -> list[dict[str, Any]]:
        """Return the routes of all tables, as ``ip route`` has them."""
        return [
            {**route, "family": family}
            for family in (4, 6)
            for route in self.json("ip", f"-{family}", "route", "show", "table", "all")
        ]

    def snapshot(self) -> dict[str, Any]:
        """Return links, addresses, routes and firewall rules.

        Two snapshots are equal if nothing was left behind in between.  What changes by itself
        is left out: counters, handles, states on their way, IPv6 link-local addresses.
        """
        return {
            "links": {name: _link(link) for name, link in self.links().items()},
            "routes": [
                _without(route, "flags", "expires")
                for route in self.routes()
                if not str(route["dst"]).startswith(("fe80:", "ff00::/8"))
            ],
            "nft": [
                _uncounted(_without(next(iter(entry.values())), "handle"))
                for entry in self._nftables()
                if "metainfo" not in entry
            ],
            "iptables": [
                _saved(self.run(path).stdout)
                for name in ("iptables-save", "ip6tables-save")
                if (path := tool(name))
            ],
        }

    def _nftables(self) -> list[dict[str, Any]]:
        if tool("nft") is None:
            return []
        listed: list[dict[str, Any]] = self.json("nft", "list", "ruleset")["nftables"]
        return listed


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

    def snapshot(self) -> dict[str, Any]:
        """Return what `Namespace.snapshot` does, and the files under `state`."""
        files = {
            str(file.relative_to(self.state)): file.read_bytes()
            for file in sorted(self.state.rglob("*"))
            if file.is_file()
        }
        return {**super().snapshot(), "files": files}


def _without(value: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in keys}


def _uncounted(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule that counts packets as if none had come; anything else as it is."""
    if "expr" not in rule:
        return rule
    return {**rule, "expr": [{"counter": 0} if "counter" in e else e for e in rule["expr"]]}


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
