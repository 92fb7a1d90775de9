"""The story that the demo tells, step by step; the first thing that goes wrong ends it."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import click

from cnisdk.conformance import private
from cnisdk.net import addr, link, netns, route
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL
from cnisdk.runtime import AttachmentParameters, Cache, NetworkConfig, Runtime, scan
from cnisdk.types import _json
from demo import tree
from demo.echo import ping
from demo.steps import step

CONFIGURATIONS = Path(__file__).parent / "net.d"
STATE = Path("/run/cnisdk-demo")
RESERVATIONS = STATE / "networks"
CONTAINERS = ("blue", "green")
TIMEOUT = 20.0  # seconds for one plugin


class WrongError(Exception):
    """The kernel or the disk is not what it should be."""


class Stage:
    """The private host with everything that the steps use."""

    def __init__(self, plugins: Path, containers: dict[str, NetNS]) -> None:
        self.containers = containers
        self.cache = Cache(str(STATE / "cache"))
        self.runtime = Runtime([str(plugins.resolve())], cache=self.cache, timeout=TIMEOUT)
        self.results: dict[str, dict[str, Any]] = {}

    @staticmethod
    def attachment(name: str) -> AttachmentParameters:
        """Return what the runtime's side is told about a container."""
        return AttachmentParameters(container_id=name, ifname="eth0", netns=f"/run/netns/{name}")

    def addresses(self, name: str) -> list[str]:
        """Return the addresses that ADD reported."""
        return [ip["address"] for ip in self.results[name]["ips"]]

    def gateways(self) -> list[str]:
        """Return the gateways that the first ADD reported."""
        return [ip["gateway"] for ip in self.results[CONTAINERS[0]]["ips"]]


def tell(plugins: Path) -> None:
    """Build, ping, check, detach, and look for what is left.

    Raises `WrongError`, OSError or CNIError at the first thing that goes wrong.
    """
    start = time.perf_counter()
    click.echo(click.style("\nTwo containers on a bridge", bold=True))
    click.echo("on a host of their own; the network of this machine is out of reach\n")
    with _stage(plugins) as stage:
        with step("read the network") as doing:
            network = _network()
            types = [f"{plugin.type} + {plugin.ipam_type}" for plugin in network.plugins]
            doing.outcome = f"{network.name}, CNI {network.cni_version}: {', '.join(types)}"
        before = _links(), _container_state(stage)
        _attach(stage, network)
        _ping(stage)
        click.echo()
        for text in tree.lines(tree.host([*stage.containers.values()])):
            click.echo(text)
        click.echo()
        _check(stage, network)
        _detach(stage, network, before)
    click.echo(f"\nAll of it in {time.perf_counter() - start:.1f} s.")


@contextmanager
def _stage(plugins: Path) -> Iterator[Stage]:
    with step("make a host") as doing:
        private.prepare()
        doing.outcome = "user, network and mount namespace"
    with ExitStack() as stack:
        with step("make two containers") as doing:
            opened = {}
            for name in CONTAINERS:
                path = f"/run/netns/{name}"
                netns.create(path)
                opened[name] = stack.enter_context(NetNS.open(path))
            doing.outcome = "  ".join(entry.path for entry in opened.values())
        yield Stage(plugins, opened)


def _network() -> NetworkConfig:
    """Read the configuration; without its IPv6 range on a kernel that has no IPv6."""
    if os.path.exists("/proc/sys/net/ipv6"):
        return scan(str(CONFIGURATIONS)).find("demo")
    directory = STATE / "net.d"
    directory.mkdir(parents=True)
    for path in CONFIGURATIONS.glob("*.conflist"):
        raw = _json.loads(path.read_bytes())
        ipam = raw["plugins"][0]["ipam"]
        ipam["ranges"] = [s for s in ipam["ranges"] if ":" not in s[0]["subnet"]]
        (directory / path.name).write_text(_json.dumps(raw), encoding="utf-8")
    return scan(str(directory)).find("demo")


def _attach(stage: Stage, network: NetworkConfig) -> None:
    for name in CONTAINERS:
        with step(f"ADD {name}") as doing:
            stage.results[name] = stage.runtime.add(network, stage.attachment(name))
            doing.outcome = "  ".join(stage.addresses(name))


def _ping(stage: Stage) -> None:
    one, other = CONTAINERS
    targets = {
        f"ping {one} → {other}": [str(ip_interface(a).ip) for a in stage.addresses(other)],
        f"ping {one} → gateway": stage.gateways(),
    }
    for name, addresses in targets.items():
        with step(name) as doing:
            answers = []
            for address in addresses:
                took = ping(stage.containers[one], ip_address(address))
                answers.append(f"{address} {took * 1000:.2f} ms")
            doing.outcome = "  ".join(answers)


def _check(stage: Stage, network: NetworkConfig) -> None:
    for name in CONTAINERS:
        with step(f"CHECK {name}") as doing:
            stage.runtime.check(network, stage.attachment(name))
            doing.outcome = "as the result of ADD says"


def _detach(
    stage: Stage,
    network: NetworkConfig,
    before: tuple[frozenset[str], frozenset[str]],
) -> None:
    for name in CONTAINERS:
        with step(f"DEL {name}") as doing:
            stage.runtime.delete(network, stage.attachment(name))
            doing.outcome = "detached"
    with step("look for what is left") as doing:
        links, container_state = before
        # No DEL removes the bridge, nor does that of the Go plugin: the next ADD wants it again.
        left = _links() - links - {"link cni0"}
        left |= _container_state(stage) - container_state
        left |= {f"reservation {path}" for path in _reservations()}
        left |= {f"cached result {entry.path}" for entry in stage.cache.attachments()}
        if left:
            raise WrongError(f"left behind: {', '.join(sorted(left))}")
        doing.outcome = "no port, address, reservation or result"


def _links() -> frozenset[str]:
    with RTNL() as host:
        return frozenset(f"link {found.name}" for found in link.dump(host))


def _container_state(stage: Stage) -> frozenset[str]:
    """Return every link, address and route in the containers."""
    state = set()
    for name, container in stage.containers.items():
        with RTNL(container) as rtnl:
            state |= {f"link {found.name} in {name}" for found in link.dump(rtnl)}
            state |= {f"address {entry.address} in {name}" for entry in addr.dump(rtnl)}
            state |= {f"{route.describe(entry)} in {name}" for entry in route.dump(rtnl)}
    return frozenset(state)


def _reservations() -> list[Path]:
    """Return the files that hold an address: all but host-local's lock and round-robin marks."""
    files = [path for path in RESERVATIONS.rglob("*") if path.is_file()]
    return [p for p in files if p.name != "lock" and not p.name.startswith("last_reserved_ip.")]
