"""The variables of a call; SPEC section 2, "Parameters"."""

from typing import Any

from cnisdk.conformance.check import Inapplicable, Kind, Level, check, expect
from cnisdk.conformance.checks.common import (
    bystander,
    error_of,
    expect_code,
    expect_named,
    refused,
    text_of,
)
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World

_NAMES = (
    "Invalid necessary environment variables, like CNI_COMMAND, CNI_CONTAINERID, etc. The error "
    "message must contain the names of invalid variables."
)


def _requires(world: World, command: str, *names: str) -> None:
    def call() -> Execution:
        changes = dict.fromkeys(names)
        return world.execute(world.environ(command, bystander(world), changes), world.config())

    done = world.once(f"{command} without variables", call)
    what = f"{command} without {', '.join(names)}"
    error = error_of(done, what)
    expect_code(error, 4, what)
    expect_named(error, names, what)


@check(
    "parameters/add-requires",
    Level.MUST,
    section="2, ADD, Input",
    quote="Required environment parameters: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME",
)
def add_requires(world: World) -> None:
    """ADD without container ID, namespace and interface name: code 4, and the names of all."""
    _requires(world, "ADD", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")


@check(
    "parameters/del-requires",
    Level.MUST,
    section="2, DEL, Input",
    quote="Required environment parameters: CNI_COMMAND, CNI_CONTAINERID, CNI_IFNAME",
)
def del_requires(world: World) -> None:
    """DEL without container ID and interface name: code 4, and the names of both."""
    _requires(world, "DEL", "CNI_CONTAINERID", "CNI_IFNAME")


@check(
    "parameters/check-requires",
    Level.MUST,
    section="2, CHECK, Input",
    quote="Required environment parameters: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME",
    since="0.4.0",
)
def check_requires(world: World) -> None:
    """CHECK without container ID, namespace and interface name: code 4, and the names of all."""
    _requires(world, "CHECK", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")


@check(
    "parameters/gc-requires",
    Level.MUST,
    section="2, GC, Input",
    quote="Required environment parameters: CNI_COMMAND, CNI_PATH",
    since="1.1.0",
)
def gc_requires(world: World) -> None:
    """GC without the path: code 4, and the name."""
    _requires(world, "GC", "CNI_PATH")


@check(
    "parameters/command-missing",
    Level.MUST,
    section="2, ADD, Input",
    quote="Required environment parameters: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME",
)
def command_missing(world: World) -> None:
    """All variables of an ADD but CNI_COMMAND: an error."""
    environ = world.environ("ADD", bystander(world), {"CNI_COMMAND": None})
    refused(world.execute(environ, world.config()), "a call without CNI_COMMAND")


@check(
    "parameters/command-unknown",
    Level.MUST,
    section="5, Error",
    quote=_NAMES,
)
def command_unknown(world: World) -> None:
    """A verb that does not exist: code 4, and CNI_COMMAND is named."""
    environ = world.environ("FROB", bystander(world))
    error = error_of(world.execute(environ, world.config()), "CNI_COMMAND=FROB")
    expect_code(error, 4, "CNI_COMMAND=FROB")
    expect_named(error, ("CNI_COMMAND",), "CNI_COMMAND=FROB")


def _wrong_id(world: World) -> Execution:
    def call() -> Execution:
        changes = {"CNI_CONTAINERID": "../conformance"}
        return world.execute(world.environ("ADD", bystander(world), changes), world.config())

    return world.once("wrong container ID", call)


@check(
    "parameters/container-id-characters",
    Level.MUST,
    section="2, Parameters",
    quote="Must start with an alphanumeric character, optionally followed by any combination of "
    "one or more alphanumeric characters, underscore (), dot (.) or hyphen (-).",
)
def container_id_characters(world: World) -> None:
    """ADD for the container ``../conformance``: an error."""
    refused(_wrong_id(world), "CNI_CONTAINERID=../conformance")


@check(
    "parameters/ifname-unusable",
    Level.MUST,
    Kind.INTERFACE,
    section="2, Parameters",
    quote="Name of the interface to create inside the container; if the plugin is unable to use "
    "this interface name it must return an error.",
)
def ifname_unusable(world: World) -> None:
    """ADD with names that Linux does not take, one too long and one with a slash: errors."""
    name = "sixteen-letters1"
    refused(world.add(world.prepare(ifname=name)), f"CNI_IFNAME={name}")
    environ = world.environ("ADD", bystander(world), {"CNI_IFNAME": "eth/0"})
    refused(world.execute(environ, world.config()), "CNI_IFNAME=eth/0")


@check("parameters/invalid-are-named", Level.MUST, section="5, Error", quote=_NAMES)
def invalid_are_named(world: World) -> None:
    """The error for a malformed container ID has code 4 and names CNI_CONTAINERID."""
    done = _wrong_id(world)
    if done.ok:
        raise Inapplicable("it was accepted, see parameters/container-id-characters")
    what = "CNI_CONTAINERID=../conformance"
    error = error_of(done, what)
    expect_code(error, 4, what)
    expect_named(error, ("CNI_CONTAINERID",), what)


@check(
    "parameters/optional",
    Level.MUST,
    section="2, DEL, Input",
    quote="Optional environment parameters: CNI_NETNS, CNI_ARGS, CNI_PATH",
)
def optional(world: World) -> None:
    """DEL without arguments and path, where nothing is delegated: they are not missed."""
    changes = dict.fromkeys(("CNI_ARGS", "CNI_PATH"))
    keys: dict[str, Any] = {"ipam": None} if world.delegates else {}
    environ = world.environ("DEL", bystander(world), changes)
    done = world.execute(environ, world.config(**keys))
    if done.ok:
        return
    error = done.object()
    missed = [name for name in changes if name in text_of(error)]
    expect(not missed and error.get("code") != 4, f"DEL asks for them: {text_of(error)!r}")
