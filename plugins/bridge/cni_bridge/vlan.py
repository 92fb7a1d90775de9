"""VLANs: which ones a port is in, and the interface by which a VLAN's containers leave it.

That interface is a port of the bridge too, one end of a veth whose other end has the gateway
addresses; both stay in the host's namespace.  All the containers of a VLAN share it, so like the
bridge it is made by the first of them and stays.  It may have been left half made, so whoever
finds it does all of it that can be done twice.  It outlives the bridge, too, which is made anew.
"""

import errno
import os
from collections.abc import Iterable, Iterator

from cni_bridge import bridge as bridges, mac
from cni_bridge.config import Config
from cni_bridge.errors import HostConflictError
from cni_bridge.kernel import prefer, tolerating
from cnisdk import UnsupportedFieldError
from cnisdk.net import bridge as ports, bridge_vlan, link
from cnisdk.net.bridge_vlan import Entry
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL

DEFAULT_VID = 1
"""Where a trunk's frames without a tag go, as the reference plugin has it."""


def entries(config: Config) -> list[Entry]:
    """Return the VLANs that the container's port is to be in, none if they are the bridge's."""
    tagged = config.trunk_vids
    if not config.vlan and not tagged:
        return []
    native = config.vlan or DEFAULT_VID
    return [_native(native), *(Entry(vid) for vid in tagged if vid != native)]


def _native(vid: int) -> Entry:
    return Entry(vid, pvid=True, untagged=True)


def refuse_without_kernel(host: RTNL, config: Config) -> None:
    """Raise if the configuration has VLANs and this kernel's bridges know of none."""
    if config.filters_vlans and not ports.can_filter_vlans(host):
        key = "vlan" if config.vlan else "vlanTrunk"
        value: object = config.vlan or [
            t.model_dump(by_alias=True) for t in config.vlan_trunk or ()
        ]
        raise UnsupportedFieldError(
            "unsupported field",
            f"$.{key}: the kernel's bridges know no VLANs (CONFIG_BRIDGE_VLAN_FILTERING)",
            key=key,
            value=value,
        )


def tag(host: RTNL, port: int, bridge: Link, config: Config) -> None:
    """Put the container's port into its VLANs, and out of the one that every new port is in."""
    _put(host, port, bridge, entries(config), preserve=config.preserve_default_vlan)


def _put(host: RTNL, port: int, bridge: Link, wanted: Iterable[Entry], *, preserve: bool) -> None:
    wanted = list(wanted)
    if not wanted:
        return
    default = bridge.default_pvid
    if default and not preserve and default not in {entry.vid for entry in wanted}:
        bridge_vlan.delete(host, port, [default])
    bridge_vlan.add(host, port, wanted)


def ensure_gateway(host: RTNL, bridge: Link, config: Config) -> Link:
    """Return the interface that is to have the VLAN's gateway addresses, made if there is none.

    Raises HostConflictError if its name is taken by what does not lead into that VLAN.
    """
    name = config.vlan_gateway
    found = find_gateway(host, bridge, config)
    if found is None:
        port = f"veth{os.urandom(4).hex()}"
        with tolerating(errno.EEXIST):  # another ADD was faster
            link.add_veth(
                host,
                port,
                name,
                mtu=bridge.mtu,
                address=mac.choose_for_port(),
                peer_address=mac.choose(),
                master=bridge.index,
                queues=1,
                up=True,
            )
            prefer(f"net/ipv6/conf/{port}/accept_ra", 0, new=True)
            prefer(f"net/ipv6/conf/{name}/accept_dad", 0, new=True)
        found = find_gateway(host, bridge, config)
    if found is None:
        raise HostConflictError("gateway of the VLAN was deleted as soon as it was made", name)
    if found.kind == "veth":
        if link.by_index(host, found.peer_index).master != bridge.index:
            link.set_master(host, found.peer_index, bridge.index, up=True)
        wanted = [_native(config.vlan)]
        _put(host, found.peer_index, bridge, wanted, preserve=config.preserve_default_vlan)
    if not found.up:
        link.set_up(host, found.index)
    if found.kind == "veth":
        bridges.wait_until_passing(host, bridge, link.by_index(host, found.peer_index))
    return link.wait_up(host, found.index, bridges.PORT_TIMEOUT)


def find_gateway(host: RTNL, bridge: Link | None, config: Config) -> Link | None:
    """Return the VLAN's gateway interface, None if there is none.

    It may also be what an administrator made with ``ip link add type vlan`` on the bridge, and
    what is left of one whose bridge was deleted: the other end is in none.
    Raises HostConflictError if the name belongs to anything else.
    """
    found = link.find(host, config.vlan_gateway)
    if found is None:
        return None
    index = bridge.index if bridge is not None else -1
    if (found.kind, found.peer_index, found.vlan_id) == ("vlan", index, config.vlan):
        return found
    if found.kind == "veth" and found.peer_index and found.peer_netnsid < 0:
        other = link.by_index(host, found.peer_index)
        if other.master == index or (not other.master and other.name.startswith("veth")):
            return found
    raise HostConflictError(
        "name of the VLAN's gateway is taken by a link that does not lead to the bridge",
        f'"{found.name}" is {f"of kind {found.kind}" if found.kind else "a device"}',
    )


def problems(host: RTNL, bridge: Link, port: Link, config: Config) -> Iterator[str]:
    """Yield, for CHECK, what is wrong with the VLANs of the container's port.

    One VLAN too many is no fault: older reference plugins left the default one.
    """
    if config.filters_vlans and not bridge.vlan_filtering:
        yield f"bridge {bridge.name} does not filter VLANs"
    yield from _missing(host, port, entries(config))


def _missing(host: RTNL, port: Link, wanted: list[Entry]) -> Iterator[str]:
    if not wanted:
        return
    present = {entry.vid: entry for entry in bridge_vlan.entries(host, port.index)}
    absent = []
    for entry in wanted:
        there = present.get(entry.vid)
        if there is None:
            absent.append(entry.vid)
        elif entry.pvid and there != entry:
            yield f"{port.name} is in VLAN {entry.vid}, but not without a tag"
    if absent:
        yield f"{port.name} is not in VLAN {', '.join(map(str, absent))}"


def gateway_problems(host: RTNL, bridge: Link, config: Config) -> Iterator[str]:
    """Yield, for CHECK, what is wrong with the VLAN's gateway interface."""
    found = link.find(host, config.vlan_gateway)
    if found is None:
        yield f"host has no interface {config.vlan_gateway}"
        return
    if not found.up:
        yield f"{found.name} is down"
    if found.kind != "veth":
        return
    port = link.by_index(host, found.peer_index)
    if port.master != bridge.index:
        yield f"{port.name}, the other end of {found.name}, is no port of bridge {bridge.name}"
        return
    if not port.up:
        yield f"{port.name}, the other end of {found.name}, is down"
    yield from _missing(host, port, [_native(config.vlan)])
