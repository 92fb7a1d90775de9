"""Plugins that follow another one; SPEC section 2, "ADD", and section 5, "ADD Success"."""

from typing import Any

from cnisdk.conformance import result as results
from cnisdk.conformance.check import Kind, Level, check, expect_none
from cnisdk.conformance.checks.common import needs_interfaces, specimen
from cnisdk.conformance.world import World

_ONWARD = (
    "Plugins provided a prevResult key as part of their request configuration must output it as "
    "their result, with any possible modifications made by that plugin included."
)


@check(
    "chained/interfaces-passed-on",
    Level.MUST,
    Kind.CHAINED,
    section="5, ADD Success",
    quote=_ONWARD,
    since="0.3.0",
)
def interfaces_passed_on(world: World) -> None:
    """Every interface of prevResult is in the result, in its place."""
    needs_interfaces(world)
    found = specimen(world)
    before: dict[str, Any] = found.attachment.before or {}
    listed = found.result.get("interfaces") or []
    names = [interface.get("name") for interface in listed]
    expect_none(
        [
            f"$.interfaces[{index}] was {interface['name']}, the result has {names}"
            for index, interface in enumerate(before["interfaces"])
            if names[index : index + 1] != [interface["name"]]
        ]
    )


@check(
    "chained/addresses-passed-on",
    Level.MUST,
    Kind.CHAINED,
    section="5, ADD Success",
    quote=_ONWARD,
)
def addresses_passed_on(world: World) -> None:
    """Every address of prevResult is in the result."""
    found = specimen(world)
    before: dict[str, Any] = found.attachment.before or {}
    listed = [address.address for address in results.addresses(found.result)]
    expect_none(
        [
            f"prevResult has {address.address}, the result {listed}"
            for address in results.addresses(before)
            if address.address not in listed
        ]
    )


@check("chained/rest-passed-on", Level.MUST, Kind.CHAINED, section="5, ADD Success", quote=_ONWARD)
def rest_passed_on(world: World) -> None:
    """Routes and name servers of prevResult are in the result."""
    found = specimen(world)
    before: dict[str, Any] = found.attachment.before or {}
    routes = [route.dst for route in results.routes(found.result)]
    servers = (found.result.get("dns") or {}).get("nameservers") or []
    lacking = [r.dst for r in results.routes(before) if r.dst not in routes]
    lacking += [s for s in before["dns"]["nameservers"] if s not in servers]
    expect_none([f"prevResult has {item}, the result has not" for item in lacking])
