"""containerd starts pods on our bridge and host-local, as for a kubelet."""

from collections.abc import Iterator

import pytest

from tests.netns.agent.agents import eventually
from tests.runtimes.cri import CRI, RefusedError
from tests.runtimes.machine import GATEWAY, Machine
from tests.runtimes.podman import address_in
from tests.runtimes.unchanged import unchanged

pytestmark = pytest.mark.runtime("containerd", "ctr", "runc", "busybox")

SLEEP = ("sleep", "600")
SERVE = ("httpd", "-f", "-p", "80", "-h", "/www")


@pytest.fixture(scope="module")
def running(machine: Machine) -> Iterator[CRI]:
    cri = CRI(machine)
    cri.pod("first", ports={8079: 80})
    cri.clear()
    yield cri
    cri.clear()
    cri.close()


@pytest.fixture
def cri(request: pytest.FixtureRequest, running: CRI) -> Iterator[CRI]:
    """A runtime without pods; when they are gone again, all is as it was."""
    with unchanged(request.node, "CRI", running):
        yield running


def test_pods_reach_one_another_and_the_gateway(cri: CRI) -> None:
    pods = [cri.pod("one"), cri.pod("two")]
    one, two = (cri.container(pod, *SLEEP) for pod in pods)
    addresses = [cri.address(pod) for pod in pods]

    cri.exec(one, "ping", "-c1", "-W5", addresses[1])
    cri.exec(two, "ping", "-c1", "-W5", addresses[0])
    cri.exec(one, "ping", "-c1", "-W5", GATEWAY)

    assert [address_in(cri.exec(name, "ip", "addr")) for name in (one, two)] == addresses
    assert cri.machine.reserved() == sorted(addresses)


def test_a_published_port_is_reached(cri: CRI) -> None:
    cri.container(cri.pod("one", ports={8080: 80}), *SERVE)

    assert cri.machine.http(8080) == "served\n"


def test_containers_of_a_pod_share_its_network(cri: CRI) -> None:
    pod = cri.pod("one")
    cri.container(pod, *SERVE)
    other = cri.container(pod, *SLEEP)

    eventually(lambda: "served" in cri.exec(other, "sh", "-c", "wget -qO- 127.0.0.1 || true"))
    assert len(cri.machine.reserved()) == 1


def test_a_container_that_ends_by_itself_leaves_the_network_to_its_pod(cri: CRI) -> None:
    pod = cri.pod("one")
    ended = cri.container(pod, "true")
    eventually(lambda: cri.state(ended) == "CONTAINER_EXITED")

    assert cri.machine.reserved() == [cri.address(pod)]
    cri.exec(cri.container(pod, *SLEEP), "ping", "-c1", "-W5", GATEWAY)


def test_del_comes_again_without_a_namespace(cri: CRI) -> None:
    before = cri.machine.snapshot()
    pod = cri.pod("one", ports={8080: 80})

    cri.stop(pod)
    cri.stop(pod)
    cri.remove(pod)

    first, *others = cri.machine.witness.calls("DEL", pod)
    assert first["CNI_NETNS"] != ""
    assert others
    assert {call["CNI_NETNS"] for call in others} == {""}
    assert cri.machine.snapshot() == before


def test_an_add_that_fails_in_a_later_plugin_leaves_nothing(cri: CRI) -> None:
    before = cri.machine.snapshot()
    cri.machine.witness.fail(failing=True)

    with pytest.raises(RefusedError, match="told to fail"):
        cri.pod("one", ports={8080: 80})

    assert cri.machine.snapshot() == before
    cri.machine.witness.fail(failing=False)
    cri.exec(cri.container(cri.pod("one"), *SLEEP), "ping", "-c1", "-W5", GATEWAY)


def test_containerd_can_be_restarted_in_between(cri: CRI) -> None:
    before = cri.machine.snapshot()
    pod = cri.pod("one", ports={8080: 80})
    container = cri.container(pod, *SLEEP)

    cri.daemon.kill()
    cri.daemon.start()

    cri.exec(container, "ping", "-c1", "-W5", GATEWAY)
    other = cri.pod("two")
    assert cri.machine.reserved() == sorted([cri.address(pod), cri.address(other)])
    cri.clear()
    assert cri.machine.snapshot() == before


def test_a_pod_ends_after_somebody_took_its_link_away(cri: CRI) -> None:
    pod = cri.pod("one")
    container = cri.container(pod, *SLEEP)
    cri.exec(container, "ip", "link", "show", "eth0")
    (port,) = [name for name in cri.machine.links() if name.startswith("veth")]
    cri.machine.run("ip", "link", "delete", port)

    cri.stop(pod)

    assert cri.machine.reserved() == []


def test_nothing_is_left_at_the_end(running: CRI) -> None:
    running.clear()
    running.close()

    assert running.machine.left() == {}
    assert running.machine.written() == []
