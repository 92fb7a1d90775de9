"""CHECK, right after ADD and after something was changed behind its back; SPEC section 2."""

import copy
import ipaddress
from collections.abc import Callable

from cnisdk.conformance import result as results
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Inapplicable, Kind, Level, check, expect
from cnisdk.conformance.checks.common import (
    checked,
    host_end,
    needs_check,
    refused,
    same_for_all,
    specimen,
    succeeded,
)
from cnisdk.conformance.host import tool
from cnisdk.conformance.world import World

_IN_RESULT = (
    "The plugin should return an error if a resource included in the CNI Result type (interface, "
    "address or route) was created by the plugin, and is listed in prevResult, but is missing or "
    "in an invalid state."
)
_NOT_IN_RESULT = (
    "The plugin should return an error if other resources not tracked in the Result type such as "
    "the following are missing or are in an invalid state: Firewall rules, Traffic shaping "
    "controls, IP reservations, External dependencies such as a daemon required for connectivity"
)
_UNREACHABLE = (
    "The plugin should return an error if it is aware of a condition where the container is "
    "generally unreachable."
)


@check(
    "check/after-add",
    Level.MUST,
    section="2, CHECK",
    quote="The plugin must handle CHECK being called immediately after an ADD, and therefore "
    "should allow a reasonable convergence delay for any asynchronous resources.",
    since="0.4.0",
)
def after_add(world: World) -> None:
    """CHECK right after ADD passes."""
    succeeded(checked(world), "CHECK right after ADD")


@check(
    "check/prints-nothing",
    Level.MUST,
    section="CNI Plugin, Parameters, CHECK, of version 0.4.0",
    quote="The plugin must return either nothing or an error.",
    since="0.4.0",
)
def prints_nothing(world: World) -> None:
    """A CHECK that passes writes nothing to stdout."""
    done = checked(world)
    if not done.ok:
        raise Inapplicable("CHECK fails, see check/after-add")
    expect(not done.stdout.strip(), f"stdout has {done.stdout[:200]!r}")


@check(
    "check/without-ipam",
    Level.MUST,
    Kind.INTERFACE,
    section="2, CHECK",
    quote="The plugin must handle CHECK being called immediately after an ADD, and therefore "
    "should allow a reasonable convergence delay for any asynchronous resources.",
    since="0.4.0",
)
def without_ipam(world: World) -> None:
    """CHECK right after ADD passes where no IPAM plugin is configured and ADD works so too."""
    needs_check(world)
    attachment = world.attached(world.config(ipam=None))
    succeeded(world.check(attachment), "CHECK right after ADD, without $.ipam")


def _notices(
    world: World,
    tamper: Callable[[Attachment], str],
    config: dict[str, object] | None = None,
) -> None:
    """Expect CHECK to fail after ``tamper``, which says what it did."""
    needs_check(world)
    attachment = world.attached(config)
    done = tamper(attachment)
    refused(world.check(attachment), f"CHECK after {done}")


@check(
    "check/interface-removed",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, CHECK",
    quote=_IN_RESULT,
    since="0.4.0",
)
def interface_removed(world: World) -> None:
    """CHECK after the container's interface was removed: an error."""

    def tamper(attachment: Attachment) -> str:
        world.ip(attachment.container, f"link del {attachment.ifname}")
        return f"{attachment.ifname} was removed"

    _notices(world, tamper)


@check(
    "check/address-removed",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, CHECK",
    quote=_IN_RESULT,
    since="0.4.0",
)
def address_removed(world: World) -> None:
    """CHECK after the container's address was replaced by another of that network: an error."""

    def tamper(attachment: Attachment) -> str:
        address = next(iter(results.addresses(attachment.result)), None)
        if address is None:
            raise Inapplicable("the result has no address")
        old = address.address
        # The routes of the result stay: it is the address that has to be missed.
        stranger = f"{_neighbour(old)}/{old.rpartition('/')[2]}"
        name = attachment.ifname
        routes = [r for r in results.routes(attachment.result) if r.gw and ":" not in r.dst]
        world.ip(
            attachment.container,
            f"addr add {stranger} dev {name}",
            f"addr del {old} dev {name}",
            f"addr replace {stranger} dev {name}",
            *(f"route replace {route.dst} via {route.gw} dev {name}" for route in routes),
        )
        return f"{old} was removed from {name}"

    _notices(world, tamper)


def _neighbour(cidr: str) -> str:
    interface = ipaddress.ip_interface(cidr)
    return str(interface.ip + (1 if interface.ip + 1 in interface.network else -1))


@check(
    "check/route-removed",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, CHECK",
    quote=_IN_RESULT,
    since="0.4.0",
)
def route_removed(world: World) -> None:
    """CHECK after a route of the result was removed: an error."""

    def tamper(attachment: Attachment) -> str:
        route = next(iter(results.routes(attachment.result)), None)
        if route is None:
            raise Inapplicable("the result has no route")
        world.ip(attachment.container, f"route del {route.dst}")
        return f"the route to {route.dst} was removed"

    _notices(world, tamper)


@check(
    "check/link-down",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, CHECK",
    quote=_UNREACHABLE,
    since="0.4.0",
)
def link_down(world: World) -> None:
    """CHECK after the host's end of the container's veth was set down: an error."""

    def tamper(attachment: Attachment) -> str:
        name = host_end(world, attachment)
        world.ip(world.host, f"link set {name} down")
        return f"{name} was set down"

    _notices(world, tamper)


@check(
    "check/master-removed",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, CHECK",
    quote=_UNREACHABLE,
    since="0.4.0",
)
def master_removed(world: World) -> None:
    """CHECK after the host's end was taken out of its bridge: an error."""

    def tamper(attachment: Attachment) -> str:
        name = host_end(world, attachment)
        if "master" not in world.look()[0].links[name]:
            raise Inapplicable("the host's end of the veth has no master")
        world.ip(world.host, f"link set {name} nomaster")
        return f"{name} was taken out of its bridge"

    _notices(world, tamper)


@check(
    "check/firewall-removed",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, CHECK",
    quote=_NOT_IN_RESULT,
    since="0.4.0",
)
def firewall_removed(world: World) -> None:
    """CHECK after the rules that ADD made were flushed: an error."""
    needs_check(world)
    with world.fresh() as fresh:
        attachment = fresh.attached(fresh.config(**fresh.masquerading()))
        if not fresh.look(rules=True)[0].rules:
            raise Inapplicable("ADD makes no firewall rule")
        if nft := tool("nft"):
            fresh.host.run(nft, "flush", "ruleset")
        for name in ("iptables", "ip6tables"):
            if path := tool(name):
                fresh.host.run(path, "-t", "nat", "-F", check=False)
        refused(fresh.check(attachment), "CHECK after the firewall was flushed")


@check(
    "check/prev-result-consulted",
    Level.MUST,
    Kind.INTERFACE,
    section="2, CHECK",
    quote="The plugin must consult the prevResult to determine the expected interfaces and "
    "addresses.",
    since="0.4.0",
)
def prev_result_consulted(world: World) -> None:
    """CHECK with a prevResult that has another address than the container: an error."""
    needs_check(world)
    attachment = specimen(world).attachment
    prev = copy.deepcopy(attachment.result)
    if not prev.get("ips"):
        raise Inapplicable("the result has no address")
    prev["ips"][0]["address"] = "203.0.113.7/24"
    done = world.check(attachment, prev)
    refused(done, "CHECK with the address 203.0.113.7/24 in prevResult, which is nowhere")


@check(
    "check/later-changes",
    Level.MUST,
    Kind.INTERFACE,
    section="2, CHECK",
    quote="The plugin must allow for a later chained plugin to have modified networking resources, "
    "e.g. routes, on ADD.",
    since="0.4.0",
)
def later_changes(world: World) -> None:
    """CHECK after a later plugin has added an address and a route: it passes."""
    needs_check(world)
    attachment = world.attached()
    name = attachment.ifname
    world.ip(
        attachment.container,
        f"addr add 10.200.0.9/24 dev {name}",
        f"route add 10.201.0.0/16 via 10.200.0.1 dev {name}",
    )
    prev = copy.deepcopy(attachment.result)
    index = next((ip.get("interface") for ip in prev.get("ips") or ()), 0)
    ip = {"address": "10.200.0.9/24", "interface": index}
    if not world.at_least("1.0.0"):
        ip["version"] = "4"
    prev["ips"] = [*(prev.get("ips") or ()), ip]
    prev["routes"] = [*(prev.get("routes") or ()), {"dst": "10.201.0.0/16", "gw": "10.200.0.1"}]
    succeeded(world.check(attachment, prev), "CHECK after a later plugin added address and route")


@check(
    "check/reservation-lost",
    Level.SHOULD,
    Kind.IPAM,
    section="2, CHECK",
    quote=_NOT_IN_RESULT,
    since="0.4.0",
)
def reservation_lost(world: World) -> None:
    """CHECK after the address was given back: an error."""
    if same_for_all(world):
        raise Inapplicable("every container gets the same address, none is reserved")

    def tamper(attachment: Attachment) -> str:
        if not world.delete(attachment).ok:
            raise Inapplicable("DEL fails, see delete/succeeds")
        return "the address was given back"

    _notices(world, tamper)
