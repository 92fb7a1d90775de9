"""Errors; SPEC section 2, "Errors", and section 5, "Error"."""

from typing import Any

from cnisdk.conformance.check import Inapplicable, Level, check, expect
from cnisdk.conformance.checks.config import garbled, nothing, without_name, without_stdin
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World


def _failed(world: World) -> Execution:
    done = without_name(world)
    if done.ok:
        raise Inapplicable("no error, see config/name-missing")
    return done


def _error(world: World) -> dict[str, Any]:
    error = _failed(world).object()
    if not error:
        raise Inapplicable("no error object to read, see errors/object")
    return error


@check(
    "errors/exit-status",
    Level.MUST,
    section="2, Errors",
    quote="A plugin must exit with a return code of 0 on success, and non-zero on failure.",
)
def exit_status(world: World) -> None:
    """What answers with an error object ends with a status other than 0."""
    for done in (garbled(world), nothing(world), without_name(world)):
        expect(not (done.ok and "code" in done.object()), "an error object, and exit status 0")


@check(
    "errors/object",
    Level.SHOULD,
    section="2, Errors",
    quote='If the plugin encounters an error, it should output an "error" result structure.',
)
def error_object(world: World) -> None:
    """A network without a name: exactly one JSON object on stdout, with code and msg."""
    done = _failed(world)
    try:
        values = done.objects()
    except ValueError:
        values = []
    count = "nothing" if not done.stdout.strip() else "something else"
    expect(
        len(values) == 1 and isinstance(values[0], dict),
        f"stdout has {count} where one JSON object belongs: {done.stdout[:200]!r}",
    )
    code, msg = values[0].get("code"), values[0].get("msg")
    expect(type(code) is int and code > 0, f"$.code is {code!r}, no numeric error code")
    expect(isinstance(msg, str) and msg, f"$.msg is {msg!r}, no message")


@check(
    "errors/version",
    Level.SHOULD,
    section="5, Error",
    quote="Plugins should output a JSON object with the following keys if they encounter an error: "
    "cniVersion: The protocol version in use",
)
def error_version(world: World) -> None:
    """A network without a name, in a version that is supported: the error has that version."""
    found = _error(world).get("cniVersion")
    expect(found == world.version, f"$.cniVersion is {found!r} instead of {world.version!r}")


@check(
    "errors/own-codes",
    Level.MUST,
    section="5, Error",
    quote="Error codes 0-99 are reserved for well-known errors.",
)
def own_codes(world: World) -> None:
    """No code of the errors that were provoked is one that the specification leaves without use."""
    known = {1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51}
    for done in (garbled(world), nothing(world), without_stdin(world), without_name(world)):
        code = done.object().get("code", 100)
        if type(code) is int:
            expect(code in known or code > 99, f"code {code} is reserved and means nothing")
