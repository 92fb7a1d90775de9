"""Delegation to an IPAM plugin, which is the recording double; SPEC section 4."""

import json
from typing import Any

from cnisdk.conformance import result as results
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Inapplicable, Kind, Level, check, expect, expect_none
from cnisdk.conformance.checks.common import refused, specimen, text_of
from cnisdk.conformance.double import WITNESS, DelegateCall
from cnisdk.conformance.world import World

_ALSO = (
    "If a plugin is executed with CNI_COMMAND=CHECK, DEL, or GC, it must also execute any "
    "delegated plugins."
)
_ERROR = (
    "If any of the delegated plugins return error, error should be returned by the upper plugin."
)


def _attachment(world: World) -> Attachment:
    """Return an attachment whose IPAM plugin is the double."""
    config = world.delegating()
    if config == world.config():
        return specimen(world).attachment
    return world.once("delegated", lambda: world.attached(config))


def _call(world: World) -> tuple[Attachment, DelegateCall]:
    """Return how the double was called by an ADD."""
    attachment = _attachment(world)
    calls = world.double.calls("ADD", attachment.container.id)
    if not calls:
        raise Inapplicable("ADD does not call it, see delegation/add")
    return attachment, calls[0]


@check(
    "delegation/add",
    Level.SHOULD,
    Kind.INTERFACE,
    section="4, Delegated plugin execution procedure",
    quote="Look up the plugin binary by searching the directories provided in CNI_PATH environment "
    "variable.",
)
def add(world: World) -> None:
    """ADD executes the IPAM plugin that the configuration names."""
    attachment = _attachment(world)
    calls = world.double.calls(container_id=attachment.container.id)
    expect([c for c in calls if c.command == "ADD"], "the IPAM plugin was not called with ADD")


@check(
    "delegation/environment",
    Level.MUST,
    Kind.INTERFACE,
    section="4, Delegated Plugin protocol",
    quote="The delegated plugin must receive all the same environment variables that were passed "
    "in to the CNI plugin.",
)
def environment(world: World) -> None:
    """The IPAM plugin has every variable that the plugin was given."""
    attachment, call = _call(world)
    expect_none(
        [
            f"{key} was {value!r}, the IPAM plugin has {call.environ.get(key)!r}"
            for key, value in attachment.answered.environ.items()
            if call.environ.get(key) != value
        ]
    )


@check(
    "delegation/configuration",
    Level.MUST,
    Kind.INTERFACE,
    section="4, Delegated Plugin protocol",
    quote='Delegated plugins are provided the complete network configuration passed to the "upper" '
    "plugin.",
)
def configuration(world: World) -> None:
    """The IPAM plugin has the whole configuration on stdin."""
    attachment, call = _call(world)
    try:
        found: Any = json.loads(call.stdin)
    except ValueError:
        found = call.stdin.decode(errors="replace")
    if not isinstance(found, dict):
        expect(False, f"the IPAM plugin's stdin is {found!r}")
    expect_none(
        [
            f"$.{key} was {value!r}, the IPAM plugin has {found.get(key)!r}"
            for key, value in attachment.config.items()
            if found.get(key) != value
        ]
    )


@check(
    "delegation/stderr",
    Level.SHOULD,
    Kind.INTERFACE,
    section="4, Delegated plugin execution procedure",
    quote="Ensure that the delegated plugin's stderr is output to the calling plugin's stderr.",
)
def stderr(world: World) -> None:
    """What the IPAM plugin writes to stderr comes out of the plugin's stderr."""
    attachment, _ = _call(world)
    expect(
        WITNESS.encode() in attachment.answered.stderr,
        f"{WITNESS!r} is not in stderr: {attachment.answered.stderr[-300:]!r}",
    )


@check(
    "delegation/result",
    Level.MUST,
    Kind.INTERFACE,
    section="4, Plugin Delegation",
    quote="The IPAM plugin must determine the interface IP/subnet, Gateway and Routes and return "
    'this information to the "main" plugin to apply.',
)
def result(world: World) -> None:
    """Address, gateway and routes of the IPAM plugin are in the plugin's result."""
    attachment, _ = _call(world)
    offer = attachment.offer
    if offer is None:
        raise Inapplicable("the double offered nothing")
    addresses = results.addresses(attachment.result)
    routes = [route.dst for route in results.routes(attachment.result)]
    problems = []
    if not any((a.address, a.gateway) == (offer.address, offer.gateway) for a in addresses):
        problems.append(f"{offer.address} with gateway {offer.gateway} is not in {addresses}")
    if offer.route not in routes:
        problems.append(f"the route to {offer.route} is not in {routes}")
    expect_none(problems)


@check(
    "delegation/check",
    Level.MUST,
    Kind.INTERFACE,
    section="4, Delegated plugin execution procedure",
    quote=_ALSO,
    since="0.4.0",
)
def check_(world: World) -> None:
    """CHECK executes the IPAM plugin with CHECK, and fails if that does."""
    attachment = _attachment(world)
    identifier = attachment.container.id
    with world.double.failing("CHECK", identifier, attachment.ifname):
        done = world.check(attachment)
    expect(world.double.calls("CHECK", identifier), "the IPAM plugin was not called with CHECK")
    refused(done, "CHECK when the IPAM plugin's CHECK fails")


def _deleted(world: World) -> Attachment:
    """Return an attachment whose DEL failed in the double."""

    def make() -> Attachment:
        attachment = world.attached(world.delegating())
        with world.double.failing("DEL", attachment.container.id, attachment.ifname):
            attachment.added = world.delete(attachment)
        return attachment

    return world.once("delegated DEL", make)


@check(
    "delegation/del",
    Level.MUST,
    Kind.INTERFACE,
    section="4, Delegated plugin execution procedure",
    quote=_ALSO,
)
def delete(world: World) -> None:
    """DEL executes the IPAM plugin with DEL."""
    identifier = _deleted(world).container.id
    expect(world.double.calls("DEL", identifier), "the IPAM plugin was not called with DEL")


@check(
    "delegation/del-error",
    Level.SHOULD,
    Kind.INTERFACE,
    section="4, Delegated plugin execution procedure",
    quote=_ERROR,
)
def delete_error(world: World) -> None:
    """DEL fails if the IPAM plugin's DEL does."""
    attachment = _deleted(world)
    if not world.double.calls("DEL", attachment.container.id):
        raise Inapplicable("it is not called, see delegation/del")
    refused(attachment.answered, "DEL when the IPAM plugin's DEL fails")


@check(
    "delegation/del-without-netns",
    Level.SHOULD,
    Kind.INTERFACE,
    section="2, DEL",
    quote="the bridge plugin should delegate the DEL action to the IPAM plugin and clean up its "
    "own resources even if the container network namespace and/or container network interface no "
    "longer exist.",
)
def delete_without_netns(world: World) -> None:
    """DEL without CNI_NETNS and prevResult executes the IPAM plugin too."""
    attachment = world.prepare(world.delegating())
    world.delete(attachment, {"CNI_NETNS": None}, prev=False)
    calls = world.double.calls("DEL", attachment.container.id)
    expect(calls, "the IPAM plugin was not called with DEL")


@check(
    "delegation/gc",
    Level.MUST,
    Kind.INTERFACE,
    section="2, GC",
    quote="Plugins MUST, additionally, forward any GC calls to delegated plugins they are "
    "configured to use (see section 4).",
    since="1.1.0",
)
def gc(world: World) -> None:
    """GC executes the IPAM plugin with GC and the same list, and fails if that does."""
    attachment = _attachment(world)
    before = len(world.double.calls("GC"))
    config = world.delegating(name=f"{world.base()['name']}-other")
    with world.double.failing("GC"):
        done = world.gc([attachment], config)
    calls = world.double.calls("GC")[before:]
    expect(calls, "the IPAM plugin was not called with GC")
    key = "cni.dev/valid-attachments"
    sent = [{"containerID": attachment.container.id, "ifname": attachment.ifname}]
    try:
        found = json.loads(calls[0].stdin).get(key)
    except (ValueError, AttributeError):
        found = None
    expect(found == sent, f"the IPAM plugin was given {found!r} as {key}")
    refused(done, "GC when the IPAM plugin's GC fails")


@check(
    "delegation/status",
    Level.MUST,
    Kind.INTERFACE,
    section="2, STATUS",
    quote="If a plugin relies on a delegated plugin (e.g. IPAM) to service ADD requests, it must "
    "also execute a STATUS request to that plugin when it receives a STATUS request for itself. If "
    "the delegated plugin return an error result, the executing plugin should return an error "
    "result.",
    since="1.1.0",
)
def status(world: World) -> None:
    """STATUS executes the IPAM plugin with STATUS, and fails if that does."""
    before = len(world.double.calls("STATUS"))
    with world.double.failing("STATUS"):
        done = world.status(world.delegating())
    expect(world.double.calls("STATUS")[before:], "the IPAM plugin was not called with STATUS")
    refused(done, "STATUS when the IPAM plugin's STATUS fails")


def _failed(world: World) -> Attachment:
    """Return an attachment whose ADD failed in the double."""

    def make() -> Attachment:
        attachment = world.prepare(world.delegating())
        with world.double.failing("ADD", attachment.container.id, attachment.ifname):
            world.add(attachment)
        if not world.double.calls("ADD", attachment.container.id):
            raise Inapplicable("ADD does not call it, see delegation/add")
        return attachment

    return world.once("delegated ADD failed", make)


@check(
    "delegation/add-error",
    Level.MUST,
    Kind.INTERFACE,
    section="2, Errors",
    quote="A plugin must exit with a return code of 0 on success, and non-zero on failure.",
)
def add_error(world: World) -> None:
    """ADD fails if the IPAM plugin's ADD does."""
    done = _failed(world).answered
    refused(done, "ADD when the IPAM plugin's ADD fails")


@check(
    "delegation/add-error-undone",
    Level.SHOULD,
    Kind.INTERFACE,
    section="4, Delegated plugin execution procedure",
    quote='If, on ADD, a delegated plugin fails, the "upper" plugin should execute again with DEL '
    "before returning failure.",
)
def add_error_undone(world: World) -> None:
    """ADD executes the IPAM plugin with DEL after its ADD failed."""
    attachment = _failed(world)
    if attachment.added is not None and attachment.added.ok:
        raise Inapplicable("ADD does not fail, see delegation/add-error")
    commands = [call.command for call in world.double.calls(container_id=attachment.container.id)]
    expect(commands[-1:] == ["DEL"], f"the IPAM plugin was called with {commands}, no DEL")


@check(
    "delegation/missing",
    Level.MUST,
    Kind.INTERFACE,
    section="3, Adding an attachment",
    quote="Look up the executable specified in the type field. If this does not exist, then this "
    "is an error.",
)
def missing(world: World) -> None:
    """ADD with an IPAM plugin that does not exist: an error that names it."""
    _call(world)  # or ADD does not call it at all
    config = world.delegating()
    config["ipam"] = {**config["ipam"], "type": "conformance-none"}
    done = world.add(world.prepare(config))
    refused(done, "ADD with an IPAM plugin that does not exist")
    said = text_of(done.object())
    expect(not said or "conformance-none" in said, f"it does not say which: {said!r}")
