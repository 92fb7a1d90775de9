"""The hooks, in this process: a breakpoint stops where it should."""

from pathlib import Path
from typing import Any

import pytest
from cnisdk.conformance.host import Container, Host
from cnisdk.conformance.in_process import Outcome, Runner

from {{ cookiecutter.package }} import {{ cookiecutter.class_name }}

PLUGIN = {{ cookiecutter.class_name }}


class Network:
    """A network with two addresses to give."""

    def __init__(self, host: Host, run: Runner) -> None:
        self.host, self._run = host, run
        self.reservations = host.state / "reservations" / "net"
        self.config: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net",
            "type": "whoever-delegates",
            "ipam": {
                "type": "{{ cookiecutter.name }}",
                "subnet": "10.1.0.0/29",
                "dataDir": str(host.state / "reservations"),
            },
        }

    def call(self, command: str, container: Container | None = None, **more: object) -> Outcome:
        return self._run(PLUGIN, command, {**self.config, **more}, container)

    def address(self, container: Container) -> str:
        result = self.call("ADD", container).json
        address: str = result["ips"][0]["address"]
        return address

    def taken(self) -> set[str]:
        return {path.name for path in Path(self.reservations).iterdir() if path.name != "lock"}


@pytest.fixture
def network(cni_host: Host, cni_run: Runner) -> Network:
    return Network(cni_host, cni_run)


def test_each_container_gets_an_address_of_its_own(network: Network) -> None:
    given = [network.address(network.host.container()) for _ in range(5)]

    assert given == [f"10.1.0.{number}/29" for number in (2, 3, 4, 5, 6)]


def test_the_last_address_is_the_last(network: Network) -> None:
    for _ in range(5):
        network.address(network.host.container())

    assert network.call("ADD", network.host.container()).json["msg"] == "no address is free"
    assert network.call("STATUS").json["code"] == 50


def test_a_released_address_is_given_again(network: Network) -> None:
    container = network.host.container()
    network.address(container)

    assert [network.call("DEL", container).status for _ in range(2)] == [0, 0]
    assert network.taken() == set()
    assert network.address(network.host.container()) == "10.1.0.2/29"


def test_check_finds_a_lost_reservation(network: Network) -> None:
    container = network.host.container()
    network.address(container)
    assert network.call("CHECK", container).status == 0
    (network.reservations / "10.1.0.2").unlink()

    assert network.call("CHECK", container).status == 1


def test_gc_releases_what_is_no_longer_valid(network: Network) -> None:
    kept, gone = network.host.container(), network.host.container()
    network.address(kept)
    network.address(gone)
    valid = [{"containerID": kept.id, "ifname": "eth0"}]
    network.config["cni.dev/valid-attachments"] = valid

    assert network.call("GC").status == 0
    assert network.taken() == {"10.1.0.2"}


def test_without_a_subnet_there_is_no_address(network: Network) -> None:
    del network.config["ipam"]["subnet"]

    assert network.call("ADD", network.host.container()).json["code"] == 7
