"""Links: find, make, change, remove; RTM_*LINK of rtnetlink(7).

Every function takes the `RTNL` of the namespace in which the link is, and addresses an existing
link by index: a name may have come to mean another one since it was looked up.
"""

import errno
import time
from typing import NamedTuple

from cnisdk import cancel
from cnisdk.net import _uapi as k
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnetlink import (
    IFINFOMSG,
    attribute,
    attributes,
    lladdr,
    string,
    to_int,
    to_lladdr,
    to_signed,
    to_string,
    u8,
    u16,
    u32,
)
from cnisdk.net.rtnl import RTNL, NetlinkError

MACVLAN_MODES = {
    "private": k.MACVLAN_MODE_PRIVATE,
    "vepa": k.MACVLAN_MODE_VEPA,
    "bridge": k.MACVLAN_MODE_BRIDGE,
    "passthru": k.MACVLAN_MODE_PASSTHRU,
}
IPVLAN_MODES = {"l2": k.IPVLAN_MODE_L2, "l3": k.IPVLAN_MODE_L3, "l3s": k.IPVLAN_MODE_L3S}

_NEW = k.NLM_F_CREATE | k.NLM_F_EXCL
# Statistics are more than half of an answer, and nobody here reads them.
_NO_STATS = u32(k.IFLA_EXT_MASK, k.RTEXT_FILTER_SKIP_STATS)
_ANY = IFINFOMSG.pack(k.AF_UNSPEC, 0, 0, 0, 0)


class Link(NamedTuple):
    """A link as the kernel describes it."""

    index: int  # type: ignore[assignment]  # not tuple.index()
    name: str
    kind: str
    """IFLA_INFO_KIND, such as "veth"; "" for hardware and the loopback."""
    address: str
    """Link-layer address in lower case with colons."""
    mtu: int
    flags: int
    """IFF_… as in netdevice(7)."""
    operstate: int
    """IF_OPER_…, RFC 2863."""
    master: int = 0
    """Index of the bridge or bond it is a port of, 0 for none."""
    peer_index: int = 0
    """IFLA_LINK: a veth's other end, a macvlan's or vlan's parent; 0 for none."""
    peer_netnsid: int = -1
    """In which namespace ``peer_index`` counts, -1 for this one."""
    alias: str = ""
    promiscuity: int = 0
    info: bytes = b""
    """IFLA_INFO_DATA: attributes that depend on ``kind``."""
    slave_info: bytes = b""
    """IFLA_INFO_SLAVE_DATA: attributes that depend on the kind of the master."""

    @property
    def up(self) -> bool:
        """Whether it is set up (IFF_UP), which does not mean that it has carrier."""
        return bool(self.flags & k.IFF_UP)

    @property
    def promisc(self) -> bool:
        """Whether somebody set it promiscuous (IFF_PROMISC)."""
        return bool(self.flags & k.IFF_PROMISC)

    @property
    def carrier(self) -> bool:
        """Whether the other end is up too (IFF_LOWER_UP); `operational` follows a moment later."""
        return bool(self.flags & k.IFF_LOWER_UP)

    @property
    def operational(self) -> bool:
        """Whether it passes packets: operstate UP, or one whose driver tells no state."""
        if self.operstate == k.IF_OPER_UNKNOWN:
            return self.carrier
        return self.operstate == k.IF_OPER_UP

    @property
    def vlan_filtering(self) -> bool:
        """Whether a bridge filters VLANs."""
        return bool(to_int(attributes(self.info).get(k.IFLA_BR_VLAN_FILTERING)))

    @property
    def default_pvid(self) -> int:
        """The VLAN that a bridge puts its new ports into, 0 for none."""
        return to_int(attributes(self.info).get(k.IFLA_BR_VLAN_DEFAULT_PVID))

    @property
    def vlan_id(self) -> int:
        """The VLAN of a link of kind "vlan"."""
        return to_int(attributes(self.info).get(k.IFLA_VLAN_ID))

    @property
    def mode(self) -> str:
        """The mode of a macvlan or ipvlan, as its ``add_`` function takes it; "" for others."""
        modes = {"macvlan": MACVLAN_MODES, "ipvlan": IPVLAN_MODES}.get(self.kind, {})
        value = to_int(attributes(self.info).get(k.IFLA_MACVLAN_MODE))
        return next((name for name, number in modes.items() if number == value), "")


def decode(payload: bytes) -> Link:
    """Read an RTM_NEWLINK."""
    _, _, index, flags, _ = IFINFOMSG.unpack_from(payload)
    got = attributes(payload, IFINFOMSG.size).get
    info = attributes(got(k.IFLA_LINKINFO, b"")).get
    return Link(
        index,
        to_string(got(k.IFLA_IFNAME)),
        to_string(info(k.IFLA_INFO_KIND)),
        to_lladdr(got(k.IFLA_ADDRESS)),
        to_int(got(k.IFLA_MTU)),
        flags,
        to_int(got(k.IFLA_OPERSTATE)),
        to_int(got(k.IFLA_MASTER)),
        to_int(got(k.IFLA_LINK)),
        to_signed(got(k.IFLA_LINK_NETNSID), -1),
        to_string(got(k.IFLA_IFALIAS)),
        to_int(got(k.IFLA_PROMISCUITY)),
        info(k.IFLA_INFO_DATA, b""),
        info(k.IFLA_INFO_SLAVE_DATA, b""),
    )


def by_name(rtnl: RTNL, name: str) -> Link:
    """Return the link called ``name``, by one of its alternative names too.

    NetlinkError(ENODEV) if there is none.
    """
    body = _ANY + string(k.IFLA_IFNAME, name) + _NO_STATS
    return decode(rtnl.query(f"find link {name}", k.RTM_GETLINK, body))


def by_index(rtnl: RTNL, index: int) -> Link:
    """Return the link numbered ``index``; NetlinkError(ENODEV) if there is none."""
    body = IFINFOMSG.pack(k.AF_UNSPEC, 0, index, 0, 0) + _NO_STATS
    return decode(rtnl.query(f"find link {index}", k.RTM_GETLINK, body))


def index_of(rtnl: RTNL, name: str) -> int:
    """Return the index of the link called ``name``; NetlinkError(ENODEV) if there is none."""
    return rtnl.ioctl(f"find link {name}", k.SIOCGIFINDEX, name)


def mtu_of(rtnl: RTNL, name: str) -> int:
    """Return the MTU of the link called ``name``; NetlinkError(ENODEV) if there is none."""
    return rtnl.ioctl(f"find link {name}", k.SIOCGIFMTU, name)


def find(rtnl: RTNL, name: str) -> Link | None:
    """Return the link called ``name``, None if there is none."""
    try:
        return by_name(rtnl, name)
    except NetlinkError as err:
        if err.errno != errno.ENODEV:
            raise
        return None


def dump(rtnl: RTNL, *, master: int = 0, kind: str = "") -> list[Link]:
    """Return all links, or those of one master, of one kind."""
    body = _ANY + _NO_STATS
    if master:
        body += u32(k.IFLA_MASTER, master)
    if kind:
        body += attribute(k.IFLA_LINKINFO, attribute(k.IFLA_INFO_KIND, kind.encode()))
    links = map(decode, rtnl.dump("list links", k.RTM_GETLINK, body))
    # The kernel filters; except for a kind whose module is not loaded, when it lists all.
    return [ln for ln in links if master in (0, ln.master) and kind in ("", ln.kind)]


def add_veth(
    rtnl: RTNL,
    name: str,
    peer: str,
    *,
    peer_netns: NetNS | None = None,
    mtu: int = 0,
    address: str = "",
    peer_address: str = "",
    master: int = 0,
    queues: int = 0,
    up: bool = False,
) -> None:
    """Make a pair of virtual Ethernet links, both ends where they belong in one request.

    ``peer`` is made in ``peer_netns``; ``mtu`` and ``queues`` are for both, ``address``,
    ``master`` and ``up`` for ``name``.  Unless told otherwise the kernel makes a queue for each
    CPU, to use one until somebody asks for more (ethtool -L); to make one alone takes it half of
    the time.
    """
    lanes = u32(k.IFLA_NUM_TX_QUEUES, queues) + u32(k.IFLA_NUM_RX_QUEUES, queues) if queues else b""
    other = _ANY + _settings(peer, mtu, peer_address) + lanes
    if peer_netns is not None:
        other += u32(k.IFLA_NET_NS_FD, peer_netns.fd)
    _add(
        rtnl,
        f"add link {name} with peer {peer}",
        "veth",
        _settings(name, mtu, address, master) + lanes,
        attribute(k.VETH_INFO_PEER, other),
        up=up,
    )


def add_bridge(
    rtnl: RTNL,
    name: str,
    *,
    mtu: int = 0,
    address: str = "",
    vlan_filtering: bool = False,
    up: bool = False,
) -> None:
    """Make a bridge; without ``address`` its MAC follows its ports'."""
    data = u8(k.IFLA_BR_VLAN_FILTERING, 1) if vlan_filtering else b""
    _add(rtnl, f"add link {name}", "bridge", _settings(name, mtu, address), data, up=up)


def add_macvlan(
    rtnl: RTNL,
    name: str,
    parent: int,
    *,
    mode: str = "bridge",
    netns: NetNS | None = None,
    mtu: int = 0,
    address: str = "",
) -> None:
    """Make a macvlan on the link numbered ``parent``; ``mode`` is one of MACVLAN_MODES."""
    settings = _settings(name, mtu, address, parent=parent, netns=netns)
    data = u32(k.IFLA_MACVLAN_MODE, _mode(MACVLAN_MODES, mode))
    _add(rtnl, f"add link {name}", "macvlan", settings, data)


def add_ipvlan(
    rtnl: RTNL,
    name: str,
    parent: int,
    *,
    mode: str = "l2",
    netns: NetNS | None = None,
    mtu: int = 0,
) -> None:
    """Make an ipvlan on the link numbered ``parent``; ``mode`` is one of IPVLAN_MODES."""
    settings = _settings(name, mtu, parent=parent, netns=netns)
    data = u16(k.IFLA_IPVLAN_MODE, _mode(IPVLAN_MODES, mode)) + u16(k.IFLA_IPVLAN_FLAGS, 0)
    _add(rtnl, f"add link {name}", "ipvlan", settings, data)


def add_vlan(
    rtnl: RTNL,
    name: str,
    parent: int,
    vlan_id: int,
    *,
    netns: NetNS | None = None,
    mtu: int = 0,
    address: str = "",
) -> None:
    """Make a link for one 802.1Q VLAN of the link numbered ``parent``."""
    settings = _settings(name, mtu, address, parent=parent, netns=netns)
    _add(rtnl, f"add link {name}", "vlan", settings, u16(k.IFLA_VLAN_ID, vlan_id))


def add_dummy(rtnl: RTNL, name: str, *, mtu: int = 0, address: str = "") -> None:
    """Make a link that drops what is sent to it."""
    _add(rtnl, f"add link {name}", "dummy", _settings(name, mtu, address))


def add_ifb(rtnl: RTNL, name: str, *, mtu: int = 0, address: str = "") -> None:
    """Make an intermediate functional block, to which ingress can be redirected."""
    _add(rtnl, f"add link {name}", "ifb", _settings(name, mtu, address))


def delete(rtnl: RTNL, index: int) -> None:
    """Remove a link; a veth takes its peer along.  NetlinkError(ENODEV) if it is gone."""
    body = IFINFOMSG.pack(k.AF_UNSPEC, 0, index, 0, 0)
    cancel.about_to_wait()
    rtnl.request(f"delete link {index}", k.RTM_DELLINK, body)


def set_up(rtnl: RTNL, index: int) -> None:
    """Bring a link up."""
    _set(rtnl, f"set link {index} up", index, flags=k.IFF_UP, change=k.IFF_UP)


def set_down(rtnl: RTNL, index: int) -> None:
    """Take a link down; its IPv6 addresses go."""
    _set(rtnl, f"set link {index} down", index, flags=0, change=k.IFF_UP)


def set_promisc(rtnl: RTNL, index: int, *, on: bool = True) -> None:
    """Make a link receive what is addressed to others, or no longer."""
    flags = k.IFF_PROMISC if on else 0
    words = f"set link {index} promisc {'on' if on else 'off'}"
    _set(rtnl, words, index, flags=flags, change=k.IFF_PROMISC)


def set_mtu(rtnl: RTNL, index: int, mtu: int) -> None:
    """Set a link's MTU in bytes."""
    _set(rtnl, f"set link {index} mtu {mtu}", index, u32(k.IFLA_MTU, mtu))


def set_address(rtnl: RTNL, index: int, address: str) -> None:
    """Set a link's MAC; a bridge keeps a MAC that was set, whatever its ports'."""
    what = f"set link {index} address {address}"
    _set(rtnl, what, index, lladdr(k.IFLA_ADDRESS, address))


def set_master(rtnl: RTNL, index: int, master: int, *, up: bool = False) -> None:
    """Make a link a port of the bridge numbered ``master``, 0 for of none; then up, if asked."""
    flags = k.IFF_UP if up else 0
    what = f"set link {index} master {master}"
    _set(rtnl, what, index, u32(k.IFLA_MASTER, master), flags=flags, change=flags)


def rename(rtnl: RTNL, index: int, name: str) -> None:
    """Give a link another name; older kernels want it down."""
    _set(rtnl, f"rename link {index} to {name}", index, string(k.IFLA_IFNAME, name))


def set_alias(rtnl: RTNL, index: int, alias: str) -> None:
    """Set a link's alias, up to 255 bytes; "" removes it."""
    # An empty one goes without its NUL: only a payload of no bytes removes the alias.
    attr = string(k.IFLA_IFALIAS, alias) if alias else attribute(k.IFLA_IFALIAS, b"")
    _set(rtnl, f"set link {index} alias {alias}", index, attr)


def set_netns(rtnl: RTNL, index: int, netns: NetNS, *, name: str = "") -> None:
    """Move a link to another namespace, under another ``name`` if one is given; it goes down."""
    attrs = u32(k.IFLA_NET_NS_FD, netns.fd)
    if name:
        attrs += string(k.IFLA_IFNAME, name)
    _set(rtnl, f"move link {index} to {netns.path or 'another namespace'}", index, attrs)


def wait_up(rtnl: RTNL, index: int, timeout: float) -> Link:
    """Wait until a link passes packets, and return it.

    Raises NetlinkError(ETIMEDOUT) after ``timeout`` seconds, with ENODEV when the link goes.
    Sleeps until the kernel reports a change; a hook that is to stop notices here.
    """
    link = by_index(rtnl, index)  # new kernels bring the state up to date for this
    if link.operational:
        return link
    deadline = time.monotonic() + timeout
    with rtnl.listen(k.RTNLGRP_LINK) as changes:
        while not (link := by_index(rtnl, index)).operational:
            if not changes.wait(deadline):
                text = f"its state is {link.operstate} (RFC 2863) after {timeout:g} s"
                raise NetlinkError(errno.ETIMEDOUT, f"wait for link {link.name} to be up", text)
    return link


def _settings(
    name: str,
    mtu: int = 0,
    address: str = "",
    master: int = 0,
    *,
    parent: int = 0,
    netns: NetNS | None = None,
) -> bytes:
    attrs = u32(k.IFLA_MTU, mtu) if mtu else b""
    if parent:
        attrs += u32(k.IFLA_LINK, parent)
    attrs += string(k.IFLA_IFNAME, name)
    if address:
        attrs += lladdr(k.IFLA_ADDRESS, address)
    if master:
        attrs += u32(k.IFLA_MASTER, master)
    if netns is not None:
        attrs += u32(k.IFLA_NET_NS_FD, netns.fd)
    return attrs


def _add(
    rtnl: RTNL, what: str, kind: str, settings: bytes, data: bytes = b"", *, up: bool = False
) -> None:
    info = attribute(k.IFLA_INFO_KIND, kind.encode())
    if data:
        info += attribute(k.IFLA_INFO_DATA, data)
    flags = k.IFF_UP if up else 0
    body = IFINFOMSG.pack(k.AF_UNSPEC, 0, 0, flags, flags)
    body += settings + attribute(k.IFLA_LINKINFO, info)
    rtnl.request(f"{what} type {kind}", k.RTM_NEWLINK, body, _NEW)


def _set(
    rtnl: RTNL, what: str, index: int, attrs: bytes = b"", *, flags: int = 0, change: int = 0
) -> None:
    body = IFINFOMSG.pack(k.AF_UNSPEC, 0, index, flags, change) + attrs
    rtnl.request(what, k.RTM_SETLINK, body)


def _mode(modes: dict[str, int], mode: str) -> int:
    try:
        return modes[mode]
    except KeyError:
        raise OSError(errno.EINVAL, f"unknown mode {mode!r}, not one of {list(modes)}") from None
