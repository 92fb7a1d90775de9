"""Routes; RTM_*ROUTE of rtnetlink(7)."""

import errno
import sys
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from cnisdk.net import _uapi as k
from cnisdk.net.rtnetlink import RTMSG, RTNEXTHOP, attribute, attributes, to_int, to_ip, u32
from cnisdk.net.rtnl import RTNL, NetlinkError

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

BLACKHOLE = k.RTN_BLACKHOLE
"""`Route.type` of one that swallows what is sent there; it has no link."""


class NextHop(NamedTuple):
    """One way of a route that has several."""

    gw: IPAddress | None = None
    index: int = 0  # type: ignore[assignment]  # not tuple.index()
    """The link, 0 to have the kernel find it from ``gw``."""
    weight: int = 1
    onlink: bool = False


class Route(NamedTuple):
    """A route: where ``dst`` goes.  What `dump` returns, `add` and `delete` take."""

    dst: IPNetwork
    """0.0.0.0/0 and ::/0 are default routes."""
    gw: IPAddress | None = None
    index: int = 0  # type: ignore[assignment]  # not tuple.index()
    """The link, 0 to have the kernel find it from ``gw``."""
    table: int = k.RT_TABLE_MAIN
    scope: int | None = None
    """RT_SCOPE_…; None: LINK for an IPv4 route without gateway, UNIVERSE for others."""
    priority: int = 0
    """The metric: of two routes to one destination the smaller wins."""
    mtu: int = 0
    advmss: int = 0
    src: IPAddress | None = None
    """The source address that is preferred."""
    onlink: bool = False
    """The gateway is on the link although no route says so."""
    nexthops: tuple[NextHop, ...] = ()
    """Instead of ``gw`` and ``index``: several ways between which packets are spread."""
    protocol: int = k.RTPROT_BOOT
    type: int = k.RTN_UNICAST


def add(rtnl: RTNL, route: Route, *, append: bool = False) -> None:
    """Add a route; NetlinkError(EEXIST) if there is one to its destination and priority.

    ``append`` adds one beside it instead: for IPv6 as a further next hop (ECMP), for IPv4 as an
    alternative.
    """
    flags = k.NLM_F_CREATE if append else k.NLM_F_CREATE | k.NLM_F_EXCL
    rtnl.request(f"add {describe(route)}", k.RTM_NEWROUTE, _body(route), flags)


def replace(rtnl: RTNL, route: Route) -> None:
    """Add a route in the place of one to the same destination and priority, if any."""
    flags = k.NLM_F_CREATE | k.NLM_F_REPLACE
    rtnl.request(f"replace {describe(route)}", k.RTM_NEWROUTE, _body(route), flags)


def delete(rtnl: RTNL, route: Route) -> None:
    """Delete the first route that fits; NetlinkError(ESRCH) if none does.

    What is left out of ``route`` fits anything.
    """
    rtnl.request(f"delete {describe(route)}", k.RTM_DELROUTE, _body(route, deleting=True))


def dump(
    rtnl: RTNL, *, table: int = k.RT_TABLE_MAIN, index: int = 0, family: int = 0
) -> list[Route]:
    """Return the IP routes of ``table`` (0: of all), over the link ``index``, of ``family``."""
    body = RTMSG.pack(family, 0, 0, 0, table if table < 256 else 0, 0, 0, 0, 0)
    if table:
        body += u32(k.RTA_TABLE, table)
    if index:
        body += u32(k.RTA_OIF, index)
    try:
        found = rtnl.dump("list routes", k.RTM_GETROUTE, body)
    except NetlinkError as err:
        if err.errno == errno.ENOENT:  # a table that was never used
            return []
        raise
    # The kernel filters from 4.20 on; this is for older ones, and next hops.
    return [
        entry
        for payload in found
        if (entry := decode(payload)) is not None
        and table in (0, entry.table)
        and (index in (0, entry.index) or any(hop.index == index for hop in entry.nexthops))
    ]


def decode(payload: bytes) -> Route | None:
    """Read an RTM_NEWROUTE; None for another family than IP and for cached routes."""
    family, length, _, _, table, protocol, scope, type_, flags = RTMSG.unpack_from(payload)
    if family not in (k.AF_INET, k.AF_INET6) or flags & k.RTM_F_CLONED:
        return None
    got = attributes(payload, RTMSG.size).get
    metrics = attributes(got(k.RTA_METRICS, b"")).get
    dst: IPNetwork
    if family == k.AF_INET:
        dst = IPv4Network((got(k.RTA_DST, bytes(4)), length))
    else:
        dst = IPv6Network((got(k.RTA_DST, bytes(16)), length))
    src = got(k.RTA_PREFSRC)
    return Route(
        dst,
        _gateway(got(k.RTA_GATEWAY), got(k.RTA_VIA)),
        to_int(got(k.RTA_OIF)),
        to_int(got(k.RTA_TABLE), table),
        scope,
        to_int(got(k.RTA_PRIORITY)),
        to_int(metrics(k.RTAX_MTU)),
        to_int(metrics(k.RTAX_ADVMSS)),
        None if src is None else to_ip(src),
        bool(flags & k.RTNH_F_ONLINK),
        _nexthops(got(k.RTA_MULTIPATH, b"")),
        protocol,
        type_,
    )


def describe(route: Route) -> str:
    """Say a route in the words of ip-route(8)."""
    words = [f"route {route.dst}"]
    for hop in route.nexthops or (NextHop(route.gw, route.index),):
        if hop.gw is not None:
            words.append(f"via {hop.gw}")
        if hop.index:
            words.append(f"link {hop.index}")
    if route.table != k.RT_TABLE_MAIN:
        words.append(f"table {route.table}")
    return " ".join(words)


def _body(route: Route, *, deleting: bool = False) -> bytes:
    family = k.AF_INET if route.dst.version == 4 else k.AF_INET6
    body = RTMSG.pack(
        family,
        route.dst.prefixlen,
        0,
        0,
        route.table if route.table < 256 else k.RT_TABLE_UNSPEC,
        0 if deleting else route.protocol,
        _scope(route, deleting=deleting),
        0 if deleting else route.type,
        k.RTNH_F_ONLINK if route.onlink else 0,
    )
    if route.dst.prefixlen:
        body += attribute(k.RTA_DST, route.dst.network_address.packed)
    if route.gw is not None:
        body += _via(route.gw, family)
    if route.table > 255:
        body += u32(k.RTA_TABLE, route.table)
    if route.priority:
        body += u32(k.RTA_PRIORITY, route.priority)
    if route.src is not None:
        body += attribute(k.RTA_PREFSRC, route.src.packed)
    if route.index:
        body += u32(k.RTA_OIF, route.index)
    if route.mtu or route.advmss:
        body += attribute(k.RTA_METRICS, _metrics(route))
    if route.nexthops:
        hops = b"".join(_nexthop(hop, family) for hop in route.nexthops)
        body += attribute(k.RTA_MULTIPATH, hops)
    return body


def _scope(route: Route, *, deleting: bool) -> int:
    if route.scope is not None:
        return route.scope
    if deleting:
        return k.RT_SCOPE_NOWHERE
    direct = route.dst.version == 4 and route.gw is None and not route.nexthops
    return k.RT_SCOPE_LINK if direct else k.RT_SCOPE_UNIVERSE


def _metrics(route: Route) -> bytes:
    metrics = b""
    if route.mtu:
        metrics += u32(k.RTAX_MTU, route.mtu)
    if route.advmss:
        metrics += u32(k.RTAX_ADVMSS, route.advmss)
    return metrics


def _via(gw: IPAddress, family: int) -> bytes:
    its = k.AF_INET if gw.version == 4 else k.AF_INET6
    if its == family:
        return attribute(k.RTA_GATEWAY, gw.packed)
    return attribute(k.RTA_VIA, its.to_bytes(2, sys.byteorder) + gw.packed)


def _nexthop(hop: NextHop, family: int) -> bytes:
    attrs = b"" if hop.gw is None else _via(hop.gw, family)
    flags = k.RTNH_F_ONLINK if hop.onlink else 0
    return RTNEXTHOP.pack(RTNEXTHOP.size + len(attrs), flags, hop.weight - 1, hop.index) + attrs


def _nexthops(data: bytes) -> tuple[NextHop, ...]:
    hops = []
    offset = 0
    while offset + RTNEXTHOP.size <= len(data):
        length, flags, weight, index = RTNEXTHOP.unpack_from(data, offset)
        got = attributes(data[offset + RTNEXTHOP.size : offset + length]).get
        gw = _gateway(got(k.RTA_GATEWAY), got(k.RTA_VIA))
        hops.append(NextHop(gw, index, weight + 1, bool(flags & k.RTNH_F_ONLINK)))
        offset += max((length + 3) & ~3, RTNEXTHOP.size)
    return tuple(hops)


def _gateway(gateway: bytes | None, via: bytes | None) -> IPAddress | None:
    if gateway is not None:
        return to_ip(gateway)
    return None if via is None else to_ip(via[2:])
