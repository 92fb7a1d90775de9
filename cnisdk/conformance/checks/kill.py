"""Killed in the middle of an ADD; SPEC section 3, "Lifecycle & Ordering".

A kill at any time may by chance be one while it delegates, or at a write, or one after which
nothing was left to do.  What comes to light at such a place each time is told by its own check,
and `any_time` says nothing then.
"""

import shlex
import time
from collections.abc import Callable, Sequence

from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import (
    Inapplicable,
    Kind,
    Level,
    Violation,
    check,
    expect,
    expect_none,
)
from cnisdk.conformance.checks.common import first, is_ipam, needs_delete_of_nothing, succeeded
from cnisdk.conformance.execution import NO_FILES, spawn
from cnisdk.conformance.host import tool
from cnisdk.conformance.state import State
from cnisdk.conformance.world import World

WRITES = 12
"""At most so many writes of an ADD are tried."""

MOMENTS = (0.3, 0.6, 0.9)
"""When to kill, in parts of the time that an ADD takes."""

_QUOTE = (
    "The container runtime must ensure that add is eventually followed by a corresponding delete. "
    "... A delete must still be executed even if the add fails."
)


@check(
    "kill/while-delegating",
    Level.SHOULD,
    Kind.INTERFACE,
    section="3, Lifecycle & Ordering",
    quote=_QUOTE,
)
def while_delegating(world: World) -> None:
    """ADD is killed while its IPAM plugin works, then DEL: it succeeds, and nothing is left."""
    _once(world, _kill_while_delegating)


def _kill_while_delegating(world: World) -> None:
    world.warm()
    needs_delete_of_nothing(world)
    container = world.host.container()
    before = world.look(container)
    attachment = world.prepare(world.delegating(), container=container)
    with world.double.holding("ADD", container.id, attachment.ifname) as hold:
        running = world.start(world.environ("ADD", attachment), attachment.config)
        arrived = hold.wait(running)
        running.kill()
        world.finish(running)
    if not arrived:
        raise Inapplicable("ADD does not call its IPAM plugin, see delegation/add")
    _expect_clean(world, attachment, before)


def _expect_clean(world: World, attachment: Attachment, before: Sequence[State]) -> None:
    done = world.delete(attachment, prev=False)
    succeeded(done, "DEL after an ADD that was killed")
    container = attachment.container
    expect_none(world.left(before, container) + world.files_of(container))


@check("kill/any-time", Level.SHOULD, section="3, Lifecycle & Ordering", quote=_QUOTE)
def any_time(world: World) -> None:
    """ADD is killed after a third, two thirds and most of its time, then DEL: nothing is left."""
    world.warm()
    needs_delete_of_nothing(world)
    added = first(world).answered
    if not added.ok:
        raise Inapplicable("ADD fails, see add/succeeds")
    _needs_no_finding(world)
    for moment in MOMENTS:
        _kill_after(world, added.seconds * moment)


def _needs_no_finding(world: World) -> None:
    """Raise `Inapplicable` if a kill that comes too late, or at a certain place, leaves much."""
    try:
        _once(world, _let_it_end)
    except Violation as err:
        raise Inapplicable(f"DEL does not take back an ADD that nobody killed: {err}") from err
    place = _kill_at_writes if is_ipam(world) else _kill_while_delegating
    try:
        _once(world, place)
    except Violation as err:
        raise Inapplicable("see kill/at-a-write and kill/while-delegating") from err
    except Inapplicable:
        return  # it has no such place


def _let_it_end(world: World) -> None:
    _kill_after(world, None)


def _kill_after(world: World, seconds: float | None) -> None:
    """ADD, killed after so long, None: not at all; then DEL, and what has to be true after it."""
    config = world.scarce() if is_ipam(world) else None
    container = world.host.container()
    attachment = world.prepare(config, container=container)
    before = world.look(container)
    stdin = world.request(attachment, attachment.before)
    running = world.start(world.environ("ADD", attachment), stdin)
    if seconds is not None:
        time.sleep(seconds)
        running.kill()
    world.finish(running)
    if is_ipam(world):
        succeeded(world.delete(attachment, prev=False), "DEL after an ADD that was killed")
        what = "ADD of another container after that, with the only address"
        succeeded(world.add(world.prepare(config)), what)
    else:
        _expect_clean(world, attachment, before)


def _once(world: World, see: Callable[[World], None]) -> None:
    """Do what a check does, at most once in a world; raise what came of it each time."""

    def make() -> str:
        try:
            see(world)
        except Violation as err:
            return str(err)
        return ""

    problem = world.once(see.__name__, make)
    expect(not problem, problem)


@check(
    "kill/at-a-write",
    Level.SHOULD,
    Kind.IPAM,
    section="3, Lifecycle & Ordering",
    quote=_QUOTE,
)
def at_a_write(world: World) -> None:
    """ADD is killed at its first write to a file, then DEL: the only address can be given again.

    With strace it is killed at each of its writes.
    """
    _once(world, _kill_at_writes)


def _kill_at_writes(world: World) -> None:
    needs_delete_of_nothing(world)
    if not first(world).answered.ok:
        raise Inapplicable("ADD fails, see add/succeeds")
    prefixes: list[tuple[str, ...]] = [NO_FILES]
    strace = tool("strace")
    if strace and world.subject.spawn is spawn:
        prefixes += [_killing(strace, number) for number in range(1, WRITES + 1)]
    killed = False
    for prefix in prefixes:
        config = world.scarce()
        attachment = world.prepare(config)
        ended = world.add(attachment, prefix=prefix).ok
        killed = killed or not ended
        what = "with RLIMIT_FSIZE 0" if prefix is NO_FILES else f"killed by {shlex.join(prefix)}"
        done = world.delete(attachment, prev=False)
        succeeded(done, f"DEL after an ADD {what}")
        done = world.add(world.prepare(config))
        succeeded(done, f"ADD of another container, with the only address, after an ADD {what}")
        if ended and prefix is not NO_FILES:
            break  # it has not so many writes
    if not killed:
        raise Inapplicable("it writes to no file")


def _killing(strace: str, number: int) -> tuple[str, ...]:
    inject = f"inject=write:signal=SIGKILL:when={number}"
    return (strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e", inject, "--")
