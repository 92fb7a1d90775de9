"""A tiny plugin that makes an interface: a veth to a bridge."""

import contextlib
import hashlib
import json
import os
import socket
import sys

from tests.conformance.mutants.protocol import (
    Call,
    Object,
    RefusedError,
    delegate,
    main,
    result,
    run,
)

MTU = 1500


def cidr(address: str) -> str:
    """Return an address as the interface has it."""
    return address


def dst(route: Object) -> str:
    """Return the destination of a route as the container has it."""
    network: str = route["dst"]
    return network


def host_end(identifier: str, ifname: str) -> str:
    """Return the name of an attachment's link on the host."""
    return "t" + hashlib.sha256(f"{identifier} {ifname}".encode()).hexdigest()[:12]


def mac(name: str, last: int) -> str:
    """Return an address of an attachment's link."""
    digits = hashlib.sha256(name.encode()).hexdigest()
    return f"02:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}:{digits[6:8]}:{last:02x}"


def netns(call: Call) -> str:
    """Return the container's namespace as ip takes it, which wants them all in one place."""
    return os.path.basename(call.netns)


def inside(call: Call, *commands: str) -> None:
    """Have ip do something in the container."""
    run("ip", "-n", netns(call), "-batch", "-", stdin="\n".join(commands))


def make_bridge(name: str) -> None:
    """Make the bridge, unless somebody else is doing it too."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        run("ip", "link", "add", name, "type", "bridge", fail=False)
        run("ip", "link", "set", name, "up")


def add(call: Call) -> Object:
    """Make the interface, and undo it all if anything fails."""
    name = host_end(call.id, call.ifname)
    bridge = call.config.get("bridge", "tiny0")
    if not os.path.exists(call.netns):
        raise RefusedError(4, f"CNI_NETNS does not exist: {call.netns}")
    make_bridge(bridge)
    connect(call, name, bridge)
    try:
        return configure(call, name, bridge)
    except RefusedError:
        remove_link(name)
        with contextlib.suppress(RefusedError):
            delegate(call, "DEL")
        raise


def connect(call: Call, name: str, bridge: str) -> None:
    """Make the veth."""
    peer = f"peer name {call.ifname} address {mac(name, 2)} netns {call.netns}"
    commands = [
        f"link add {name} address {mac(name, 1)} mtu {MTU} type veth {peer}",
        f"link set {name} alias {call.config['name']}",
        f"link set {name} master {bridge}",
        f"link set {name} up",
    ]
    run("ip", "-batch", "-", stdin="\n".join(commands))


def configure(call: Call, name: str, bridge: str) -> Object:
    """Give the interface what the IPAM plugin says; return the result."""
    granted = delegate(call, "ADD")
    ips = granted.get("ips") or []
    routes = granted.get("routes") or []
    commands = [f"link set {call.ifname} up"]
    for ip in ips:
        commands.append(f"addr add {cidr(ip['address'])} dev {call.ifname}")
        ip["interface"] = 2
    for route in routes:
        commands.append(f"route add {dst(route)} via {route['gw']} dev {call.ifname} onlink")
    inside(call, *commands)
    if call.config.get("ipMasq"):
        masquerade(table(call.config["name"], name), ips)
    interfaces: list[Object] = [
        {"name": bridge},
        {"name": name, "mac": mac(name, 1)},
        {"name": call.ifname, "mac": mac(name, 2), "sandbox": call.netns},
    ]
    if call.version == "1.1.0":
        interfaces[2]["mtu"] = MTU
    return result(call, interfaces, ips, {"routes": routes, "dns": granted.get("dns") or {}})


def table(network: str, name: str) -> str:
    """Return the name of an attachment's table."""
    return "c" + hashlib.sha256(network.encode()).hexdigest()[:7] + name


def masquerade(name: str, ips: list[Object]) -> None:
    """Make a table of firewall rules of the attachment's own."""
    lines = [
        f"add table ip {name}",
        f"add chain ip {name} post {{ type nat hook postrouting priority 100 ; }}",
    ]
    for ip in ips:
        address = ip["address"].partition("/")[0]
        lines.append(f"add rule ip {name} post ip saddr {address} masquerade")
    run("nft", "-f", "-", stdin="\n".join(lines))


def remove_link(name: str) -> None:
    """Remove the veth, if it is there."""
    run("ip", "link", "del", name, fail=False)


def remove_rules(name: str) -> None:
    """Remove the table, if it is there."""
    run("nft", "delete", "table", "ip", name, fail=False)


def delete(call: Call) -> None:
    """Remove everything, whatever of it is there."""
    name = host_end(call.id, call.ifname)
    remove_link(name)
    if call.config.get("ipMasq"):
        remove_rules(table(call.config["name"], name))
    delegate(call, "DEL")


def check(call: Call) -> None:
    """Compare what there is with prevResult."""
    delegate(call, "CHECK")
    name = host_end(call.id, call.ifname)
    out = run("ip", "-n", netns(call), "-j", "-batch", "-", stdin="addr\nroute\n")
    listed, routed = (json.loads(text or "[]") for text in (out + "\n").split("\n")[:2])
    links = {link["ifname"]: link for link in listed if link}
    if call.ifname not in links:
        raise RefusedError(101, f"{call.ifname} is gone")
    there = [f"{a['local']}/{a['prefixlen']}" for a in links[call.ifname]["addr_info"]]
    for ip in call.prev.get("ips") or ():
        if cidr(ip["address"]) not in there:
            raise RefusedError(101, f"{ip['address']} is gone")
    ways = [route["dst"] for route in routed]
    for route in call.prev.get("routes") or ():
        if dst(route) not in ways:
            raise RefusedError(101, f"the route to {route['dst']} is gone")
    (link,) = json.loads(run("ip", "-j", "link", "show", name))
    if "UP" not in link["flags"]:
        raise RefusedError(101, f"{name} is down")
    if link.get("master") != call.config.get("bridge", "tiny0"):
        raise RefusedError(101, f"{name} has no master")
    rules = table(call.config["name"], name)
    if call.config.get("ipMasq") and not run("nft", "list", "table", "ip", rules, fail=False):
        raise RefusedError(101, "the firewall rules are gone")


def status(call: Call) -> None:
    """Say whether ADD would work."""
    delegate(call, "STATUS")


def gc(call: Call) -> None:
    """Remove links and rules of this network that are not valid."""
    keep = [host_end(identifier, ifname) for identifier, ifname in call.valid]
    network = call.config["name"]
    for link in json.loads(run("ip", "-j", "link", "show", "type", "veth") or "[]"):
        name = link.get("ifname", "")
        if link.get("ifalias") == network and name not in keep:
            remove_link(name)
    tables = json.loads(run("nft", "-j", "list", "tables"))["nftables"]
    for rules in (item["table"]["name"] for item in tables if "table" in item):
        if rules.startswith(table(network, "t")) and rules[8:] not in keep:
            remove_rules(rules)
    delegate(call, "GC")


if __name__ == "__main__":
    sys.exit(
        main({"ADD": add, "DEL": delete, "CHECK": check, "STATUS": status, "GC": gc}),
    )
