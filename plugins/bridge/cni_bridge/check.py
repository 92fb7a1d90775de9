"""CHECK: compare the attachment with the result that ADD reported.

Each function yields, in words, what it finds wrong; all of it is reported at once.  What later
plugins of the list may have changed, such as the MTU inside the container, is left alone: SPEC
section 2, CHECK: "The plugin must allow for a plugin later in the chain having modified
networking resources".
"""

from collections.abc import Iterator

from cni_bridge import gateway, veth, vlan
from cni_bridge.config import Config
from cni_bridge.errors import DamagedError
from cnisdk import Attachment, Interface, Result
from cnisdk.net import addr, bridge as ports, link, route, veth as pairs
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL


def check(config: Config, attachment: Attachment, *, search_path: str) -> None:
    """Raise `DamagedError` naming everything that is not as ``config.prev_result`` says."""
    result = config.require_prev_result()
    with RTNL() as host, RTNL(attachment.netns) as container:
        problems = list(_problems(host, container, config, attachment, result))
        if config.macspoofchk:
            problems += _spoofcheck(host, container, attachment)
    if config.ipam is not None and config.ip_masq:
        problems += _masquerade(config, attachment, result, search_path)
    if problems:
        raise DamagedError("attachment is not as ADD left it", "; ".join(problems))


def _problems(
    host: RTNL, container: RTNL, config: Config, attachment: Attachment, result: Result
) -> Iterator[str]:
    bridge = link.find(host, config.bridge)
    yield from _bridge(bridge, _recorded(result, config.bridge, ""), config)
    if bridge is None:
        return
    index, recorded = _container_record(result, attachment)
    if recorded is None:
        yield f"result has no interface {attachment.ifname} in {attachment.sandbox}"
        return
    end = link.find(container, attachment.ifname)
    if end is None:
        yield f"container has no interface {attachment.ifname}"
        return
    yield from _container_end(end, recorded, config)
    yield from _host_end(host, end, attachment, bridge, config, result)
    if config.ipam is not None:
        yield from _addresses(container, end, index, result)
        yield from _routes(container, end, index, result)
        if config.has_gateway:
            yield from _gateway(host, bridge, index, config, result)


def _recorded(result: Result, name: str, sandbox: str) -> Interface | None:
    for interface in result.interfaces:
        if (interface.name, interface.sandbox) == (name, sandbox):
            return interface
    return None


def _container_record(
    result: Result, attachment: Attachment
) -> tuple[int, Interface] | tuple[int, None]:
    for index, interface in enumerate(result.interfaces):
        if (interface.name, interface.sandbox) == (attachment.ifname, attachment.sandbox):
            return index, interface
    return -1, None


def _bridge(found: Link | None, recorded: Interface | None, config: Config) -> Iterator[str]:
    if found is None:
        yield f"host has no bridge {config.bridge}"
        return
    if recorded is None:
        yield f"result has no interface {config.bridge} on the host"
    if found.kind != "bridge":
        yield f"{found.name} is no bridge but {found.kind or 'a device'}"
    if recorded is not None and config.routes_by_bridge:
        yield from _mac(found, recorded)
    if config.promisc_mode and not found.promisc:
        yield f"bridge {found.name} is not promiscuous"
    if not found.up:
        yield f"bridge {found.name} is down"


def _mac(found: Link, recorded: Interface) -> Iterator[str]:
    if recorded.mac and found.address != recorded.mac.lower():
        yield f"{found.name} has MAC address {found.address} instead of {recorded.mac}"


def _container_end(found: Link, recorded: Interface, config: Config) -> Iterator[str]:
    if found.kind != veth.KIND:
        yield f"container's {found.name} is no veth but {found.kind or 'a device'}"
    yield from _mac(found, recorded)
    if not found.up and not config.disable_container_interface:
        yield f"container's {found.name} is down"


def _host_end(
    host: RTNL, end: Link, attachment: Attachment, bridge: Link, config: Config, result: Result
) -> Iterator[str]:
    """Find the other end of the container's veth: the recorded port of the bridge."""
    port = pairs.other_end(host, end, attachment.netns)
    recorded = port and _recorded(result, port.name, "")
    if port is None or recorded is None:
        yield f"host has no veth of the result that leads to the container's {end.name}"
        return
    yield from _mac(port, recorded)
    mtu = recorded.mtu or config.mtu  # before 1.1.0 there is none in a result
    if mtu and port.mtu != mtu:
        yield f"{port.name} has MTU {port.mtu} instead of {mtu}"
    if end.mtu > port.mtu:
        yield f"container's {end.name} has MTU {end.mtu}, and its other end only {port.mtu}"
    if not port.up:
        yield f"{port.name} is down"
    if port.master != bridge.index:
        yield f"{port.name} is no port of bridge {bridge.name}"
        return
    settings = ports.port_of(port)
    if config.hairpin_mode and not settings.hairpin:
        yield f"{port.name} is not in hairpin mode"
    if config.port_isolation and not settings.isolated:
        yield f"{port.name} is not isolated from other ports"
    yield from vlan.problems(host, bridge, port, config)


def _addresses(container: RTNL, end: Link, index: int, result: Result) -> Iterator[str]:
    present = {entry.address for entry in addr.dump(container, end.index)}
    connected = {entry.dst for entry in route.dump(container, index=end.index)}
    for ip in result.ips:
        if ip.interface != index:
            continue
        if ip.address not in present:
            yield f"{end.name} has no address {ip.address}"
        elif ip.address.network.num_addresses > 1 and ip.address.network not in connected:
            yield f"no route to {ip.address.network} over {end.name}"


def _routes(container: RTNL, end: Link, index: int, result: Result) -> Iterator[str]:
    """Each route of the result must be there, by its own gateway or its family's."""
    family_gateway: dict[int, object] = {}
    for ip in result.ips:
        if ip.interface == index and ip.gateway is not None:
            family_gateway.setdefault(ip.address.version, ip.gateway)
    tables: dict[int, set[tuple[object, object]]] = {}
    for wanted in result.routes:
        table = wanted.table or gateway.MAIN_TABLE
        if table not in tables:
            tables[table] = {
                (entry.dst, hop.gw)
                for entry in route.dump(container, table=table)
                for hop in entry.nexthops or (entry,)
            }
        gw = wanted.gw or family_gateway.get(wanted.dst.version)
        if (wanted.dst, gw) not in tables[table]:
            where = f" in table {table}" if wanted.table else ""
            yield f"no route to {wanted.dst}" + (f" via {gw}" if gw else "") + where


def _gateway(host: RTNL, bridge: Link, index: int, config: Config, result: Result) -> Iterator[str]:
    ips = tuple(ip for ip in result.ips if ip.interface == index)
    exit_, name = bridge, f"bridge {bridge.name}"
    if config.vlan_gateway:
        yield from vlan.gateway_problems(host, bridge, config)
        found = link.find(host, config.vlan_gateway)
        exit_, name = found or bridge, config.vlan_gateway
    present = {entry.address for entry in addr.dump(host, exit_.index)}
    wanted = gateway.addresses(ips)
    for address in wanted:
        if address not in present:
            yield f"{name} has no address {address}"
    for version in sorted({address.version for address in wanted}):
        if not gateway.forwards(version):
            yield f"host does not forward IPv{version} packets"


def _spoofcheck(host: RTNL, container: RTNL, attachment: Attachment) -> Iterator[str]:
    from cnisdk.net import spoofcheck

    end = link.find(container, attachment.ifname)
    port = end and pairs.other_end(host, end, attachment.netns)
    if end is None or port is None:
        return  # named already
    if not spoofcheck.has(
        port.name,
        end.address,
        container_id=attachment.container_id,
        ifname=attachment.ifname,
    ):
        yield f"{port.name} is not held to MAC address {end.address}"


def _masquerade(
    config: Config, attachment: Attachment, result: Result, search_path: str
) -> Iterator[str]:
    """Name the addresses that have lost their rule, not those of later plugins that never had one.

    What takes rules away takes those of a family, or all.  So an address without a rule is let
    pass beside one of its family that has its own; and where each of ours has a gateway, one that
    has none is beside any.
    """
    from cnisdk.net import masquerade  # executes iptables, perhaps

    index, _ = _container_record(result, attachment)
    ips = [ip for ip in result.ips if ip.interface == index]
    missing = masquerade.missing(
        [ip.address for ip in ips],
        network=attachment.network,
        ifname=attachment.ifname,
        container_id=attachment.container_id,
        search_path=search_path,
    )
    kept = {ip.address.version for ip in ips if ip.address not in missing}
    for ip in ips:
        if ip.address in missing and not (
            ip.address.version in kept or (kept and config.has_gateway and ip.gateway is None)
        ):
            yield f"host does not masquerade {ip.address.ip}"
