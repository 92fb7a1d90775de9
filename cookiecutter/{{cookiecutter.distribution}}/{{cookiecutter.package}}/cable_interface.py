"""The cable between container and host: a veth, RTM_NEWLINK of rtnetlink(7)."""

import errno
import os
from typing import NamedTuple

from cnisdk import Attachment, Interface, InvalidEnvironmentError, Result
from cnisdk.net import link
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL, NetlinkError


class Ends(NamedTuple):
    """Both ends of a cable."""

    host: Link
    container: Link

    def interfaces(self, attachment: Attachment) -> tuple[Interface, ...]:
        """Return them as a result lists them: `layer3.CONTAINER` is the container's index."""
        return (
            Interface(name=self.host.name, mac=self.host.address, mtu=self.host.mtu),
            Interface(
                name=self.container.name,
                mac=self.container.address,
                mtu=self.container.mtu,
                sandbox=attachment.sandbox,
            ),
        )


def connect(host: RTNL, container: RTNL, attachment: Attachment, *, mtu: int) -> Ends:
    """Make a cable in one request: both ends are there afterwards, or none."""
    name = f"veth{os.urandom(4).hex()}"
    try:
        link.add_veth(
            host, name, attachment.ifname, peer_netns=attachment.netns, mtu=mtu, queues=1, up=True
        )
    except NetlinkError as err:
        if err.errno != errno.EEXIST:
            raise
        raise InvalidEnvironmentError(
            "CNI_IFNAME names an interface that the container already has",
            f"CNI_IFNAME={attachment.ifname}",
        ) from err
    return Ends(link.by_name(host, name), link.by_name(container, attachment.ifname))


def remove(name: str) -> None:
    """Delete the cable whose host end is ``name``; the container's end goes with it."""
    with RTNL() as host:
        _delete(host, link.find(host, name))


def remove_of(attachment: Attachment, recorded: Result | None) -> None:
    """Delete the cable of a container, or what ADD recorded where its namespace is gone."""
    if attachment.netns_or_none is not None:
        with RTNL(attachment.netns) as container:
            _delete(container, link.find(container, attachment.ifname))
        return
    with RTNL() as host:
        for interface in recorded.interfaces if recorded else ():
            found = link.find(host, interface.name)
            # A name alone proves little.
            if not interface.sandbox and found and found.address == interface.mac:
                _delete(host, found)


def _delete(rtnl: RTNL, found: Link | None) -> None:
    if found is not None and found.kind == "veth":
        try:
            link.delete(rtnl, found.index)
        except NetlinkError as err:
            if err.errno != errno.ENODEV:  # it went with its namespace
                raise
