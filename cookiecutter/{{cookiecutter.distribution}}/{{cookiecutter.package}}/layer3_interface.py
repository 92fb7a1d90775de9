"""Addresses and routes: the container reaches all the world through the host's end."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

from cnisdk import Attachment, Interface, PluginError, Result
from cnisdk.net import addr, link, route, sysctl
from cnisdk.net.route import Route
from cnisdk.net.rtnl import RTNL

from {{ cookiecutter.package }}.cable import Ends

CONTAINER = 1
"""Index of the container's interface in a result."""

TIMEOUT = 3.0
"""Seconds to wait for a link that comes up, which takes the kernel a moment."""

Address = IPv4Address | IPv6Address


def complete(reserved: Result, interfaces: tuple[Interface, ...]) -> Result:
    """Return the result: what IPAM gave is for the container's interface."""
    for ip in reserved.ips:
        if ip.gateway is None:
            raise PluginError("IPAM gave no gateway", str(ip.address))
    ips = (ip.replace(interface=CONTAINER) for ip in reserved.ips)
    return reserved.replace(interfaces=interfaces, ips=tuple(ips))


def configure(host: RTNL, container: RTNL, ends: Ends, result: Result) -> None:
    """Do as ``result`` says.  Nothing is undone here: all of it goes with the cable."""
    outer, inner = ends.host.index, ends.container.index
    link.set_up(container, inner)
    link.wait_up(host, outer, TIMEOUT)
    gateways = _gateways(result)
    # On the host: the gateway's address on every cable, and the way to the container.
    for version, gateway in gateways.items():
        addr.add(host, outer, _alone(gateway), nodad=True)
        sysctl.write(f"net/{FORWARDING[version]}", 1)
    for ip in result.ips:
        route.add(host, Route(_alone(ip.address.ip).network, index=outer))
        addr.add(container, inner, ip.address, nodad=True, prefix_route=False)
    # In the container: the gateway is on the cable, the rest of its network behind it.
    # Appended: another interface of the container may have the same gateway.
    for gateway in gateways.values():
        route.add(container, Route(_alone(gateway).network, index=inner), append=True)
    for network in dict.fromkeys(ip.address.network for ip in result.ips):
        route.add(container, Route(network, gateways[network.version], inner), append=True)
    for entry in result.routes:
        gw = entry.gw or gateways.get(entry.dst.version)
        route.add(container, Route(entry.dst, gw, inner), append=True)


FORWARDING = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}


def problems(host: RTNL, container: RTNL, attachment: Attachment, recorded: Result) -> list[str]:
    """Return what is not as ``recorded``, in words; a later plugin may have added to it."""
    found = link.find(container, attachment.ifname)
    if found is None:
        return [f"{attachment.ifname} is missing"]
    wrong = [] if found.up else [f"{attachment.ifname} is down"]
    other = next((entry.name for entry in recorded.interfaces if not entry.sandbox), "")
    end = link.find(host, other)
    if end is None or not end.up:
        wrong.append(f"the host's end {other} is {'missing' if end is None else 'down'}")
    addresses = {entry.address for entry in addr.dump(container, found.index)}
    ways = {(entry.dst, entry.gw) for entry in route.dump(container)}
    reached = {entry.dst for entry in route.dump(host)}
    for ip in recorded.ips:
        if ip.interface == CONTAINER and ip.address not in addresses:
            wrong.append(f"{attachment.ifname} has no address {ip.address}")
        if ip.gateway is not None and _alone(ip.address.ip).network not in reached:
            wrong.append(f"the host has no route to {ip.address.ip}")
    gateways = _gateways(recorded)
    for entry in recorded.routes:
        gw = entry.gw or gateways.get(entry.dst.version)
        if (entry.dst, gw) not in ways:
            wrong.append(f"the container has no route to {entry.dst} via {gw}")
    return wrong


def _gateways(result: Result) -> dict[int, Address]:
    """Return the first gateway of each family."""
    found: dict[int, Address] = {}
    for ip in result.ips:
        if ip.gateway is not None:
            found.setdefault(ip.gateway.version, ip.gateway)
    return found


def _alone(address: Address) -> IPv4Interface | IPv6Interface:
    """Return an address without a network around it."""
    return ip_interface((address, address.max_prefixlen))
