"""The bridge as the containers' gateway: which addresses, on the bridge, and forwarding.

`complete` is arithmetic on the IPAM plugin's result; the rest talks to the kernel, in the
network namespace of the host.
"""

import errno
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from cni_bridge.errors import HostConflictError
from cni_bridge.kernel import tolerating
from cnisdk import Interface, IPConfig, Result, Route
from cnisdk.net import addr, link, sysctl
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL

Address = IPv4Interface | IPv6Interface

DEFAULT: dict[int, IPv4Network | IPv6Network] = {
    4: IPv4Network("0.0.0.0/0"),
    6: IPv6Network("::/0"),
}
MAIN_TABLE = 254  # RT_TABLE_MAIN
FAMILY = {4: 2, 6: 10}  # AF_INET, AF_INET6

ANSWER_TIMEOUT = 3.0
"""Seconds for the kernel to begin to answer for an address; milliseconds, usually."""

FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def complete(
    result: Result,
    interfaces: tuple[Interface, ...],
    *,
    interface: int,
    is_gateway: bool,
    is_default_gateway: bool,
) -> Result:
    """Return the IPAM plugin's result with what it left to the bridge plugin.

    Every address belongs to the one of ``interfaces`` that is numbered ``interface``.  With
    ``is_gateway`` an address without a gateway has the first one of its network.  With
    ``is_default_gateway`` each family has a default route; one that the IPAM plugin asks for, with
    or without a gateway of its own, is enough.
    """
    ips = tuple(
        ip.model_copy(
            update={
                "interface": interface,
                "gateway": ip.gateway
                or (ip.address.network.network_address + 1 if is_gateway else None),
            }
        )
        for ip in result.ips
    )
    routes = result.routes
    if is_default_gateway:
        routes += _missing_default_routes(ips, routes)
    return result.replace(interfaces=interfaces, ips=ips, routes=routes)


def _missing_default_routes(
    ips: tuple[IPConfig, ...], routes: tuple[Route, ...]
) -> tuple[Route, ...]:
    routed = {
        route.dst.version
        for route in routes
        if route.dst.prefixlen == 0 and route.table in (None, 0, MAIN_TABLE)
    }
    missing: list[Route] = []
    for ip in ips:
        version = ip.address.version
        if version not in routed:
            routed.add(version)
            missing.append(Route(dst=DEFAULT[version], gw=ip.gateway))
    return tuple(missing)


def addresses(ips: Iterable[IPConfig]) -> list[Address]:
    """Return the addresses of the gateways as the bridge has them: IPv4 first, each once."""
    found: dict[Address, None] = {}
    for ip in sorted(ips, key=lambda ip: ip.address.version):
        if ip.gateway is not None:
            prefixlen = ip.address.network.prefixlen
            found[type(ip.address)((ip.gateway, prefixlen))] = None
    return list(found)


def ensure_addresses(rtnl: RTNL, bridge: Link, wanted: list[Address], *, force: bool) -> None:
    """Put the ``wanted`` addresses on the bridge.

    An IPv4 address that is already there, and an IPv6 one whose network overlaps, are in the way
    of one that is not: they are removed with ``force``, else HostConflictError is raised before
    anything is changed.  Safe beside another ADD that does the same.
    """
    families = {FAMILY[address.version] for address in wanted}
    family = families.pop() if len(families) == 1 else 0  # no family is in another's way
    present = [a.address for a in addr.dump(rtnl, index=bridge.index, family=family)]
    missing = [address for address in wanted if address not in present]
    if not missing:
        return
    in_the_way = [p for p in present if p not in wanted and any(_conflict(p, m) for m in missing)]
    if in_the_way and not force:
        raise HostConflictError(
            "bridge already has another address",
            f"{bridge.name} has {', '.join(map(str, in_the_way))}, "
            f"the network needs {', '.join(map(str, missing))}; forceAddress would replace it",
        )
    for address in in_the_way:
        with tolerating(errno.EADDRNOTAVAIL):
            addr.delete(rtnl, bridge.index, address)
    for address in missing:
        # No duplicate address detection: it would keep the gateway silent for two seconds.
        with tolerating(errno.EEXIST):
            addr.add(rtnl, bridge.index, address, nodad=True)
    addr.wait_answering(rtnl, bridge.index, missing, ANSWER_TIMEOUT)
    # Set, the address stays as ports come and go; containers have it in their neighbour tables.
    link.set_address(rtnl, bridge.index, bridge.address)


def _conflict(present: Address, wanted: Address) -> bool:
    if isinstance(present, IPv4Interface):
        return isinstance(wanted, IPv4Interface)
    # every link has a link-local address of its own beside others
    return (
        isinstance(wanted, IPv6Interface)
        and not present.is_link_local
        and present.network.overlaps(wanted.network)
    )


def enable_forwarding(versions: set[int]) -> None:
    """Have the host forward packets of these IP versions."""
    for version in sorted(versions):
        sysctl.write(FORWARDING[version], 1)


def forwards(version: int) -> bool:
    """Say whether the host forwards packets of an IP version."""
    return sysctl.read(FORWARDING[version]) == "1"
