"""Draw what the kernel has: bridges, their ports, and the containers behind them."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Interface
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cnisdk.net.netns import NetNS

if sys.platform == "linux":
    from cnisdk.net import addr, link, route
    from cnisdk.net.rtnl import RTNL


@dataclass(slots=True)
class Node:
    """A line, lines that belong to it, and the nodes below."""

    text: str
    more: list[str] = field(default_factory=list)
    below: "list[Node]" = field(default_factory=list)


def lines(node: Node, first: str = " ", rest: str = " ") -> Iterator[str]:
    """Yield a tree as text, line by line."""
    yield first + node.text
    bar = "│  " if node.below else "   "
    for text in node.more:
        yield rest + click.style(bar, dim=True) + text
    for child in node.below:
        last = child is node.below[-1]
        yield from lines(
            child,
            rest + click.style("└─ " if last else "├─ ", dim=True),
            rest + ("   " if last else click.style("│  ", dim=True)),
        )


def host(containers: "Sequence[NetNS]") -> Node:
    """Return the calling thread's namespace as a tree."""
    behind = {}
    for netns in containers:
        with RTNL(netns) as rtnl:
            for found in link.dump(rtnl, kind="veth"):
                behind[found.peer_index] = _end(rtnl, netns, found)
    with RTNL() as rtnl:
        links = link.dump(rtnl)
        bridges = [_bridge(rtnl, found, links, behind) for found in links if found.kind == "bridge"]
    return Node(click.style("host", bold=True), below=bridges)


def _bridge(
    rtnl: "RTNL", bridge: "link.Link", links: "list[link.Link]", behind: dict[int, Node]
) -> Node:
    ports = []
    for port in links:
        if port.master == bridge.index:
            end = behind.get(port.index, Node("nothing known"))
            ports.append(Node(f"{click.style(port.name, fg='blue')}  ⇄  {end.text}", end.more))
    name = click.style(bridge.name, fg="blue", bold=True)
    return Node(
        f"{name}  bridge, {bridge.address}, mtu {bridge.mtu}", [_addresses(rtnl, bridge)], ports
    )


def _end(rtnl: "RTNL", netns: "NetNS", found: "link.Link") -> Node:
    """Return the container's end of a veth pair."""
    container = click.style(netns.path.rpartition("/")[2], fg="magenta", bold=True)
    routes = [
        f"default via {entry.gw}"
        for entry in route.dump(rtnl)
        if entry.index == found.index and entry.gw and entry.dst.prefixlen == 0
    ]
    state = "up" if found.operational else "down"
    text = f"{container} {found.name}, {found.address}, mtu {found.mtu}, {state}"
    return Node(text, [_addresses(rtnl, found), "   ".join(routes)])


def _addresses(rtnl: "RTNL", found: "link.Link") -> str:
    shown = [entry.address for entry in addr.dump(rtnl, found.index)]
    return click.style("   ".join(str(a) for a in shown if not _automatic(a)), fg="cyan")


def _automatic(address: object) -> bool:
    """Say whether the kernel gave the address to the link by itself."""
    return isinstance(address, IPv6Interface) and address.is_link_local
