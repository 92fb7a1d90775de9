"""The hooks, in this process: a breakpoint stops where it should."""

from typing import Any

import pytest
from cnisdk.conformance.host import Container, Host
from cnisdk.conformance.in_process import Outcome, Runner

from {{ cookiecutter.package }} import {{ cookiecutter.class_name }}

PLUGIN = {{ cookiecutter.class_name }}

IPAM = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}],
"routes": [{"dst": "0.0.0.0/0"}]}'
"""


class Network:
    """A network with an IPAM plugin that always gives the same."""

    def __init__(self, host: Host, run: Runner, container: Container) -> None:
        self.host, self.container = host, container
        ipam = host.state / "fixed"
        ipam.write_text(IPAM)
        ipam.chmod(0o755)
        self._run = Runner(host, (str(host.state), *run.cni_path))
        self.config: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net",
            "type": "{{ cookiecutter.name }}",
            "ipam": {"type": "fixed"},
        }

    def call(self, command: str, **more: object) -> Outcome:
        config = {**self.config, **more}
        return self._run(PLUGIN, command, config, self.container)


@pytest.fixture
def network(cni_host: Host, cni_run: Runner, cni_container: Container) -> Network:
    return Network(cni_host, cni_run, cni_container)


def test_a_container_reaches_its_gateway(network: Network) -> None:
    assert network.call("ADD").status == 0

    network.container.run("ping", "-c", "1", "-W", "5", "10.1.0.1")


def test_two_addresses_may_have_one_gateway(network: Network) -> None:
    ipam = network.host.state / "fixed"
    both = '"10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "10.1.0.3/24", "gateway"'
    ipam.write_text(IPAM.replace('"10.1.0.2/24", "gateway"', both))

    result = network.call("ADD").json

    assert [ip["address"] for ip in result["ips"]] == ["10.1.0.2/24", "10.1.0.3/24"]
    network.container.run("ping", "-c", "1", "-W", "5", "-I", "10.1.0.3", "10.1.0.1")


def test_the_mtu_is_that_of_the_configuration(network: Network) -> None:
    result = network.call("ADD", mtu=1400).json

    assert network.container.links()["eth0"]["mtu"] == 1400
    assert [interface["mtu"] for interface in result["interfaces"]] == [1400, 1400]


def test_check_finds_a_link_that_is_down(network: Network) -> None:
    result = network.call("ADD").json
    network.container.run("ip", "link", "set", "eth0", "down")

    outcome = network.call("CHECK", prevResult=result)

    assert "eth0 is down" in outcome.json["details"]


def test_delete_leaves_nothing_and_may_be_repeated(network: Network) -> None:
    before = set(network.host.links())
    result = network.call("ADD").json

    assert [network.call("DEL", prevResult=result).status for _ in range(2)] == [0, 0]
    assert set(network.host.links()) == before


def test_an_add_that_fails_leaves_nothing(network: Network) -> None:
    before = set(network.host.links())
    network.config["ipam"] = {"type": "missing"}

    assert network.call("ADD").status == 1
    assert set(network.host.links()) == before
    assert "eth0" not in network.container.links()
