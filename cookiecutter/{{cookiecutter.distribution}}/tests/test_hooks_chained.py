"""The hooks, in this process: a breakpoint stops where it should."""

from typing import Any

import pytest
from cnisdk.conformance.host import Container
from cnisdk.conformance.in_process import Outcome, Runner

from {{ cookiecutter.package }} import {{ cookiecutter.class_name }}

PLUGIN = {{ cookiecutter.class_name }}
CLOUD = "169.254.169.254"


class Chain:
    """A container with an interface, and the plugin that follows in the chain."""

    def __init__(self, run: Runner, container: Container) -> None:
        self._run, self.container = run, container
        container.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
        container.run("ip", "link", "set", "eth0", "up")
        container.run("ip", "link", "set", "other", "up")
        container.run("ip", "route", "add", "default", "dev", "eth0")
        self.config: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net",
            "type": "{{ cookiecutter.name }}",
            "prevResult": {
                "cniVersion": "1.1.0",
                "interfaces": [{"name": "eth0", "sandbox": container.path}],
                "note": "of another plugin",
            },
        }

    def call(self, command: str, *, ifname: str = "eth0", **more: object) -> Outcome:
        config = {**self.config, **more}
        return self._run(PLUGIN, command, config, self.container, ifname=ifname)

    def reaches(self, address: str) -> bool:
        return self.container.run("ip", "route", "get", address, check=False).returncode == 0


@pytest.fixture
def chain(cni_run: Runner, cni_container: Container) -> Chain:
    return Chain(cni_run, cni_container)


def test_a_container_is_kept_away_from_what_is_denied_alone(chain: Chain) -> None:
    assert chain.call("ADD", deny=[f"{CLOUD}/32", "fd00:ec2::254/128"]).status == 0

    assert [chain.reaches(to) for to in (CLOUD, "fd00:ec2::254", "10.9.9.9")] == [
        False,
        False,
        True,
    ]


def test_the_result_that_came_is_passed_on(chain: Chain) -> None:
    result = chain.call("ADD").json

    assert result == chain.config["prevResult"]


def test_it_needs_a_plugin_before_it(chain: Chain) -> None:
    del chain.config["prevResult"]

    assert chain.call("ADD").json["code"] == 7


def test_check_finds_a_way_that_is_open_again(chain: Chain) -> None:
    chain.call("ADD")
    assert chain.call("CHECK").status == 0
    chain.container.run("ip", "route", "del", "blackhole", CLOUD)

    assert CLOUD in chain.call("CHECK").json["details"]


def test_delete_opens_the_way_again_and_may_be_repeated(chain: Chain) -> None:
    chain.call("ADD")

    assert [chain.call("DEL").status for _ in range(2)] == [0, 0]
    assert chain.reaches(CLOUD)


def test_two_interfaces_do_not_open_the_way_for_each_other(chain: Chain) -> None:
    chain.call("ADD")
    chain.call("ADD", ifname="net1")
    chain.call("DEL", ifname="net1")

    assert not chain.reaches(CLOUD)


def test_an_add_that_fails_leaves_nothing(chain: Chain) -> None:
    chain.container.run("ip", "route", "add", "10.0.0.0/8", "dev", "eth0")

    assert chain.call("ADD", deny=[f"{CLOUD}/32", f"{CLOUD}/32"]).status == 1
    assert chain.reaches(CLOUD)


@pytest.mark.parametrize("deny", [CLOUD, [1], ["10.0.0.1/33"], {}])
def test_a_wrong_network_is_named(chain: Chain, deny: object) -> None:
    error = chain.call("ADD", deny=deny).json

    assert error["code"] == 7
    assert "$.deny" in error["details"]
