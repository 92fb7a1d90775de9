"""The configuration on stdin; SPEC section 1 and section 2, "Errors"."""

from cnisdk.conformance.check import Kind, Level, check
from cnisdk.conformance.checks.common import (
    bystander,
    error_of,
    expect_code,
    expect_named,
    refused,
    specimen,
    succeeded,
)
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World

NAME = (
    "Must start with an alphanumeric character, optionally followed by any combination of one or "
    "more alphanumeric characters, underscore, dot (.) or hyphen (-)."
)


def _add(world: World, what: str, stdin: bytes | dict[str, object] | None) -> Execution:
    return world.once(
        f"ADD with {what}",
        lambda: world.execute(world.environ("ADD", bystander(world)), stdin),
    )


def garbled(world: World) -> Execution:
    """Return an ADD with a configuration that is cut off."""
    return _add(world, "half a configuration", b'{"cniVersion": "0.4.0", "name": "confor')


def nothing(world: World) -> Execution:
    """Return an ADD with an empty stdin."""
    return _add(world, "nothing", b"")


def without_stdin(world: World) -> Execution:
    """Return an ADD with a closed stdin."""
    return _add(world, "a closed stdin", None)


def without_name(world: World) -> Execution:
    """Return an ADD with a configuration that has no name."""
    return _add(world, "no name", world.config(name=None))


@check(
    "config/not-json",
    Level.MUST,
    section="5, Error",
    quote="6: Failed to decode content. For example, failed to unmarshal network config from bytes "
    "or failed to decode version info from string.",
)
def not_json(world: World) -> None:
    """ADD with half a configuration: code 6."""
    error = error_of(garbled(world), "half a configuration", told=True)
    expect_code(error, 6, "half a configuration")


@check(
    "config/empty",
    Level.MUST,
    section="2, Errors",
    quote="A plugin must exit with a return code of 0 on success, and non-zero on failure.",
)
def empty(world: World) -> None:
    """ADD with nothing on stdin: an error."""
    refused(nothing(world), "an empty configuration", told=True)


@check(
    "config/version-unknown",
    Level.MUST,
    section="5, Error",
    quote="1: Incompatible CNI version",
)
def version_unknown(world: World) -> None:
    """ADD with cniVersion 97.0.0: code 1."""
    done = _add(world, "a version to come", world.config("97.0.0"))
    expect_code(error_of(done, "cniVersion 97.0.0"), 1, "cniVersion 97.0.0")


@check("config/name-characters", Level.MUST, section="1, Configuration format", quote=NAME)
def name_characters(world: World) -> None:
    """ADD for the network ``../conformance``: code 7."""
    done = _add(world, "a wrong name", world.config(name="../conformance"))
    expect_code(error_of(done, "the name ../conformance"), 7, "the name ../conformance")


@check(
    "config/name-missing",
    Level.MUST,
    section="5, Error",
    quote="7: Invalid network config. If some validations on network configs do not pass, this "
    "error will be raised.",
)
def name_missing(world: World) -> None:
    """ADD for a network without a name: code 7."""
    expect_code(error_of(without_name(world), "no name", told=True), 7, "no name")


@check(
    "config/unknown-keys",
    Level.MUST,
    section="1, Other keys; 5, Error",
    quote="Plugins may define additional fields that they accept and may generate an error if "
    "called with unknown fields. / 2: Unsupported field in network configuration. The error "
    "message must contain the key and value of the unsupported field.",
)
def unknown_keys(world: World) -> None:
    """ADD with a key nobody knows: it is passed over, or refused with code 2, key and value."""
    specimen(world)  # or ADD does not work at all
    done = world.add(world.prepare(world.config(conformanceKey="conformanceValue")))
    if done.ok:
        return
    what = "a key that nobody knows"
    error = error_of(done, what)
    expect_code(error, 2, what)
    expect_named(error, ("conformanceKey", "conformanceValue"), what)


@check(
    "config/runtime-config",
    Level.SHOULD,
    Kind.INTERFACE,
    Kind.IPAM,
    section="3, Deriving runtimeConfig",
    quote="any capability supported by the plugin configuration and provided by the runtime should "
    "be inserted in the runtimeConfig",
)
def runtime_config(world: World) -> None:
    """ADD with capabilities of an orchestrator, as containerd sends them: they do no harm."""
    capabilities = {
        "dns": {"Servers": ["10.96.0.10"], "Searches": ["svc.example"], "Options": ["ndots:5"]},
        "io.kubernetes.cri.pod-annotations": {"conformance.example/annotation": "1"},
    }
    specimen(world)  # or ADD does not work at all
    done = world.add(world.prepare(world.config(runtimeConfig=capabilities)))
    succeeded(done, "ADD with a runtimeConfig of containerd")
