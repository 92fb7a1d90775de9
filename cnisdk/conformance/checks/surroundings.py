"""Environments and stdins as real runtimes have them; SPEC section 2."""

from cnisdk.conformance.check import Inapplicable, Level, check, expect
from cnisdk.conformance.checks.common import needs_delete, refused, specimen, succeeded
from cnisdk.conformance.checks.config import without_stdin
from cnisdk.conformance.world import EXTRA, World

_PROTOCOL = "Protocol parameters are passed to the plugins via OS environment variables."
_STDIN = (
    "The runtime will provide a JSON-serialized plugin configuration object (defined below) on "
    "standard in."
)

KUBERNETES = (
    "K8S_POD_NAME=pod1;K8S_POD_INFRA_CONTAINER_ID=3c11b5583540;"
    "K8S_POD_UID=11111111-2222-3333-4444-555555555555;IgnoreUnknown=1;K8S_POD_NAMESPACE=ns1"
)
"""CNI_ARGS as containerd sets them."""


@check("surroundings/poor", Level.SHOULD, section="2, Parameters", quote=_PROTOCOL)
def poor(world: World) -> None:
    """ADD and DEL with CNI variables alone, no PATH and no HOME: they succeed."""
    specimen(world)  # or ADD does not work at all
    needs_delete(world)
    poverty: dict[str, str | None] = dict.fromkeys(("PATH", "HOME", *EXTRA))
    attachment = world.prepare(world.config(**world.masquerading()), environ=poverty)
    succeeded(world.add(attachment), "ADD with CNI variables alone")
    succeeded(world.delete(attachment), "DEL with CNI variables alone")


@check(
    "surroundings/kubernetes",
    Level.SHOULD,
    section="2, Parameters",
    quote="CNI_ARGS: Extra arguments passed in by the user at invocation time. Alphanumeric "
    'key-value pairs separated by semicolons; for example, "FOO=BAR;ABC=123"',
)
def kubernetes(world: World) -> None:
    """ADD with the variables of containerd's CRI service: it succeeds."""
    specimen(world)  # or ADD does not work at all
    environ = {
        "PATH": "/opt/containerd/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LD_LIBRARY_PATH": "/opt/containerd/lib:",
        "CNI_ARGS": KUBERNETES,
    }
    done = world.add(world.prepare(environ=environ))
    succeeded(done, "ADD with the variables of containerd")


@check("surroundings/big-stdin", Level.MUST, section="2, ADD, Input", quote=_STDIN)
def big_stdin(world: World) -> None:
    """ADD with a configuration of one MiB: it succeeds."""
    specimen(world)  # or ADD does not work at all
    config = world.config(conformanceKey="x" * (1 << 20))
    done = world.add(world.prepare(config))
    if not done.ok and done.object().get("code") == 2:
        raise Inapplicable("the plugin refuses keys that it does not know")
    succeeded(done, "ADD with a configuration of one MiB")


@check(
    "surroundings/closed-stdin",
    Level.MUST,
    section="5, Error",
    quote="5: I/O failure. For example, failed to read network config bytes from stdin.",
)
def closed_stdin(world: World) -> None:
    """ADD without a stdin: an error, no crash."""
    done = without_stdin(world)
    refused(done, "ADD with a closed stdin")
    expect(done.status > 0, f"ADD with a closed stdin: {done.ending()}")
