"""GC, with survivors and without; SPEC section 2, "GC"."""

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
from cnisdk.conformance.checks.common import is_ipam, refused, succeeded
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World

_STALE = (
    "A plugin SHOULD remove as many stale resources as possible. For example, a plugin should "
    "remove any IPAM reservations associated with attachments not in the provided list."
)
_VALID = "cni.dev/valid-attachments (array of objects): The list of still valid attachments"
_SINCE = "1.1.0"


@dataclass(frozen=True, slots=True)
class Collected:
    """A network with a stale attachment and a valid one, after a GC with that one alone."""

    done: Execution
    left: list[str]
    """What there is that was not before the stale attachment, and the other way round."""
    emptied: Execution
    """The GC after it, with an empty list."""
    left_then: list[str]


def _collected(world: World) -> Collected:
    def make() -> Collected:
        world.warm()
        collected = collect()
        if any(line.startswith("gone:") for line in collected.left):
            # Perhaps by itself: the link of an earlier check's namespace goes a moment later.
            collected = collect()
        return collected

    def collect() -> Collected:
        name = f"{world.base()['name']}-gc"
        config = world.config(name=name, **world.masquerading())
        rules = bool(world.masquerading())
        start = world.look(rules=rules)
        valid = world.attached(config)
        before = world.look(valid.container, rules=rules)
        stale = world.attached(config)
        stale.container.close()
        done = world.gc([valid], config)
        left = [*world.left(before, valid.container, rules=rules), *world.files_of(stale.container)]
        valid.container.close()
        emptied = world.gc([], config)
        left_then = [*world.left(start, rules=rules), *world.files_of(valid.container)]
        return Collected(done, left, emptied, left_then)

    return world.once("collected", make)


@check(
    "gc/succeeds",
    Level.SHOULD,
    section="2, GC",
    quote="Plugins should generally complete a GC action without error.",
    since=_SINCE,
)
def succeeds(world: World) -> None:
    """GC with a list of valid attachments: exit status 0."""
    succeeded(_collected(world).done, "GC")


@check(
    "gc/prints-nothing",
    Level.MUST,
    section="2, GC, Output",
    quote='No output on success, "error" result structure on error.',
    since=_SINCE,
)
def prints_nothing(world: World) -> None:
    """A GC that succeeds writes nothing to stdout."""
    done = _collected(world).done
    if not done.ok:
        raise Inapplicable("GC fails, see gc/succeeds")
    expect(not done.stdout.strip(), f"stdout has {done.stdout[:200]!r}")


@check("gc/removes-stale", Level.SHOULD, *ATTACHING, section="2, GC", quote=_STALE, since=_SINCE)
def removes_stale(world: World) -> None:
    """After GC nothing is left of an attachment that is not in the list: rules, links, files."""
    expect_none([line for line in _collected(world).left if line.startswith("left:")])


@check("gc/keeps-valid", Level.MUST, *ATTACHING, section="2, GC", quote=_VALID, since=_SINCE)
def keeps_valid(world: World) -> None:
    """After GC all is there of an attachment that is in the list."""
    expect_none([line for line in _collected(world).left if line.startswith("gone:")])


@check("gc/empty-list", Level.SHOULD, section="2, GC", quote=_STALE, since=_SINCE)
def empty_list(world: World) -> None:
    """GC with an empty list succeeds, and nothing is left of the whole network."""
    collected = _collected(world)
    succeeded(collected.emptied, "GC with an empty list")
    if not is_ipam(world):
        expect_none([line for line in collected.left_then if line.startswith("left:")])


@check("gc/releases", Level.SHOULD, Kind.IPAM, section="2, GC", quote=_STALE, since=_SINCE)
def releases(world: World) -> None:
    """The only address there is can be given again after GC of the attachment that had it."""
    config = world.scarce()
    world.attached(config)
    if not world.gc([], config).ok:
        raise Inapplicable("GC fails, see gc/empty-list")
    succeeded(world.add(world.prepare(config)), "ADD after GC with an empty list")


@check("gc/keeps-reservation", Level.MUST, Kind.IPAM, section="2, GC", quote=_VALID, since=_SINCE)
def keeps_reservation(world: World) -> None:
    """The only address there is stays with its container if GC has that in its list."""
    config = world.scarce()
    attachment = world.attached(config)
    if not world.gc([attachment], config).ok:
        raise Inapplicable("GC fails, see gc/succeeds")
    refused(world.add(world.prepare(config)), "ADD when a valid attachment has the only address")
