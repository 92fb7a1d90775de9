"""Neighbours (ARP and NDP entries); RTM_*NEIGH of rtnetlink(7)."""

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from cnisdk.net import _uapi as k
from cnisdk.net.rtnetlink import NDMSG, attribute, attributes, lladdr, to_ip, to_lladdr, u32
from cnisdk.net.rtnl import RTNL


class Neighbour(NamedTuple):
    """Which link-layer address an IP address has on a link."""

    index: int  # type: ignore[assignment]  # not tuple.index()
    address: IPv4Address | IPv6Address
    lladdr: str
    state: int
    """NUD_…"""
    flags: int = 0
    """NTF_…"""


def add(
    rtnl: RTNL,
    index: int,
    address: IPv4Address | IPv6Address,
    lladdr_: str,
    *,
    state: int = k.NUD_PERMANENT,
    replace: bool = False,
) -> None:
    """Add a neighbour; NetlinkError(EEXIST) if it is there already, unless ``replace``."""
    body = _body(index, address, state) + lladdr(k.NDA_LLADDR, lladdr_)
    flags = k.NLM_F_CREATE | (k.NLM_F_REPLACE if replace else k.NLM_F_EXCL)
    rtnl.request(f"add neighbour {address} on link {index}", k.RTM_NEWNEIGH, body, flags)


def delete(rtnl: RTNL, index: int, address: IPv4Address | IPv6Address) -> None:
    """Delete a neighbour; NetlinkError(ENOENT) if it is not there."""
    what = f"delete neighbour {address} on link {index}"
    rtnl.request(what, k.RTM_DELNEIGH, _body(index, address, 0))


def dump(rtnl: RTNL, index: int = 0, family: int = 0) -> list[Neighbour]:
    """Return the neighbours on all links, or on one, in both families, or in one."""
    body = NDMSG.pack(family, 0, 0, 0, 0)
    if index:
        body += u32(k.NDA_IFINDEX, index)
    found = rtnl.dump("list neighbours", k.RTM_GETNEIGH, body)
    return [
        entry
        for payload in found
        if (entry := decode(payload)) is not None and index in (0, entry.index)
    ]


def decode(payload: bytes) -> Neighbour | None:
    """Read an RTM_NEWNEIGH; None for another family than IP."""
    family, index, state, flags, _ = NDMSG.unpack_from(payload)
    if family not in (k.AF_INET, k.AF_INET6):
        return None
    got = attributes(payload, NDMSG.size).get
    return Neighbour(index, to_ip(got(k.NDA_DST, b"")), to_lladdr(got(k.NDA_LLADDR)), state, flags)


def _body(index: int, address: IPv4Address | IPv6Address, state: int) -> bytes:
    family = k.AF_INET if address.version == 4 else k.AF_INET6
    return NDMSG.pack(family, index, state, 0, 0) + attribute(k.NDA_DST, address.packed)
