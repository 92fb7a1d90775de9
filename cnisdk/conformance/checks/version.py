"""VERSION; SPEC section 2 and section 5, "Version"."""

import re
from typing import Any

from cnisdk import versions
from cnisdk.conformance.check import Inapplicable, Level, check, expect
from cnisdk.conformance.checks.common import succeeded
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World

PATIENCE = 5.0
"""Seconds in which VERSION has to answer whatever its stdin."""

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_REQUIRED = "Required environment parameters: CNI_COMMAND"


def _ask(world: World, stdin: bytes | None, *, silent: bool = False) -> Execution:
    environ = {"CNI_COMMAND": "VERSION", "PATH": world.environ("VERSION")["PATH"]}
    return world.execute(environ, stdin, timeout=PATIENCE, silent=silent)


def _asked(world: World) -> Execution:
    stdin = f'{{"cniVersion": "{versions.CURRENT}"}}'.encode()
    return world.once("VERSION", lambda: _ask(world, stdin))


def claimed(done: Execution) -> list[str]:
    """Return the versions that a plugin says to support."""
    listed = done.object().get("supportedVersions")
    return [v for v in listed if isinstance(v, str)] if isinstance(listed, list) else []


@check(
    "version/answer",
    Level.MUST,
    section="5, Version",
    quote="Plugins must output a JSON object with the following keys upon a VERSION operation: "
    "cniVersion: The value of cniVersion specified on input; supportedVersions: A list of "
    "supported specification versions",
)
def answer(world: World) -> None:
    """VERSION answers with one JSON object that has cniVersion and supportedVersions."""
    done = _asked(world)
    succeeded(done, "VERSION")
    found = done.object()
    expect(found, f"stdout is not one JSON object: {done.stdout[:200]!r}")
    listed: Any = found.get("supportedVersions")
    expect(isinstance(listed, list) and listed, f"$.supportedVersions is {listed!r}, no list")
    for version in listed:
        expect(
            isinstance(version, str) and _VERSION.fullmatch(version),
            f"$.supportedVersions has {version!r}, no version",
        )
    expect(isinstance(found.get("cniVersion"), str), "$.cniVersion is missing")


@check(
    "version/echo",
    Level.MUST,
    section="5, Version",
    quote="cniVersion: The value of cniVersion specified on input",
)
def echo(world: World) -> None:
    """VERSION asked in 0.4.0 answers in 0.4.0."""
    found = _ask(world, b'{"cniVersion": "0.4.0"}').object().get("cniVersion")
    expect(found == "0.4.0", f"asked in 0.4.0, $.cniVersion is {found!r}")


@check(
    "version/empty-stdin",
    Level.SHOULD,
    section="2, VERSION",
    quote=_REQUIRED,
)
def empty_stdin(world: World) -> None:
    """VERSION with nothing on stdin, as old runtimes ask: an answer all the same."""
    done = _ask(world, b"")
    succeeded(done, "VERSION with an empty stdin")
    expect("supportedVersions" in done.object(), "no answer")


@check("version/closed-stdin", Level.SHOULD, section="2, VERSION", quote=_REQUIRED)
def closed_stdin(world: World) -> None:
    """VERSION without a stdin: an answer all the same."""
    done = _ask(world, None)
    succeeded(done, "VERSION with a closed stdin")
    expect("supportedVersions" in done.object(), "no answer")


@check("version/garbage", Level.SHOULD, section="2, VERSION", quote=_REQUIRED)
def garbage(world: World) -> None:
    """VERSION with something on stdin that is no JSON: an answer or an error, no crash."""
    done = _ask(world, b"\xff{cniVersion")
    expect(not done.timed_out and done.status >= 0, f"VERSION with garbage: {done.ending()}")
    expect(done.object(), f"no JSON object on stdout: {done.stdout[:200]!r}")


@check("version/silent-stdin", Level.SHOULD, section="2, VERSION", quote=_REQUIRED)
def silent_stdin(world: World) -> None:
    """VERSION with a stdin that says nothing and stays open: an answer in a few seconds."""
    done = _ask(world, b"", silent=True)
    expect(not done.timed_out, f"no answer within {PATIENCE:.0f} s: it waits for its stdin to end")
    expect("supportedVersions" in done.object(), "no answer")


@check(
    "version/known",
    Level.SHOULD,
    section="5, Version",
    quote="supportedVersions: A list of supported specification versions",
)
def known(world: World) -> None:
    """At least one of the versions is one of the specification's."""
    listed = claimed(_asked(world))
    if not listed:
        raise Inapplicable("there is no list, see version/answer")
    expect(set(listed) & set(versions.SUPPORTED), f"{listed} has no version of the specification")
