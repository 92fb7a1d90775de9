"""The story of a trial, step by step; the first thing that goes wrong ends it."""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import click

from cnisdk.cli.paint import paint
from cnisdk.cli.trial.echo import ping
from cnisdk.cli.trial.steps import step
from cnisdk.conformance.state import WATCHED, files_of
from cnisdk.node.doctor.node import Node
from cnisdk.node.places import Places
from cnisdk.node.root import Root
from cnisdk.picture import tree
from cnisdk.picture.scene import Card, scene
from cnisdk.picture.survey import survey
from cnisdk.runtime import AttachmentParameters, Cache, NetworkConfig, Runtime, load
from cnisdk.types import _json

if sys.platform == "linux":
    from cnisdk.net import addr, link, netns, route
    from cnisdk.net.netns import NetNS
    from cnisdk.net.rtnl import RTNL

STATE = Path("/run/cnisdk-trial")
CONTAINERS = {"blue": "cnisdk-trial-blue", "green": "cnisdk-trial-green"}
"""Name: CNI_CONTAINERID."""

TIMEOUT = 20.0  # seconds for one plugin


class WrongError(Exception):
    """The kernel or the disk is not what it should be."""


class Stage:
    """The private host with everything that the steps use."""

    def __init__(self, dirs: Sequence[str], containers: "dict[str, NetNS]") -> None:
        self.containers = containers
        self.cache = Cache(str(STATE / "cache"))
        self.runtime = Runtime(dirs, cache=self.cache, timeout=TIMEOUT)
        self.results: dict[str, dict[str, Any]] = {}

    @staticmethod
    def attachment(name: str) -> AttachmentParameters:
        """Return what the runtime's side is told about a container."""
        return AttachmentParameters(
            container_id=CONTAINERS[name], ifname="eth0", netns=f"/run/netns/{name}"
        )

    def addresses(self, name: str) -> list[str]:
        """Return the addresses that ADD reported."""
        return [ip["address"] for ip in self.results[name].get("ips", ())]

    def gateways(self, name: str) -> list[str]:
        """Return the gateways that ADD reported."""
        return [ip["gateway"] for ip in self.results[name].get("ips", ()) if ip.get("gateway")]


def tell(path: str, dirs: Sequence[str]) -> None:
    """Attach to the network in the file ``path``, ping, check, detach, look for what is left.

    ``dirs`` have the plugins.  Raises `WrongError`, OSError or CNIError at the first thing that
    goes wrong.
    """
    start = time.perf_counter()
    click.echo(click.style("\nTwo containers on a network", bold=True))
    click.echo("on a host of their own; the network of this machine is out of reach\n")
    with step("read the network") as doing:
        network = _network(path)
        types = [" + ".join(filter(None, (p.type, p.ipam_type))) for p in network.plugins]
        doing.outcome = f"{network.name}, CNI {network.cni_version}: {', '.join(types)}"
    with _stage(dirs) as stage:
        before = _links(), _container_state(stage)
        _attach(stage, network)
        _ping(stage)
        click.echo()
        for text in tree.lines(_scene(stage, network), paint):
            click.echo(text)
        click.echo()
        _check(stage, network)
        _detach(stage, network, before)
    click.echo(f"\nAll of it in {time.perf_counter() - start:.1f} s.")


@contextmanager
def _stage(dirs: Sequence[str]) -> Iterator[Stage]:
    with ExitStack() as stack:
        with step("make two containers") as doing:
            opened = {}
            for name in CONTAINERS:
                path = f"/run/netns/{name}"
                netns.create(path)
                stack.callback(netns.delete, path)
                opened[name] = stack.enter_context(NetNS.open(path))
            doing.outcome = "  ".join(entry.path for entry in opened.values())
        yield Stage(dirs, opened)


def _network(path: str) -> NetworkConfig:
    """Read the configuration; without host-local's IPv6 ranges on a kernel that has no IPv6."""
    network = load(path)
    if os.path.exists("/proc/sys/net/ipv6"):
        return network
    raw = _json.loads(Path(path).read_bytes())
    for plugin in raw.get("plugins", (raw,)):
        ipam = plugin.get("ipam", {})
        if "ranges" in ipam:
            ipam["ranges"] = [s for s in ipam["ranges"] if ":" not in s[0]["subnet"]]
    STATE.mkdir(exist_ok=True)
    without = STATE / Path(path).name
    without.write_text(_json.dumps(raw), encoding="utf-8")
    return load(str(without))


def _attach(stage: Stage, network: NetworkConfig) -> None:
    for name in CONTAINERS:
        with step(f"ADD {name}") as doing:
            stage.results[name] = stage.runtime.add(network, stage.attachment(name))
            doing.outcome = "  ".join(stage.addresses(name))


def _ping(stage: Stage) -> None:
    one, other = CONTAINERS
    targets = {
        f"ping {one} → {other}": [str(ip_interface(a).ip) for a in stage.addresses(other)],
        f"ping {one} → gateway": stage.gateways(one),
    }
    for name, addresses in targets.items():
        if addresses:
            with step(name) as doing:
                answers = []
                for address in addresses:
                    took = ping(stage.containers[one], ip_address(address))
                    answers.append(f"{address} {took * 1000:.2f} ms")
                doing.outcome = "  ".join(answers)


def _scene(stage: Stage, network: NetworkConfig) -> Card:
    """Return what the kernel has: bridges, their ports, and the containers behind them."""
    nowhere = str(STATE / "none")
    configured = STATE / "networks"
    configured.mkdir(parents=True)
    shutil.copy(network.path, configured)
    node = Node(
        Root(),
        Places("", (), str(configured), "a trial"),
        cache_dir=stage.cache.directory,
        socket=nowhere,
        queue_dir=nowhere,
    )
    picture = survey(node)
    picture.host = "host"
    for end in picture.ends:
        end.name = os.path.basename(end.netns)
    return scene(picture)


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
        left = _links() - links
        left |= _container_state(stage) - container_state
        roots = [Path(path) for path in WATCHED]
        for container_id in CONTAINERS.values():
            left |= {f"file {path}" for path in files_of(container_id, roots, STATE / "none")}
        if left:
            raise WrongError(f"left behind: {', '.join(sorted(left))}")
        doing.outcome = "no port, address, reservation or result"


def _links() -> frozenset[str]:
    """Return every link but bridges, which stay, as those of the Go plugin do: for the next ADD."""
    with RTNL() as host:
        return frozenset(f"link {found.name}" for found in link.dump(host) if not _stays(found))


def _stays(found: "link.Link") -> bool:
    return found.kind == "bridge"


def _container_state(stage: Stage) -> frozenset[str]:
    """Return every link, address and route in the containers."""
    state = set()
    for name, container in stage.containers.items():
        with RTNL(container) as rtnl:
            state |= {f"link {found.name} in {name}" for found in link.dump(rtnl)}
            state |= {f"address {entry.address} in {name}" for entry in addr.dump(rtnl)}
            state |= {f"{route.describe(entry)} in {name}" for entry in route.dump(rtnl)}
    return frozenset(state)
