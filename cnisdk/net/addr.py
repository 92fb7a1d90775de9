"""IP addresses of links; RTM_*ADDR of rtnetlink(7)."""

import errno
import time
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface
from typing import NamedTuple

from cnisdk.net import _uapi as k
from cnisdk.net.rtnetlink import IFADDRMSG, attribute, attributes, to_int, to_string, u32
from cnisdk.net.rtnl import RTNL, NetlinkError

# As many as fit in the smallest datagram.  The kernel does not tell when the addresses of one
# link change between two datagrams of their dump (NLM_F_DUMP_INTR); when those of all do, it does.
_ONE_DATAGRAM = 40

_SOLICITED = bytes.fromhex("ff0200000000000000000001ff")  # RFC 4291, 2.7.1


class Addr(NamedTuple):
    """An address on a link."""

    index: int  # type: ignore[assignment]  # not tuple.index()
    address: IPv4Interface | IPv6Interface
    scope: int
    """RT_SCOPE_…: UNIVERSE, LINK, HOST."""
    flags: int
    """IFA_F_…"""
    label: str = ""

    @property
    def tentative(self) -> bool:
        """Whether duplicate address detection has not let it be used yet."""
        return bool(self.flags & k.IFA_F_TENTATIVE)


def add(
    rtnl: RTNL,
    index: int,
    address: IPv4Interface | IPv6Interface,
    *,
    nodad: bool = False,
    replace: bool = False,
    prefix_route: bool = True,
) -> None:
    """Put an address on a link, without a broadcast address, as ``ip address add`` does.

    ``nodad`` lets an IPv6 address be used at once, without detection of duplicates.  Without
    ``prefix_route`` the kernel adds no route to the address's network on that link.
    NetlinkError(EEXIST) if it is there already, unless ``replace``.
    """
    body = _body(index, address)
    wanted = k.IFA_F_NODAD if nodad and address.version == 6 else 0
    wanted |= 0 if prefix_route else k.IFA_F_NOPREFIXROUTE
    if wanted:
        body += u32(k.IFA_FLAGS, wanted)
    flags = k.NLM_F_CREATE | (k.NLM_F_REPLACE if replace else k.NLM_F_EXCL)
    rtnl.request(f"add address {address} to link {index}", k.RTM_NEWADDR, body, flags)


def delete(rtnl: RTNL, index: int, address: IPv4Interface | IPv6Interface) -> None:
    """Take an address off a link; NetlinkError(EADDRNOTAVAIL) if it is not there."""
    rtnl.request(
        f"delete address {address} from link {index}", k.RTM_DELADDR, _body(index, address)
    )


def dump(rtnl: RTNL, index: int = 0, family: int = 0) -> list[Addr]:
    """Return the addresses of all links, or of one, in both families, or in one (AF_INET…)."""
    what = "list addresses"
    found = rtnl.dump(what, k.RTM_GETADDR, IFADDRMSG.pack(family, 0, 0, 0, index))
    if index and len(found) > _ONE_DATAGRAM:
        found = rtnl.dump(what, k.RTM_GETADDR, IFADDRMSG.pack(family, 0, 0, 0, 0))
    # The kernel filters from 4.20 on; this is for older ones, and for the second dump.
    return [
        entry
        for payload in found
        if (entry := decode(payload)) is not None and index in (0, entry.index)
    ]


def wait_usable(rtnl: RTNL, index: int, timeout: float) -> None:
    """Wait until duplicate address detection has let all addresses of a link be used.

    Raises NetlinkError(EADDRINUSE) if it found one to be taken, with ETIMEDOUT after ``timeout``
    seconds.  Sleeps until the kernel reports a change; a hook that is to stop notices here.
    """
    what = f"wait for the addresses of link {index}"
    deadline = time.monotonic() + timeout
    with rtnl.listen(k.RTNLGRP_IPV6_IFADDR) as changes:
        while waiting := [a for a in dump(rtnl, index, k.AF_INET6) if a.tentative]:
            for entry in waiting:
                if entry.flags & k.IFA_F_DADFAILED:
                    raise NetlinkError(errno.EADDRINUSE, what, f"{entry.address} is a duplicate")
            if not changes.wait(deadline):
                text = f"{waiting[0].address} is tentative after {timeout:g} s"
                raise NetlinkError(errno.ETIMEDOUT, what, text)


def wait_answering(
    rtnl: RTNL, index: int, addresses: Iterable[IPv4Interface | IPv6Interface], timeout: float
) -> None:
    """Wait until a link hears who asks for its IPv6 ``addresses`` by neighbor solicitation.

    That is a moment later than the address is there, even without duplicate address detection:
    the kernel leaves it to a worker to join the group of RFC 4291, 2.7.1.  Who asks in between
    asks again after a whole second.  Raises NetlinkError(ETIMEDOUT) after ``timeout`` seconds.
    """
    wanted = {_SOLICITED + a.ip.packed[-3:] for a in addresses if a.version == 6}
    if not wanted or wanted <= _groups(rtnl, index):
        return
    deadline = time.monotonic() + timeout
    with rtnl.listen(k.RTNLGRP_IPV6_IFADDR) as changes:
        while not wanted <= _groups(rtnl, index):
            if not changes.wait(deadline):
                what = f"wait for the addresses of link {index} to answer"
                raise NetlinkError(errno.ETIMEDOUT, what, f"they do not after {timeout:g} s")


def _groups(rtnl: RTNL, index: int) -> set[bytes]:
    """Return the IPv6 multicast groups that a link is in."""
    request = IFADDRMSG.pack(k.AF_INET6, 0, 0, 0, index)
    return {
        attributes(payload, IFADDRMSG.size).get(k.IFA_MULTICAST, b"")
        for payload in rtnl.dump("list multicast groups", k.RTM_GETMULTICAST, request)
        if IFADDRMSG.unpack_from(payload)[4] == index
    }


def decode(payload: bytes) -> Addr | None:
    """Read an RTM_NEWADDR; None for another family than IP."""
    family, prefixlen, flags, scope, index = IFADDRMSG.unpack_from(payload)
    if family not in (k.AF_INET, k.AF_INET6):
        return None
    got = attributes(payload, IFADDRMSG.size).get
    # On a point-to-point link IFA_ADDRESS is the other end.
    octets = got(k.IFA_LOCAL) or got(k.IFA_ADDRESS, b"")
    cls = IPv4Interface if family == k.AF_INET else IPv6Interface
    return Addr(
        index,
        cls((octets, prefixlen)),
        scope,
        to_int(got(k.IFA_FLAGS), flags),
        to_string(got(k.IFA_LABEL)),
    )


def _body(index: int, address: IPv4Interface | IPv6Interface) -> bytes:
    if address.version == 4:
        family, scope = k.AF_INET, k.RT_SCOPE_HOST if address.ip.is_loopback else 0
    else:
        family, scope = k.AF_INET6, 0
    octets = address.ip.packed
    body = IFADDRMSG.pack(family, address.network.prefixlen, 0, scope, index)
    return body + attribute(k.IFA_LOCAL, octets) + attribute(k.IFA_ADDRESS, octets)
