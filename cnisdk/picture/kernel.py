"""What the kernel has: the host's links and routes, and what is in its containers' namespaces."""

import os
import re
import sys
from collections.abc import Iterator
from ipaddress import IPv6Interface
from typing import NamedTuple

from cnisdk.node.doctor.state import NETNS_DIRS

if sys.platform == "linux":
    from cnisdk.net import addr, link, route, veth
    from cnisdk.net.netns import NetNS
    from cnisdk.net.rtnl import RTNL

_ID = re.compile("[0-9a-f]{64}")


class Space(NamedTuple):
    """A network namespace as it is now."""

    path: str
    identity: tuple[int, int]
    links: "list[link.Link]"
    addresses: "dict[int, list[str]]"
    """By the link's index; those that the kernel gives by itself left out."""
    routes: "list[route.Route]"
    number: int = -1
    """By which the namespace of who looked knows it, as in `Link.peer_netnsid`."""

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
    with RTNL() as host, RTNL(netns) as rtnl:
        found = _space(netns.path, netns, rtnl)
        return found._replace(number=veth.nsid(host, netns))


def _space(path: str, netns: "NetNS", rtnl: "RTNL") -> Space:
    status = os.fstat(netns.fd)
    addresses: dict[int, list[str]] = {}
    for entry in addr.dump(rtnl):
        if not _automatic(entry.address):
            addresses.setdefault(entry.index, []).append(str(entry.address))
    return Space(path, (status.st_dev, status.st_ino), link.dump(rtnl), addresses, route.dump(rtnl))


def named() -> Iterator[str]:
    """Yield the paths of namespaces that have names."""
    for directory in NETNS_DIRS:
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue  # as good as empty
        yield from (f"{directory}/{name}" for name in names)


class Inhabited(NamedTuple):
    """A namespace that processes live in."""

    path: str
    container: str
    """The container's ID, as their cgroup has it; ``""`` for processes of none."""


def inhabited() -> tuple[dict[tuple[int, int], Inhabited], bool]:
    """Return the namespaces that processes live in by identity, and whether these are all."""
    found: dict[tuple[int, int], Inhabited] = {}
    complete = True
    for pid in filter(str.isdigit, os.listdir("/proc")):
        path = f"/proc/{pid}/ns/net"
        try:
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity not in found:
                with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                    id_ = _ID.search(file.read())
                found[identity] = Inhabited(path, id_.group() if id_ else "")
        except PermissionError:
            complete = False
        except OSError:
            continue  # ended meanwhile
    return found, complete


def _automatic(address: object) -> bool:
    """Say whether the kernel gave the address to the link by itself."""
    return isinstance(address, IPv6Interface) and address.is_link_local


def _route(entry: "route.Route") -> str:
    dst = "default" if entry.dst.prefixlen == 0 else str(entry.dst)
    return f"{dst} via {entry.gw}"
