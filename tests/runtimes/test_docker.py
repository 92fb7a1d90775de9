"""Containers of Docker's are attached to our bridge and host-local by hand."""

import json
from collections.abc import Iterator

import pytest

from tests.runtimes.docker import Docker
from tests.runtimes.machine import BRIDGE, GATEWAY, Machine
from tests.runtimes.podman import address_in
from tests.runtimes.unchanged import unchanged

pytestmark = pytest.mark.runtime("docker", "dockerd", "containerd", "runc", "busybox")

SLEEP = ("sleep", "600")
SERVE = ("httpd", "-f", "-p", "80", "-h", "/www")


def published(outer: int, inner: int) -> tuple[str, str]:
    """Return the options that publish a port."""
    mapping = {"hostPort": outer, "containerPort": inner, "protocol": "tcp"}
    return "--capability-args", json.dumps({"portMappings": [mapping]})


@pytest.fixture(scope="module")
def running(machine: Machine) -> Iterator[Docker]:
    docker = Docker(machine)
    docker.start("first", *SLEEP)
    docker.attach("first", *published(8079, 80))
    docker.clear()
    yield docker
    docker.clear()
    docker.close()


@pytest.fixture
def docker(request: pytest.FixtureRequest, running: Docker) -> Iterator[Docker]:
    """Docker without containers; when they are gone again, all is as it was."""
    with unchanged(request.node, "Docker", running):
        yield running


def test_containers_reach_one_another_and_the_gateway(docker: Docker) -> None:
    addresses = []
    for name in ("c1", "c2"):
        docker.start(name, *SLEEP)
        result = docker.attach(name)
        addresses.append(result["ips"][0]["address"].partition("/")[0])

    docker.exec("c1", "ping", "-c1", "-W5", addresses[1])
    docker.exec("c2", "ping", "-c1", "-W5", addresses[0])
    docker.exec("c1", "ping", "-c1", "-W5", GATEWAY)

    assert [address_in(docker.exec(name, "ip", "addr")) for name in ("c1", "c2")] == addresses


def test_a_published_port_is_reached(docker: Docker) -> None:
    docker.start("c1", *SERVE)

    docker.attach("c1", *published(8080, 80))

    assert docker.machine.http(8080) == "served\n"


def test_address_and_mac_are_those_that_were_asked_for(docker: Docker) -> None:
    docker.start("c1", *SLEEP)

    docker.attach("c1", "--args", "IgnoreUnknown=1;IP=10.66.1.50;MAC=aa:bb:cc:dd:ee:0f")

    seen = docker.exec("c1", "ip", "addr", "show", "eth0")
    assert "inet 10.66.1.50/24" in seen
    assert "link/ether aa:bb:cc:dd:ee:0f" in seen


def test_a_container_is_attached_by_the_verb_and_its_name(docker: Docker) -> None:
    docker.start("c1", *SLEEP)
    bridge = str(docker.machine.plugins / "bridge")
    path = ("--cni-path", str(docker.machine.plugins))
    config = ("--config", str(docker.machine.configs / "10-net1.conflist"))

    added = docker.machine.run(bridge, "add", "c1", "docker:c1", *config, *path, env=docker.env)

    address = json.loads(added.stdout)["ips"][0]["address"]
    assert f"inet {address}" in docker.exec("c1", "ip", "addr", "show", "eth0")
    docker.exec("c1", "ping", "-c1", "-W5", GATEWAY)
    docker.machine.run(bridge, "del", "c1", "docker:c1", *config, *path, env=docker.env)
    assert docker.machine.reserved() == []
    assert "eth0" not in docker.exec("c1", "ip", "link")


def test_containers_share_the_network_of_one_that_is_attached(docker: Docker) -> None:
    docker.start("c1", *SLEEP)
    address = docker.attach("c1")["ips"][0]["address"]

    argv = ("run", "--rm", "--network=container:c1", "localhost/busybox", "ip", "addr")
    seen = docker(*argv).stdout

    docker.started += 1
    assert f"inet {address}" in seen


def test_a_container_that_has_ended_by_itself_is_detached(docker: Docker) -> None:
    before = docker.machine.snapshot()
    ident = docker.start("c1", "sh", "-c", "until [ -e /go ]; do usleep 10000; done")
    netns = docker.netns(ident)

    docker.attach(ident, *published(8080, 80))
    docker.exec(ident, "touch", "/go")
    docker("wait", ident)
    docker.detach(ident, netns)
    docker.detach(ident, netns)  # nobody has to know that it was done
    docker("rm", ident)

    assert docker.machine.snapshot() == before


def test_an_add_that_fails_in_a_later_plugin_leaves_nothing(docker: Docker) -> None:
    docker.start("c1", *SLEEP)
    before = docker.machine.snapshot()
    docker.machine.witness.fail(failing=True)

    failed = docker.attach("c1", *published(8080, 80), check=False)

    assert failed.returncode != 0
    assert "told to fail" in failed.stderr
    assert docker.machine.snapshot() == before
    assert "eth0" not in docker.exec("c1", "ip", "link")


def test_dockerd_can_be_restarted_in_between(docker: Docker) -> None:
    docker.start("c1", *SERVE)
    docker.attach("c1", *published(8080, 80))

    docker.daemon.kill()
    docker.daemon.start()

    assert docker.machine.http(8080) == "served\n"
    docker.exec("c1", "ping", "-c1", "-W5", GATEWAY)
    docker.clear()
    assert docker.machine.left().keys() <= {"processes"}  # the daemon's


def test_nothing_is_left_at_the_end(running: Docker) -> None:
    running.clear()
    running.close()

    assert running.machine.left() == {}
    assert running.machine.written() == []
    assert sorted(running.machine.links()) == [BRIDGE, "lo"]
