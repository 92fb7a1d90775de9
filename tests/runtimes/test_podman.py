"""Podman starts containers on our bridge and host-local."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.runtimes.machine import BRIDGE, GATEWAY, MTU, NETWORK, Machine
from tests.runtimes.podman import Podman
from tests.runtimes.unchanged import unchanged

pytestmark = pytest.mark.runtime("podman", "runc", "conmon", "busybox")

SERVE = "exec httpd -f -p 80 -h /www"


@pytest.fixture(scope="module")
def running(machine: Machine) -> Iterator[Podman]:
    podman = Podman(machine)
    # A bridge and the chains of portmap and firewall stay once they are there.
    podman.start("first", "--publish", "8079:80")
    podman.clear()
    yield podman
    podman.close()


@pytest.fixture
def podman(request: pytest.FixtureRequest, running: Podman) -> Iterator[Podman]:
    """Podman without containers; when they are gone again, all is as it was."""
    with unchanged(request.node, "podman", running):
        yield running


def test_containers_reach_one_another_and_the_gateway(podman: Podman) -> None:
    podman.start("c1")
    podman.start("c2")

    podman.exec("c1", "ping", "-c1", "-W5", podman.address("c2"))
    podman.exec("c2", "ping", "-c1", "-W5", podman.address("c1"))
    podman.exec("c1", "ping", "-c1", "-W5", GATEWAY)

    assert podman.machine.reserved() == sorted([podman.address("c1"), podman.address("c2")])
    assert f"mtu {MTU}" in podman.exec("c1", "ip", "link", "show", "eth0")
    ports = [link for link in podman.machine.links().values() if link.get("master") == BRIDGE]
    assert len(ports) == 2


def test_podman_knows_the_address_that_we_gave(podman: Podman) -> None:
    podman.start("c1")

    told = podman.inspect("c1")["Networks"][NETWORK]

    assert told["IPAddress"] == podman.address("c1")
    assert told["Gateway"] == GATEWAY


def test_a_published_port_is_reached(podman: Podman) -> None:
    podman.start("c1", "--publish", "8080:80", command=SERVE)

    assert podman.machine.http(8080) == "served\n"


def test_address_mac_and_interface_are_those_that_were_asked_for(podman: Podman) -> None:
    options = "ip=10.66.1.50,mac=aa:bb:cc:dd:ee:0f,interface_name=net7"

    podman.start("c1", "--network", f"{NETWORK}:{options}")

    seen = podman.exec("c1", "ip", "addr", "show", "net7")
    assert "inet 10.66.1.50/24" in seen
    assert "link/ether aa:bb:cc:dd:ee:0f" in seen


def test_an_address_that_is_taken_is_refused(podman: Podman) -> None:
    podman.start("c1", "--ip", "10.66.1.50")

    refused = podman(
        "run", "--network", NETWORK, "--ip", "10.66.1.50", "localhost/busybox", "true", check=False
    )

    assert refused.returncode != 0
    assert "10.66.1.50" in refused.stderr
    assert podman.machine.reserved() == ["10.66.1.50"]
    assert podman.address("c1") == "10.66.1.50"


def test_a_container_that_ends_by_itself_leaves_nothing(podman: Podman) -> None:
    before = podman.machine.snapshot()

    ident = podman.start("c1", "--publish", "8080:80", command="ip -4 addr show eth0; exit 3")
    status = podman("wait", "c1").stdout.strip()
    podman("container", "cleanup", "c1")  # waits for the one that conmon has started

    assert status == "3"
    assert "inet 10.66.1." in podman("logs", "c1").stdout
    assert len(podman.machine.witness.calls("DEL", ident)) == 1
    assert podman.machine.snapshot() == before


def test_an_add_that_fails_in_a_later_plugin_leaves_nothing(podman: Podman) -> None:
    before = podman.machine.snapshot()
    podman.machine.witness.fail(failing=True)

    failed = podman(
        *("run", "--rm", "--network", NETWORK, "--publish", "8080:80"),
        *("localhost/busybox", "true"),
        check=False,
    )

    assert failed.returncode != 0
    assert "told to fail" in failed.stderr
    assert podman.machine.snapshot() == before


def test_networks_can_be_reloaded(podman: Podman) -> None:
    podman.start("c1", "--publish", "8080:80", command=SERVE)
    podman.start("c2")
    podman.machine.run("iptables", "-t", "nat", "-F")  # why people do it
    before = podman.address("c1")

    podman("network", "reload", "--all")

    assert podman.address("c1") == before
    podman.exec("c2", "ping", "-c1", "-W5", podman.address("c1"))
    assert podman.machine.http(8080) == "served\n"
    assert len(podman.machine.reserved()) == 2


def test_a_container_can_be_stopped_and_started(podman: Podman) -> None:
    podman.start("c1", "--publish", "8080:80", command=SERVE)

    podman("restart", "--time", "0", "c1")
    podman.started += 1

    podman.exec("c1", "ping", "-c1", "-W5", GATEWAY)
    assert podman.machine.http(8080) == "served\n"
    assert podman.machine.reserved() == [podman.address("c1")]


def test_a_network_can_be_left_and_joined(podman: Podman) -> None:
    podman.start("c1")

    podman("network", "disconnect", NETWORK, "c1")

    assert podman.machine.reserved() == []
    assert "eth0" not in podman.exec("c1", "ip", "link")
    podman("network", "connect", NETWORK, "c1")
    podman.exec("c1", "ping", "-c1", "-W5", GATEWAY)


def test_many_can_start_at_once(podman: Podman) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(podman.start, ("c1", "c2", "c3", "c4")))

    assert len(podman.machine.reserved()) == 4


def test_nothing_is_left_at_the_end(running: Podman) -> None:
    running.close()

    assert running.machine.left() == {}
    # Podman's own.
    assert [path for path in running.machine.written() if "containers/cache" not in path] == []
