"""Plugins that give addresses; SPEC section 4 and section 5, "Delegated plugins (IPAM)"."""

from cnisdk.conformance import result as results
from cnisdk.conformance.check import Inapplicable, Kind, Level, check, expect, expect_none
from cnisdk.conformance.checks.common import refused, specimen, succeeded
from cnisdk.conformance.world import World

_RELEASE = (
    "an IPAM plugin should generally release an IP allocation and return success even if the "
    "container network namespace no longer exists"
)


@check(
    "ipam/abbreviated",
    Level.MUST,
    Kind.IPAM,
    section="5, Delegated plugins (IPAM)",
    quote="Delegated IPAM plugins must return an abbreviated Success object. Specifically, it is "
    "missing the interfaces array, as well as the interface entry in ips.",
)
def abbreviated(world: World) -> None:
    """The result has no interfaces and no index of one."""
    found = results.problems(specimen(world).result, world.version, abbreviated=True)
    expect_none([problem for problem in found if "interface" in problem])


@check(
    "ipam/gives-address",
    Level.MUST,
    Kind.IPAM,
    section="4, Plugin Delegation",
    quote="The IPAM plugin must determine the interface IP/subnet, Gateway and Routes and return "
    'this information to the "main" plugin to apply.',
)
def gives_address(world: World) -> None:
    """The result has an address."""
    expect(results.addresses(specimen(world).result), "the result has no address")


@check(
    "ipam/releases",
    Level.SHOULD,
    Kind.IPAM,
    section="2, DEL",
    quote="A CNI plugin, upon receiving a DEL command, should ... undo any modifications applied "
    "in the plugin's ADD functionality",
)
def releases(world: World) -> None:
    """The only address there is can be given again after DEL."""
    config = world.scarce()
    attachment = world.attached(config)
    if not world.delete(attachment).ok:
        raise Inapplicable("DEL fails, see delete/succeeds")
    succeeded(world.add(world.prepare(config)), "ADD of another container after DEL of the first")


@check("ipam/releases-without-netns", Level.SHOULD, Kind.IPAM, section="2, DEL", quote=_RELEASE)
def releases_without_netns(world: World) -> None:
    """DEL without CNI_NETNS and prevResult gives the address back."""
    config = world.scarce()
    attachment = world.attached(config)
    if not world.delete(attachment, {"CNI_NETNS": None}, prev=False).ok:
        raise Inapplicable("it fails, see delete/without-netns")
    what = "ADD of another container after DEL without CNI_NETNS"
    succeeded(world.add(world.prepare(config)), what)


@check(
    "ipam/keeps",
    Level.MUST,
    Kind.IPAM,
    section="3, Lifecycle & Ordering",
    quote="An attachment may be uniquely identified by the (CNI_CONTAINERID, CNI_IFNAME) tuple.",
)
def keeps(world: World) -> None:
    """The only address there is stays with its container, whatever is deleted beside it."""
    config = world.scarce()
    attachment = world.attached(config)
    stranger = world.prepare(config)
    if not world.delete(stranger).ok:
        raise Inapplicable("DEL fails, see delete/never-added")
    world.delete(world.prepare(config, container=attachment.container, ifname="net1"))
    done = world.add(world.prepare(config))
    refused(done, "ADD when another container has the only address")
