"""Nothing that somebody else made is taken away: on a real kernel, with our plugins."""

import json
import os
import subprocess
import threading
from typing import Any

import pytest

from cnisdk.call import AttachmentKey
from cnisdk.errors import CNIError
from cnisdk.runtime import AttachmentParameters, Cache, ExecutionError, NetworkConfig, Runtime
from tests.host import OURS, Container, Host


@pytest.fixture
def runtime(host: Host) -> Runtime:
    return Runtime([OURS], cache=Cache(str(host.state / "cni")), timeout=30)


@pytest.fixture
def network(host: Host) -> NetworkConfig:
    ipam = {"type": "host-local", "dataDir": str(host.state / "kept"), "subnet": "10.99.0.0/24"}
    bridge = {"type": "bridge", "bridge": "cni9", "isGateway": True, "ipam": ipam}
    wire = {"cniVersion": "1.1.0", "name": "blue", "plugins": [bridge]}
    return NetworkConfig.parse(json.dumps(wire).encode())


def parameters(container: Container, **changes: Any) -> AttachmentParameters:
    said = {"container_id": container.id, "ifname": "eth0", "netns": container.path, **changes}
    return AttachmentParameters(**said)


def interfaces(container: Container) -> list[str]:
    return [link["ifname"] for link in container.json("ip", "link")]


def kept(host: Host) -> list[str]:
    return sorted(path.name for path in (host.state / "kept" / "blue").glob("10.*"))


def test_an_interface_of_others_survives_an_add_that_it_makes_fail(
    host: Host, runtime: Runtime, network: NetworkConfig
) -> None:
    container = host.container()
    container.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "theirs")

    with host.inside(), pytest.raises(ExecutionError, match="already has"):
        runtime.add(network, parameters(container))

    assert {"eth0", "theirs"} <= set(interfaces(container))
    assert kept(host) == []


def test_of_two_adds_at_once_one_attaches_the_container(
    host: Host, runtime: Runtime, network: NetworkConfig
) -> None:
    container = host.container()
    failures: list[str] = []

    def add() -> None:
        with host.inside():
            try:
                runtime.add(network, parameters(container))
            except CNIError as err:
                failures.append(type(err).__name__)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == ["AlreadyAttachedError"] * 3
    assert "eth0" in interfaces(container)
    assert kept(host) == ["10.99.0.2"]
    assert sorted(path.name for path in (host.state / "cni" / "results").iterdir()) == [
        f"blue-{container.id}-eth0"
    ]


def test_gc_takes_nothing_from_who_has_the_number_of_a_process_now(
    host: Host, runtime: Runtime, network: NetworkConfig
) -> None:
    old, live = host.container(), host.container()
    argv = ["nsenter", f"--net={live.path}", "cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process, host.inside():
        runtime.add(network, parameters(live))
        runtime.add(network, parameters(old))
        (entry,) = runtime.cache.attachments(old.id)
        eventually_in(live, process.pid)
        by_process = parameters(old, netns=f"/proc/{process.pid}/ns/net")
        runtime.cache.write(network, by_process, dict(entry.result))

        runtime.gc(network, [AttachmentKey(live.id, "eth0")])

    assert "eth0" in interfaces(live)
    assert runtime.cache.attachments(old.id) == []
    assert kept(host) == ["10.99.0.2"]


def eventually_in(container: Container, pid: int) -> None:
    """Wait until a process has entered a container."""
    while not os.path.samefile(f"/proc/{pid}/ns/net", container.path):
        os.sched_yield()
