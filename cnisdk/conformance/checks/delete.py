"""DEL, in all the states that a runtime calls it in; SPEC section 2, "DEL"."""

from dataclasses import dataclass

from cnisdk.conformance.check import (
    ATTACHING,
    Inapplicable,
    Kind,
    Level,
    check,
    expect,
    expect_none,
)
from cnisdk.conformance.checks.add import two_interfaces
from cnisdk.conformance.checks.common import (
    deleted,
    is_ipam,
    needs_delete_of_nothing,
    never_added,
    succeeded,
)
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World

BEST_EFFORT = (
    "DEL command invocations are always considered best-effort - plugins should always complete a "
    "DEL action without error to the fullest extent possible, even if some resources or state are "
    "missing."
)
UNDO = (
    "A CNI plugin, upon receiving a DEL command, should either delete the interface defined by "
    "CNI_IFNAME inside the container at CNI_NETNS, or undo any modifications applied in the "
    "plugin's ADD functionality"
)


@check("delete/succeeds", Level.SHOULD, section="2, DEL", quote=BEST_EFFORT)
def succeeds(world: World) -> None:
    """DEL after ADD: exit status 0."""
    succeeded(deleted(world).done, "DEL")


@check("delete/leaves-nothing", Level.SHOULD, *ATTACHING, section="2, DEL", quote=UNDO)
def leaves_nothing(world: World) -> None:
    """After DEL container and host are as they were: links, addresses, routes, rules, files."""
    expect_none(deleted(world).left)


@check(
    "delete/twice",
    Level.MUST,
    section="2, DEL",
    quote="Plugins MUST accept multiple DEL calls for the same (CNI_CONTAINERID, CNI_IFNAME) pair, "
    "and return success if the interface in question, or any modifications added, are missing.",
)
def twice(world: World) -> None:
    """A second DEL succeeds."""
    found = deleted(world)
    if not found.done.ok:
        raise Inapplicable("the first fails, see delete/succeeds")
    succeeded(world.delete(found.attachment), "the second DEL")


@check("delete/never-added", Level.SHOULD, section="2, DEL", quote=BEST_EFFORT)
def of_nothing(world: World) -> None:
    """DEL of a container that nobody added, without prevResult: it succeeds."""
    succeeded(never_added(world), "DEL of a container that was never added")


@dataclass(frozen=True, slots=True)
class Orphan:
    """An attachment that was deleted when its container was gone."""

    done: Execution
    left: list[str]


def _orphan(world: World) -> Orphan:
    """Return an attachment whose DEL has no CNI_NETNS, because there is no namespace."""

    def make() -> Orphan:
        world.warm()
        keys = world.masquerading()
        before = world.look(rules=bool(keys))
        attachment = world.attached(world.config(**keys))
        attachment.container.close()
        done = world.delete(attachment, {"CNI_NETNS": None})
        left: list[str] = []
        if not is_ipam(world):
            left = world.left(before, rules=bool(keys)) + world.files_of(attachment.container)
        return Orphan(done, left)

    return world.once("orphan", make)


@check(
    "delete/without-netns",
    Level.MUST,
    section="2, DEL, Input",
    quote="Optional environment parameters: CNI_NETNS, CNI_ARGS, CNI_PATH",
)
def without_netns(world: World) -> None:
    """DEL without CNI_NETNS when the namespace is gone: it succeeds."""
    succeeded(_orphan(world).done, "DEL without CNI_NETNS")


@check(
    "delete/without-netns-leaves-nothing",
    Level.SHOULD,
    *ATTACHING,
    section="2, DEL",
    quote="the bridge plugin should delegate the DEL action to the IPAM plugin and clean up its "
    "own resources even if the container network namespace and/or container network interface no "
    "longer exist.",
)
def without_netns_leaves_nothing(world: World) -> None:
    """After a DEL without CNI_NETNS the host is as it was: links, routes, rules, files."""
    # What the kit made for a chained plugin went with the namespace.
    expect_none([line for line in _orphan(world).left if line.startswith("left:")])


@check("delete/netns-gone", Level.SHOULD, section="2, DEL", quote=BEST_EFFORT)
def netns_gone(world: World) -> None:
    """DEL with a CNI_NETNS that no longer exists: it succeeds."""
    attachment = world.attached()
    attachment.container.close()
    succeeded(world.delete(attachment), "DEL with a CNI_NETNS that is gone")


@check(
    "delete/without-prev-result",
    Level.SHOULD,
    section="2, DEL",
    quote="Plugins should still return without error if prevResult is empty for a DEL command, "
    "however.",
)
def without_prev_result(world: World) -> None:
    """DEL without prevResult: it succeeds, and the interface goes."""
    attachment = world.attached()
    succeeded(world.delete(attachment, prev=False), "DEL without prevResult")
    if world.subject.kind is Kind.INTERFACE:
        (inside,) = world.look(attachment.container)[1:]
        gone = attachment.ifname not in inside.links
        expect(gone, f"{attachment.ifname} is still in the container")


@check(
    "delete/after-failed-add",
    Level.MUST,
    Kind.INTERFACE,
    section="3, Lifecycle & Ordering",
    quote="A delete must still be executed even if the add fails.",
)
def after_failed_add(world: World) -> None:
    """DEL after an ADD that failed because its IPAM plugin did: it succeeds, nothing is left."""
    world.warm()
    needs_delete_of_nothing(world)
    config = world.delegating()
    container = world.host.container()
    before = world.look(container)
    attachment = world.prepare(config, container=container)
    with world.double.failing("ADD", container.id, attachment.ifname):
        if world.add(attachment).ok:
            raise Inapplicable("ADD does not fail, see delegation/add-error")
    succeeded(world.delete(attachment, prev=False), "DEL after a failed ADD")
    expect_none(world.left(before, container))


@check(
    "delete/other-interface",
    Level.MUST,
    Kind.INTERFACE,
    section="3",
    quote="An attachment may be uniquely identified by the (CNI_CONTAINERID, CNI_IFNAME) tuple.",
)
def other_interface(world: World) -> None:
    """DEL of one of a container's two interfaces leaves the other as it is."""
    one, other = two_interfaces(world)
    if other.added is None or not other.added.ok:
        raise Inapplicable("there are no two, see add/second-interface")
    (inside,) = world.look(one.container)[1:]
    if one.ifname not in inside.links:
        raise Inapplicable("there are no two, see add/second-interface")
    if not world.delete(other).ok:
        raise Inapplicable("DEL fails, see delete/succeeds")
    (after,) = world.look(one.container)[1:]
    lost = [
        line
        for line in sorted(inside.lines() - after.lines())
        if f" {other.ifname}" not in line and one.ifname in line
    ]
    expect_none([f"gone with {other.ifname}: {line}" for line in lost])
