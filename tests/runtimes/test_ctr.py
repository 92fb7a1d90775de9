"""containerd's ctr starts containers on our bridge and host-local."""

from collections.abc import Iterator

import pytest

from tests.runtimes.containerd import Ctr
from tests.runtimes.machine import GATEWAY, Machine
from tests.runtimes.podman import address_in
from tests.runtimes.unchanged import unchanged

pytestmark = pytest.mark.runtime("containerd", "ctr", "runc", "busybox")


@pytest.fixture(scope="module")
def running(machine: Machine) -> Iterator[Ctr]:
    ctr = Ctr(machine)
    ctr.run("first", "true")
    yield ctr
    ctr.clear()
    ctr.close()


@pytest.fixture
def ctr(request: pytest.FixtureRequest, running: Ctr) -> Iterator[Ctr]:
    """ctr without containers; when they are gone again, all is as it was."""
    with unchanged(request.node, "ctr", running):
        yield running


def test_containers_reach_one_another_and_the_gateway(ctr: Ctr) -> None:
    ctr.start("c1", "sleep", "600")
    ctr.start("c2", "sleep", "600")
    addresses = [address_in(ctr.exec(name, "ip", "addr")) for name in ("c1", "c2")]

    ctr.exec("c1", "ping", "-c1", "-W5", addresses[1])
    ctr.exec("c2", "ping", "-c1", "-W5", addresses[0])
    ctr.exec("c1", "ping", "-c1", "-W5", GATEWAY)

    assert ctr.machine.reserved() == sorted(addresses)


def test_a_container_that_ends_by_itself_leaves_nothing(ctr: Ctr) -> None:
    before = ctr.machine.snapshot()

    done = ctr.run("c1", "sh", "-c", f"ip addr show eth0; ping -c1 -W5 {GATEWAY}")

    assert "inet 10.66.1." in done.stdout
    assert ctr.machine.snapshot() == before


def test_the_namespace_is_gone_when_del_comes(ctr: Ctr) -> None:
    ctr.start("killed", "sleep", "600")

    ctr.end("killed")

    (call,) = ctr.machine.witness.calls("DEL", "default-killed")
    assert call["CNI_NETNS"] == ""
    assert call["prevResult"] is not None
    assert ctr.machine.reserved() == []


def test_an_add_that_fails_in_a_later_plugin_leaves_nothing(ctr: Ctr) -> None:
    before = ctr.machine.snapshot()
    ctr.machine.witness.fail(failing=True)

    failed = ctr.run("c1", "true", check=False)

    assert failed.returncode != 0
    assert "told to fail" in failed.stderr
    after = ctr.machine.snapshot()
    for kind in ("links", "routes", "nft", "iptables", "state"):
        assert after[kind] == before[kind]


def test_containerd_can_be_restarted_in_between(ctr: Ctr) -> None:
    ctr.run("c1", "true")

    ctr.daemon.kill()
    ctr.daemon.start()

    assert "1 packets received" in ctr.run("c1", "ping", "-c1", "-W5", GATEWAY).stdout


def test_nothing_is_left_at_the_end(running: Ctr) -> None:
    running.clear()
    running.close()

    assert running.machine.left() == {}
    assert running.machine.written() == []
