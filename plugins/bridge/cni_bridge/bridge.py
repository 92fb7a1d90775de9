"""The bridge itself: find it or make it, in the network namespace of the host.

Several ADDs do this at the same moment.  A bridge is made complete, in one request, so whoever
finds it can use it; and nobody here ever deletes one, since another ADD may be about to make a
port of it.
"""

import errno

from cni_bridge import mac
from cni_bridge.config import Config
from cni_bridge.errors import HostConflictError
from cni_bridge.kernel import prefer, tolerating
from cnisdk.net import bridge as ports, link
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL

NO_ADDRESS = "00:00:00:00:00:00"

FORWARDING = 3  # BR_STATE_FORWARDING

RUNNING = 6
"""IF_OPER_UP: with a port.  A bridge that never had one may be IF_OPER_UNKNOWN, with carrier."""

PORT_TIMEOUT = 3.0
"""Seconds for the port to come up, about as long as the reference plugin tries."""


def find(rtnl: RTNL, name: str) -> Link | None:
    """Return the bridge called ``name``, None if there is no such link.

    Raises HostConflictError if the name belongs to another kind of link.
    """
    found = link.find(rtnl, name)
    if found is not None and found.kind != "bridge":
        raise HostConflictError(
            "bridge name is taken by a link that is no bridge",
            f'$.bridge: "{name}" is {f"of kind {found.kind}" if found.kind else "a device"}',
        )
    return found


def create(rtnl: RTNL, config: Config) -> Link:
    """Make the bridge, or take the one that another ADD made just now.

    It has an address of its own: one that follows its ports changes under the containers that
    know it, and becomes all zero with the last port.
    """
    with tolerating(errno.EEXIST):
        link.add_bridge(
            rtnl,
            config.bridge,
            mtu=config.mtu,
            address=mac.choose(),
            vlan_filtering=config.filters_vlans,
            up=True,
        )
        # Without this a first container's IPv6 packets wait for the bridge's link-local address.
        prefer(f"net/ipv6/conf/{config.bridge}/accept_dad", 0, new=True)
    made = find(rtnl, config.bridge)
    if made is None:
        raise HostConflictError("bridge was deleted as soon as it was made", config.bridge)
    return made


def prepare(rtnl: RTNL, bridge: Link, config: Config) -> Link:
    """Bring a bridge into the state that containers need; nothing is done for one that is.

    Its MTU stays as it is: it belongs to whoever made the bridge.  That it filters VLANs is what
    a network with VLANs relies on to be apart from others, and others do not notice.
    """
    prefer(f"net/ipv6/conf/{bridge.name}/accept_ra", 0)
    bridge = _keep_address(rtnl, bridge, config)
    if config.promisc_mode and not bridge.promisc:
        link.set_promisc(rtnl, bridge.index)
    if config.filters_vlans and not bridge.vlan_filtering:
        ports.set_vlan_filtering(rtnl, bridge.index)
    if not bridge.up:
        link.set_up(rtnl, bridge.index)
    return bridge


def _keep_address(rtnl: RTNL, bridge: Link, config: Config) -> Link:
    """Set the address of a bridge without running ports, before its first port would change it.

    An address that nobody has set follows the ports, and whether it was set netlink does not say.
    ADDs at the same moment set the same: what the bridge has, or what is made from its identity.
    On a bridge that has ports, ours change nothing; see `mac.choose_for_port`.
    """
    if bridge.address == NO_ADDRESS:
        # Its last port is gone, and the kernel took the address along.
        bridge = bridge._replace(address=mac.of_link(bridge.index))
    elif bridge.operstate == RUNNING or not config.routes_by_bridge:
        return bridge
    link.set_address(rtnl, bridge.index, bridge.address)
    return bridge


def wait_until_passing(rtnl: RTNL, bridge: Link, port: Link) -> Link:
    """Wait until packets pass between the bridge and its new port; return the port.

    With its first port a bridge comes up itself, a moment later, and drops until then what the
    host sends: the first container's ARP request would be answered after a second only.  With
    the spanning tree protocol the port has to wait its turn, which takes longer than any ADD.
    """
    if not port.operational:
        port = link.wait_up(rtnl, port.index, PORT_TIMEOUT)
    if not bridge.operational and ports.port_of(port).state == FORWARDING:
        link.wait_up(rtnl, bridge.index, PORT_TIMEOUT)
    return port
