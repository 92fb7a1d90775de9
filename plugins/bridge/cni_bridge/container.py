"""The container's end: parameters, addresses and routes, up."""

from ipaddress import IPv4Interface, IPv6Interface
from typing import NamedTuple

from cni_bridge.kernel import prefer
from cnisdk import Attachment, Result, ipam
from cnisdk.net import addr, link
from cnisdk.net.rtnl import RTNL

TIMEOUT = 3.0
"""Seconds to wait for what usually takes the kernel well under a millisecond."""


def configure(attachment: Attachment, result: Result, *, dad: bool) -> None:
    """Give the container's interface what ``result`` says, and bring it up.

    Unless ``dad``, its IPv6 addresses can be used at once, the link-local one too.
    """
    ifname = attachment.ifname
    with attachment.netns.enter():
        # the kernel announces the address when the link comes up
        prefer(f"net/ipv4/conf/{ifname}/arp_notify", 1, new=True)
        if dad:
            prefer(f"net/ipv6/conf/{ifname}/enhanced_dad", 1, new=True)
        prefer(f"net/ipv6/conf/{ifname}/accept_dad", int(dad), new=True)
        socket = RTNL()
    with socket as container:
        ipam.configure(container, attachment.netns, ifname, result, dad=dad)
        _wait_answering(container, ifname, [ip.address for ip in result.ips])


def _wait_answering(
    container: RTNL, ifname: str, addresses: list[IPv4Interface | IPv6Interface]
) -> None:
    """Wait until others find the interface by its IPv6 addresses.

    The kernel's IPv6 begins to listen once the link passes packets, and for an address a moment
    after it was added; who asks before asks again after a whole second.
    """
    if not any(address.version == 6 for address in addresses):
        return
    end = link.by_name(container, ifname)
    if not end.operational:
        link.wait_up(container, end.index, TIMEOUT)
    addr.wait_answering(container, end.index, addresses, TIMEOUT)


def set_up(attachment: Attachment) -> None:
    """Bring the interface up that has no addresses to wait for."""
    with RTNL(attachment.netns) as container:
        link.set_up(container, link.index_of(container, attachment.ifname))


class Addresses(NamedTuple):
    """The addresses of a container, IPv6 link-local ones left out."""

    own: list[IPv4Interface | IPv6Interface]
    """Of the attachment's interface."""
    others: list[IPv4Interface | IPv6Interface]
    """Of the container's other interfaces."""


def addresses(container: RTNL, ifname: str) -> Addresses:
    """Return the container's addresses, sorted by whether ``ifname`` has them."""
    found = link.find(container, ifname)
    own: list[IPv4Interface | IPv6Interface] = []
    others: list[IPv4Interface | IPv6Interface] = []
    for entry in addr.dump(container):
        if entry.address.version == 4 or not entry.address.is_link_local:
            mine = found is not None and entry.index == found.index
            (own if mine else others).append(entry.address)
    return Addresses(own, others)
