"""The virtual cable between container and bridge, seen from the host."""

import errno
import os
from typing import NamedTuple

from cni_bridge import mac, vlan
from cni_bridge.config import Config
from cni_bridge.kernel import prefer, tolerating
from cnisdk import Attachment, InvalidEnvironmentError, Result, ValidAttachments
from cnisdk.net import bridge as port, link, mark
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL, NetlinkError

KIND = "veth"

_ATTEMPTS = 10
"""How often another name is tried for the host's end: the reference plugin's number."""


class Cable(NamedTuple):
    """The two ends of a veth that was just made."""

    name: str
    """The host's end."""
    address: str
    peer_address: str


def refuse_existing(attachment: Attachment) -> None:
    """Raise if the container has an interface of the attachment's name; SPEC section 2, ADD.

    "If an interface with the name already exists inside the container … MUST return with an
    error".
    """
    with RTNL(attachment.netns) as container:
        if link.find(container, attachment.ifname) is not None:
            raise InvalidEnvironmentError(
                "CNI_IFNAME names an interface that the container already has",
                f"CNI_IFNAME={attachment.ifname}",
            )


def connect(host: RTNL, bridge: Link, config: Config, attachment: Attachment) -> Cable:
    """Make a veth from a port of the bridge to the container, whose end stays down.

    One request: either all of it is there afterwards or nothing.  Both addresses are set, so
    that nobody, such as udev, changes them once they have been reported.
    """
    address = mac.choose_for_port()
    peer_address = config.wanted_mac(attachment.args) or mac.choose()
    attempt = 1
    while True:
        name = f"veth{os.urandom(4).hex()}"
        try:
            link.add_veth(
                host,
                name,
                attachment.ifname,
                peer_netns=attachment.netns,
                mtu=config.mtu,
                address=address,
                peer_address=peer_address,
                master=bridge.index,
                queues=1,
                up=True,
            )
        except NetlinkError as err:
            if err.errno != errno.EEXIST:
                raise
            refuse_existing(attachment)
            if attempt == _ATTEMPTS:
                raise
            attempt += 1
        else:
            return Cable(name, address, peer_address)


def tune(host: RTNL, cable: Cable, bridge: Link, config: Config, attachment: Attachment) -> None:
    """Give the port what the configuration wants different from a new port, and its mark.

    By its alias a DEL that nobody helps finds the port, and GC one that nobody uses any more.
    """
    prefer(f"net/ipv6/conf/{cable.name}/accept_ra", 0, new=True)
    index = link.index_of(host, cable.name)
    link.set_alias(
        host, index, mark.of(attachment.network, attachment.ifname, attachment.container_id)
    )
    if config.hairpin_mode or config.port_isolation:
        port.set_port(
            host,
            index,
            hairpin=config.hairpin_mode or None,
            isolated=config.port_isolation or None,
        )
    vlan.tag(host, index, bridge, config)


def remove(name: str) -> None:
    """Delete the veth whose host end is ``name``; the undo of `connect`."""
    with RTNL() as host:
        found = link.find(host, name)
        if found is not None:
            _delete(host, found)


def remove_peer(container: RTNL, ifname: str) -> bool:
    """Delete the veth whose container end is ``ifname``; False if there is none."""
    found = link.find(container, ifname)
    if found is None or found.kind != KIND:
        return False
    _delete(container, found)
    return True


def remove_recorded(recorded: Result, bridge: str) -> bool:
    """Delete the veth whose host end ``recorded`` names, for a container out of reach.

    A name alone proves little, so the link must lead to another namespace, as a VLAN's gateway
    does not, and have the address recorded for it, or be a port of the bridge.
    """
    with RTNL() as host:
        for interface in recorded.interfaces:
            if interface.sandbox or interface.name == bridge:
                continue
            found = link.find(host, interface.name)
            if found is None or found.kind != KIND or found.peer_netnsid < 0:
                continue
            if found.address == interface.mac.lower() or _is_port_of(host, found, bridge):
                _delete(host, found)
                return True
    return False


def remove_marked(attachment: Attachment) -> None:
    """Delete the veth that bears the attachment's mark, for a container out of reach."""
    key = mark.key(attachment.network, attachment.ifname, attachment.container_id)
    with RTNL() as host:
        for found in link.dump(host, kind=KIND):
            if found.alias.startswith(key):
                _delete(host, found)


def gc(valid: ValidAttachments) -> None:
    """Delete the veths of the network's attachments that are not ``valid``.

    What bears no mark may be anybody's: a port that an administrator added, a container's of
    another network or of the reference plugin, whose veth goes with its namespace.
    """
    network = mark.network_key(valid.network)
    keep = tuple(mark.key(valid.network, ifname, container) for container, ifname in valid)
    with RTNL() as host:
        for found in link.dump(host, kind=KIND):
            if found.alias.startswith(network) and not found.alias.startswith(keep):
                _delete(host, found)


def _is_port_of(host: RTNL, found: Link, bridge: str) -> bool:
    master = link.find(host, bridge)
    return master is not None and found.master == master.index


def _delete(rtnl: RTNL, found: Link) -> None:
    with tolerating(errno.ENODEV):
        link.delete(rtnl, found.index)
