"""What the kernel has: the host's links and routes, and what is in its containers' namespaces."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Interface
from typing import NamedTuple

if sys.platform == "linux":
    from cnisdk.net import addr, link, route
    from cnisdk.net.netns import NetNS
    from cnisdk.net.rtnl import RTNL

NAMED = ("/run/netns", "/run/docker/netns")
"""Where namespaces have names."""

_ID = re.compile("[0-9a-f]{64}")


class Space(NamedTuple):
    """A network namespace as it is now."""

    path: str
    identity: tuple[int, int]
    links: "list[link.Link]"
    addresses: "dict[int, list[str]]"
    """By the link's index; those that the kernel gives by itself left out."""
    routes: "list[route.Route]"

    def find(self, name: str) -> "link.Link | None":
        """Return the link called ``name``."""
        return next((found for found in self.links if found.name == name), None)

    def interfaces(self) -> "Iterator[link.Link]":
        """Yield what leads out of it: no loopback."""
        return (found for found in self.links if found.name != "lo")

    def routes_over(self, index: int) -> list[str]:
        """Return the routes over a link in the words of ip-route(8), the trivial ones left out."""
        return [
            _route(entry) for entry in self.routes if entry.index == index and entry.gw is not None
        ]


def here() -> Space:
    """Return the calling thread's namespace."""
    with NetNS.current() as netns, RTNL() as rtnl:
        return _space("", netns, rtnl)


def look(path: str) -> Space:
    """Return the namespace at ``path``; OSError if there is none, or not for us."""
    with NetNS.open(path) as netns:
        return look_into(netns)


def look_into(netns: "NetNS") -> Space:
    """Return an open namespace."""
    with RTNL(netns) as rtnl:
        return _space(netns.path, netns, rtnl)


def _space(path: str, netns: "NetNS", rtnl: "RTNL") -> Space:
    status = os.fstat(netns.fd)
    addresses: dict[int, list[str]] = {}
    for entry in addr.dump(rtnl):
        if not _automatic(entry.address):
            addresses.setdefault(entry.index, []).append(str(entry.address))
    return Space(path, (status.st_dev, status.st_ino), link.dump(rtnl), addresses, route.dump(rtnl))


def named() -> Iterator[str]:
    """Yield the paths of namespaces that have names."""
    for directory in NAMED:
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue  # as good as empty
        yield from (f"{directory}/{name}" for name in names)


def of_processes(seen: Iterable[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """Yield the namespaces that only processes hold, and the container's ID from their cgroup.

    Those in ``seen`` are left out.  The ID is ``""`` for a process of no container.
    """
    known = set(seen)
    for pid in os.listdir("/proc"):
        path = f"/proc/{pid}/ns/net"
        try:
            if not pid.isdigit():
                continue
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in known:
                continue
            known.add((status.st_dev, status.st_ino))
            with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                found = _ID.search(file.read())
        except OSError:
            continue  # ended meanwhile, or not ours to look at
        yield path, found.group() if found else ""


def _automatic(address: object) -> bool:
    """Say whether the kernel gave the address to the link by itself."""
    return isinstance(address, IPv6Interface) and address.is_link_local


def _route(entry: "route.Route") -> str:
    dst = "default" if entry.dst.prefixlen == 0 else str(entry.dst)
    return f"{dst} via {entry.gw}"
