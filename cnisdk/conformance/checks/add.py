"""ADD of a plugin that makes an interface; SPEC section 2, "ADD", section 5, "ADD Success"."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from cnisdk.conformance import result as results
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Inapplicable, Kind, Level, check, expect, expect_none
from cnisdk.conformance.checks.common import (
    Specimen,
    first,
    needs_interfaces,
    refused,
    specimen,
    succeeded,
    working,
)
from cnisdk.conformance.state import addresses_of
from cnisdk.conformance.world import World

_OUTPUT = (
    "If the CNI plugin is successful, it must output a result structure (see below) on standard "
    "out."
)


@check(
    "add/succeeds",
    Level.MUST,
    section="2, Errors",
    quote="A plugin must exit with a return code of 0 on success, and non-zero on failure.",
)
def succeeds(world: World) -> None:
    """ADD to a new container: exit status 0."""
    done = first(world).answered
    succeeded(done, "ADD")


@check("add/one-object", Level.MUST, section="2, ADD", quote=_OUTPUT)
def one_object(world: World) -> None:
    """ADD writes exactly one JSON object to stdout."""
    done = first(world).answered
    if not done.ok:
        raise Inapplicable("ADD fails, see add/succeeds")
    try:
        values = done.objects()
    except ValueError:
        raise_for = f"stdout is not JSON: {done.stdout[:300]!r}"
        values = []
    else:
        raise_for = f"stdout has {len(values)} JSON values"
    expect(len(values) == 1 and isinstance(values[0], dict), raise_for)


@check(
    "add/interface-exists",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, ADD",
    quote="A CNI plugin, upon receiving an ADD command, should either create the interface defined "
    "by CNI_IFNAME inside the container at CNI_NETNS, or adjust the configuration of the interface "
    "defined by CNI_IFNAME inside the container at CNI_NETNS.",
)
def interface_exists(world: World) -> None:
    """After ADD the container has an interface of that name."""
    found = specimen(world)
    name = found.attachment.ifname
    expect(name in found.inside.links, f"the container has {list(found.inside.links)}, no {name}")


@check(
    "add/interface-up",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, Overview",
    quote='"Interface" plugins, which create a network interface inside the container and ensure '
    "it has connectivity.",
)
def interface_up(world: World) -> None:
    """After ADD that interface is up."""
    found = specimen(world)
    link = found.inside.links.get(found.attachment.ifname)
    if link is None:
        raise Inapplicable("there is none, see add/interface-exists")
    expect("UP" in link["flags"], f"{link['ifname']} is not up: {link['flags']}")


@check(
    "add/result-names-interface",
    Level.MUST,
    Kind.INTERFACE,
    section="5, ADD Success",
    quote="interfaces: An array of all interfaces created by the attachment, including any "
    "host-level interfaces",
    since="0.3.0",
)
def result_names_interface(world: World) -> None:
    """The result lists CNI_IFNAME."""
    needs_interfaces(world)
    found = specimen(world)
    names = [interface.get("name") for interface in found.result.get("interfaces") or ()]
    expect(found.attachment.ifname in names, f"$.interfaces has {names}")


@check(
    "add/result-sandbox-is-netns",
    Level.SHOULD,
    Kind.INTERFACE,
    section="5, ADD Success",
    quote="For interfaces created inside the container, this should be the value passed via "
    "CNI_NETNS.",
    since="0.3.0",
)
def result_sandbox_is_netns(world: World) -> None:
    """``sandbox`` of the container's interface is CNI_NETNS, letter by letter."""
    needs_interfaces(world)
    found = specimen(world)
    attachment = found.attachment
    for interface in found.result.get("interfaces") or ():
        if interface.get("name") == attachment.ifname:
            sandbox = interface.get("sandbox")
            expect(
                sandbox == attachment.container.path,
                f"sandbox is {sandbox!r}, CNI_NETNS was {attachment.container.path!r}",
            )
            return
    raise Inapplicable("the result does not list it, see add/result-names-interface")


@check(
    "add/result-interface-is-true",
    Level.MUST,
    Kind.INTERFACE,
    section="5, ADD Success",
    quote="mac (string): The hardware address of the interface (if applicable). / mtu: (uint) The "
    "MTU of the interface (if applicable).",
    since="0.3.0",
)
def result_interface_is_true(world: World) -> None:
    """``mac`` and ``mtu`` of the container's interface are what the kernel has."""
    needs_interfaces(world)
    found = working(world)
    expect_none([*_untrue(found.interface(), found.inside.links)])


@check(
    "add/result-host-interfaces-are-true",
    Level.MUST,
    Kind.INTERFACE,
    section="5, ADD Success",
    quote="sandbox (string): The isolation domain reference (e.g. path to network namespace) for "
    "the interface, or empty if on the host.",
    since="0.3.0",
)
def result_host_interfaces_are_true(world: World) -> None:
    """Interfaces without ``sandbox`` are on the host, with their ``mac``."""
    needs_interfaces(world)
    found = working(world)
    problems: list[str] = []
    for interface in found.result.get("interfaces") or ():
        if not interface.get("sandbox") and interface.get("name") != found.attachment.ifname:
            problems += _untrue(interface, found.host.links)
    expect_none(problems)


def _untrue(interface: dict[str, Any], links: dict[str, dict[str, Any]]) -> Iterator[str]:
    name = interface.get("name")
    link = links.get(str(name))
    if link is None:
        yield f"the result has {name}, there are {', '.join(links)}"
        return
    mac, mtu = interface.get("mac"), interface.get("mtu")
    if mac and str(mac).lower() != link.get("address"):
        yield f"mac of {name} is {mac}, the kernel has {link.get('address')}"
    if mtu and mtu != link["mtu"]:
        yield f"mtu of {name} is {mtu}, the kernel has {link['mtu']}"


@check(
    "add/addresses-are-true",
    Level.MUST,
    Kind.INTERFACE,
    section="5, ADD Success",
    quote="ips: IPs assigned by this attachment.",
)
def addresses_are_true(world: World) -> None:
    """Each address of the result is on the interface that it belongs to."""
    found = working(world)
    if world.at_least("0.3.0"):
        found.interface()  # or its index means nothing
    listed = results.addresses(found.result)
    if not listed:
        raise Inapplicable("the result has no address")
    problems = []
    for address in listed:
        name, where = _place(found, address.interface)
        there = addresses_of(where.get(name, {}))
        if address.address not in there:
            problems.append(f"{address.address} is not on {name}, which has {there}")
    expect_none(problems)


def _place(found: Specimen, index: int | None) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return which interface an index means, and the links of its namespace."""
    listed = found.result.get("interfaces") or []
    if index is None or not 0 <= index < len(listed):
        return found.attachment.ifname, found.inside.links
    links = found.inside.links if listed[index].get("sandbox") else found.host.links
    return str(listed[index].get("name")), links


@check(
    "add/address-index",
    Level.MUST,
    Kind.INTERFACE,
    section="5, ADD Success",
    quote="interface (uint): the index into the interfaces list for a CNI Plugin Result indicating "
    "which interface this IP configuration should be applied to.",
    since="0.3.0",
)
def address_index(world: World) -> None:
    """Each address of the container says by index that it is the container's interface's."""
    needs_interfaces(world)
    found = working(world)
    found.interface()
    own = addresses_of(found.inside.links.get(found.attachment.ifname, {}))
    problems = []
    for ip in found.result.get("ips") or ():
        if ip.get("address") in own:
            name, links = _place(found, ip.get("interface"))
            if ip.get("interface") is None or links is not found.inside.links:
                problems.append(f"{ip['address']}: interface is {ip.get('interface')!r} ({name})")
    expect_none(problems)


@check(
    "add/routes-are-true",
    Level.MUST,
    Kind.INTERFACE,
    section="5, ADD Success",
    quote="routes: Routes created by this attachment",
)
def routes_are_true(world: World) -> None:
    """Each route of the result is in the container."""
    found = working(world)
    listed = results.routes(found.result)
    if not listed:
        raise Inapplicable("the result has no route")
    there = {
        (_network(route["dst"], route["family"]), route.get("gateway", ""))
        for route in found.inside.routes
    }
    problems = []
    for route in listed:
        family = 6 if ":" in route.dst else 4
        dst = _network(route.dst, family)
        if not any(dst == d and route.gw in ("", gw) for d, gw in there):
            problems.append(f"{route.dst} via {route.gw or 'any'} is not in the container")
    expect_none(problems)


def _network(dst: str, family: int) -> str:
    if dst == "default":
        return "0.0.0.0/0" if family == 4 else "::/0"
    try:
        return str(ipaddress.ip_network(dst, strict=False))
    except ValueError:
        return dst


@check(
    "add/existing-interface",
    Level.MUST,
    Kind.INTERFACE,
    section="2, ADD",
    quote="If an interface of the requested name already exists in the container, the CNI plugin "
    "MUST return with an error.",
)
def existing_interface(world: World) -> None:
    """ADD where somebody else has made an interface of that name: an error, and it stays."""
    attachment = world.prepare()
    container = attachment.container
    world.ip(container, f"link add {attachment.ifname} type veth peer name other")
    done = world.add(attachment)
    refused(done, f"ADD of {attachment.ifname}, which exists")
    (inside,) = world.look(container)[1:]
    expect(
        "other" in inside.links and attachment.ifname in inside.links,
        f"the interface that was there is gone: {list(inside.links)}",
    )


@check(
    "add/netns-missing",
    Level.MUST,
    Kind.INTERFACE,
    section="2, Parameters",
    quote='CNI_NETNS: A reference to the container\'s "isolation domain". If using network '
    "namespaces, then a path to the network namespace (e.g. /run/netns/[nsname])",
)
def netns_missing(world: World) -> None:
    """ADD to a namespace that does not exist: an error."""
    attachment = world.prepare(environ={"CNI_NETNS": "/run/netns/conformance-none"})
    refused(world.add(attachment), "CNI_NETNS=/run/netns/conformance-none, which does not exist")


def two_interfaces(world: World) -> tuple[Attachment, Attachment]:
    """Return two attachments of one container to one network."""

    def make() -> tuple[Attachment, Attachment]:
        one = world.attached()
        other = world.prepare(container=one.container, ifname="net1")
        world.add(other)
        return one, other

    return world.once("two interfaces", make)


@check(
    "add/second-interface",
    Level.MUST,
    Kind.INTERFACE,
    section="2, ADD",
    quote="This implies that a given container ID may be added to a specific network more than "
    "once only if each addition is done with a different interface name.",
)
def second_interface(world: World) -> None:
    """A second ADD of a container under another interface name: both interfaces are there."""
    working(world)
    one, other = two_interfaces(world)
    succeeded(other.answered, "ADD of a second interface")
    (inside,) = world.look(one.container)[1:]
    lacking = [a.ifname for a in (one, other) if a.ifname not in inside.links]
    expect(not lacking, f"{', '.join(lacking)} is not in the container: {list(inside.links)}")


@check(
    "add/retry",
    Level.SHOULD,
    Kind.INTERFACE,
    section="5, Error; 2, ADD",
    quote="11: Try again later. If the plugin detects some transient condition that should clear "
    "up, it can use this code to notify the runtime it should re-try the operation later.",
)
def retry(world: World) -> None:
    """ADD fails because its IPAM plugin says "try again later": it leaves no interface.

    With one ("MUST return with an error") no later try could succeed.
    """
    attachment = world.prepare(world.delegating())
    with world.double.failing("ADD", attachment.container.id, attachment.ifname):
        if world.add(attachment).ok:
            raise Inapplicable("it does not fail, see delegation/add-error")
    (inside,) = world.look(attachment.container)[1:]
    expect(
        attachment.ifname not in inside.links,
        f"the ADD failed, and {attachment.ifname} is in the container",
    )
