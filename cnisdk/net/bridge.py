"""Bridges and their ports: settings that no other link has; see bridge(8) and ip-link(8)."""

import errno
from typing import NamedTuple

from cnisdk.net import _uapi as k, link
from cnisdk.net.rtnetlink import IFINFOMSG, attribute, attributes, string, to_int, u8, u16
from cnisdk.net.rtnl import RTNL, NetlinkError


class Port(NamedTuple):
    """What the bridge does at one port."""

    hairpin: bool
    """Sends a frame back out of the port it came from."""
    isolated: bool
    """Talks to ports that are not isolated, and to the bridge itself, only."""
    state: int
    """Spanning tree: 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking."""


def set_port(
    rtnl: RTNL, index: int, *, hairpin: bool | None = None, isolated: bool | None = None
) -> None:
    """Change settings of the port numbered ``index``; None leaves one as it is."""
    settings = b""
    words = []
    if hairpin is not None:
        settings += u8(k.IFLA_BRPORT_MODE, hairpin)
        words.append(f"hairpin {'on' if hairpin else 'off'}")
    if isolated is not None:
        settings += u8(k.IFLA_BRPORT_ISOLATED, isolated)
        words.append(f"isolated {'on' if isolated else 'off'}")
    if not settings:
        return
    body = IFINFOMSG.pack(k.AF_BRIDGE, 0, index, 0, 0)
    body += attribute(k.IFLA_PROTINFO | k.NLA_F_NESTED, settings)
    rtnl.request(f"set bridge port {index} {' '.join(words)}", k.RTM_SETLINK, body)


def port(rtnl: RTNL, index: int) -> Port:
    """Return the settings of a port; NetlinkError(EINVAL) if the link is no port."""
    found = link.by_index(rtnl, index)
    if not found.slave_info:
        raise NetlinkError(errno.EINVAL, f"read bridge port {found.name}", "it is in no bridge")
    return port_of(found)


def port_of(found: link.Link) -> Port:
    """Return the settings of a port from the link that was already looked up."""
    got = attributes(found.slave_info).get
    return Port(
        bool(to_int(got(k.IFLA_BRPORT_MODE))),
        bool(to_int(got(k.IFLA_BRPORT_ISOLATED))),
        to_int(got(k.IFLA_BRPORT_STATE)),
    )


def set_vlan_filtering(rtnl: RTNL, index: int) -> None:
    """Have the bridge numbered ``index`` keep its VLANs apart.

    Untagged frames go on as before: every port is in the bridge's default VLAN.
    """
    info = attribute(k.IFLA_INFO_KIND, b"bridge")
    info += attribute(k.IFLA_INFO_DATA, u8(k.IFLA_BR_VLAN_FILTERING, 1))
    body = IFINFOMSG.pack(k.AF_UNSPEC, 0, index, 0, 0) + attribute(k.IFLA_LINKINFO, info)
    rtnl.request(f"set bridge {index} vlan_filtering on", k.RTM_NEWLINK, body)


def can_filter_vlans(rtnl: RTNL) -> bool:
    """Say whether this kernel's bridges can keep VLANs apart; changes nothing.

    Asks for a bridge that no kernel makes: it has the loopback's name.  Where bridges know VLANs
    it is refused before that for its protocol, which is none.
    """
    data = u16(k.IFLA_BR_VLAN_PROTOCOL, 0)
    info = attribute(k.IFLA_INFO_KIND, b"bridge") + attribute(k.IFLA_INFO_DATA, data)
    body = IFINFOMSG.pack(k.AF_UNSPEC, 0, 0, 0, 0)
    body += string(k.IFLA_IFNAME, "lo") + attribute(k.IFLA_LINKINFO, info)
    try:
        rtnl.request("ask for VLANs", k.RTM_NEWLINK, body, k.NLM_F_CREATE | k.NLM_F_EXCL)
    except NetlinkError as err:
        if err.errno not in (errno.EPROTONOSUPPORT, errno.EEXIST, errno.EOPNOTSUPP):
            raise
        return err.errno == errno.EPROTONOSUPPORT
    raise NetlinkError(errno.EPROTO, "ask for VLANs", "the kernel made a second lo")
