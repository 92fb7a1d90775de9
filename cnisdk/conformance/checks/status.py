"""STATUS; SPEC section 2, "STATUS"."""

from cnisdk.conformance.check import Inapplicable, Kind, Level, check, expect
from cnisdk.conformance.checks.common import error_of, succeeded
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World

QUICK = 5.0
"""Seconds; a runtime asks again and again, and waits."""

_SINCE = "1.1.0"


def _asked(world: World) -> Execution:
    return world.once("STATUS", world.status)


@check(
    "status/ready",
    Level.MUST,
    section="2, STATUS",
    quote="A plugin must exit with a zero (success) return code if the plugin is ready to service "
    "ADD requests.",
    since=_SINCE,
)
def ready(world: World) -> None:
    """STATUS where ADD works, with no variables but CNI_PATH: exit status 0."""
    done = _asked(world)
    if done.timed_out:
        raise Inapplicable("no answer, see status/quick")
    succeeded(done, "STATUS")


@check(
    "status/quick",
    Level.SHOULD,
    section="2, STATUS",
    quote="STATUS is a way for a runtime to determine the readiness of a network plugin.",
    since=_SINCE,
)
def quick(world: World) -> None:
    """STATUS answers within a few seconds."""
    done = _asked(world)
    expect(done.seconds < QUICK, f"it took {done.seconds:.1f} s")


@check(
    "status/exhausted",
    Level.SHOULD,
    Kind.IPAM,
    section="2, STATUS",
    quote="if a plugin has a limited number of resources (e.g. IP addresses, hardware queues), it "
    "should return an error if those resources are exhausted and no new ADD requests can be "
    "serviced.",
    since=_SINCE,
)
def exhausted(world: World) -> None:
    """STATUS when the only address is given: an error, with code 50 or 51."""
    config = world.scarce()
    world.attached(config)
    error = error_of(world.status(config), "STATUS when no address is left")
    code = error["code"]
    expect(code in (50, 51), f"STATUS when no address is left: code {code}, not 50 or 51")
