"""Several containers at the same time; SPEC section 3, "Lifecycle & Ordering"."""

from collections import Counter
from dataclasses import dataclass

from cnisdk.conformance import result as results
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Inapplicable, Level, check, expect_none
from cnisdk.conformance.checks.common import is_ipam, needs_delete, same_for_all, working
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World

CONTAINERS = 6

_QUOTE = (
    "Plugins must handle being executed concurrently across different containers. If necessary, "
    "they must implement locking on shared resources (e.g. IPAM databases)."
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Containers that were added at the same time, then deleted at the same time."""

    attachments: list[Attachment]
    lacking: list[str]
    deleted: list[Execution]


def _crowd(world: World) -> Crowd:
    def make() -> Crowd:
        working(world)  # or nothing works at all
        with world.fresh() as fresh:
            attachments = [fresh.prepare() for _ in range(CONTAINERS)]
            running = [
                fresh.start(fresh.environ("ADD", a), fresh.request(a, a.before))
                for a in attachments
            ]
            for attachment, started in zip(attachments, running, strict=True):
                attachment.added = fresh.finish(started)
            lacking = []
            for attachment in attachments:
                (inside,) = fresh.look(attachment.container)[1:]
                if attachment.offer and attachment.ifname not in inside.links:
                    lacking.append(f"{attachment.container.id} has no {attachment.ifname}")
            running = [
                fresh.start(fresh.environ("DEL", a), fresh.request(a, a.result or None))
                for a in attachments
            ]
            return Crowd(attachments, lacking, [fresh.finish(started) for started in running])

    return world.once("crowd", make)


@check("concurrency/add", Level.MUST, section="3, Lifecycle & Ordering", quote=_QUOTE)
def add(world: World) -> None:
    """Six ADDs at once on a host where nothing is yet: all succeed, each has its own address."""
    crowd = _crowd(world)
    problems = list(crowd.lacking)
    had: Counter[str] = Counter()
    for attachment in crowd.attachments:
        done = attachment.added
        if done is not None and not done.ok:
            problems.append(f"{done.ending()}: {done.object().get('msg')}")
        had.update({address.address for address in results.addresses(attachment.result)})
    if is_ipam(world) and same_for_all(world):
        had.clear()
    problems += [f"{address} was given {n} times" for address, n in had.items() if n > 1]
    expect_none(problems)


@check("concurrency/delete", Level.MUST, section="3, Lifecycle & Ordering", quote=_QUOTE)
def delete(world: World) -> None:
    """Their six DELs at once: all succeed."""
    crowd = _crowd(world)
    if not all(a.added and a.added.ok for a in crowd.attachments):
        raise Inapplicable("not all ADDs succeeded, see concurrency/add")
    needs_delete(world)
    expect_none(
        [f"{d.ending()}: {d.object().get('msg')}" for d in crowd.deleted if not d.ok],
    )
