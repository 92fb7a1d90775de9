"""CHECK tells what is wrong, and passes when nothing is."""

from collections.abc import Callable
from typing import Any

import pytest

from cnisdk import versions
from tests.host import OURS, Container, Host

from .conftest import REFUSAL, Network

V4, V6 = "10.1.2.2/24", "2001:db8::2/64"


class Attached:
    """A container on a dual-stack network, and the result of its ADD."""

    def __init__(self, network: Network, host: Host) -> None:
        self.network = network
        self.host = host
        network.config |= {"isDefaultGateway": True}
        network.ipam(V4, V6)
        self.container = host.container()
        self.result = network.add(self.container)
        self.port = self.result["interfaces"][1]["name"]

    def check(self, **keys: Any) -> str:
        """Return what CHECK finds wrong."""
        answer = self.network.call("CHECK", self.container, **{"prevResult": self.result, **keys})
        return "" if answer.status == 0 else answer.error


@pytest.fixture
def attached(network: Network, host: Host) -> Attached:
    return Attached(network, host)


@pytest.mark.parametrize(
    "version", [v for v in versions.SUPPORTED if versions.at_least(v, "0.4.0")]
)
@pytest.mark.parametrize("addresses", [(V4,), (V6,), (V4, V6)])
def test_an_attachment_as_add_left_it_passes(
    network: Network, host: Host, version: str, addresses: tuple[str, ...]
) -> None:
    network.config |= {"cniVersion": version, "isDefaultGateway": True}
    container = host.container()
    result = network.ipam(*addresses).add(container)
    before = host.snapshot()

    answer = network.call("CHECK", container, prevResult=result)

    assert (answer.status, answer.stdout) == (0, b"")
    assert host.snapshot() == before


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"hairpinMode": True},
        {"promiscMode": True},
        {"portIsolation": True},
        {"mtu": 1400},
        {"disableContainerInterface": True},
    ],
)
def test_a_bridge_without_ipam_passes(network: Network, host: Host, keys: dict[str, Any]) -> None:
    """The reference plugin asks for an IPAM plugin that there is none."""
    container = host.container()
    result = network.add(container, **keys)

    answer = network.call("CHECK", container, prevResult=result, **keys)

    assert (answer.status, answer.stdout) == (0, b"")


def _inside(*argv: str) -> Callable[[Attached], object]:
    return lambda attached: attached.container.run(*argv)


def _on_host(*argv: str) -> Callable[[Attached], object]:
    return lambda attached: attached.host.run(
        *(attached.port if arg == "PORT" else arg for arg in argv)
    )


DAMAGE: list[tuple[Callable[[Attached], object], str]] = [
    (_on_host("ip", "link", "delete", "br0"), "host has no bridge br0"),
    (_on_host("ip", "link", "set", "br0", "down"), "bridge br0 is down"),
    (
        _on_host("ip", "link", "set", "br0", "address", "02:00:00:00:00:09"),
        "br0 has MAC address 02:00:00:00:00:09",
    ),
    (_on_host("ip", "link", "set", "PORT", "down"), "is down"),
    (_on_host("ip", "link", "set", "PORT", "nomaster"), "is no port of bridge br0"),
    (_on_host("ip", "link", "set", "PORT", "mtu", "1400"), "has MTU 1400 instead of 1500"),
    (
        _on_host("ip", "link", "set", "PORT", "address", "02:00:00:00:00:09"),
        "has MAC address 02:00:00:00:00:09",
    ),
    (_on_host("ip", "link", "delete", "PORT"), "container has no interface eth0"),
    (_on_host("ip", "address", "flush", "dev", "br0"), "bridge br0 has no address 10.1.2.1/24"),
    (_on_host("sysctl", "-q", "net.ipv4.ip_forward=0"), "does not forward IPv4"),
    (_on_host("sysctl", "-q", "net.ipv6.conf.all.forwarding=0"), "does not forward IPv6"),
    (_inside("ip", "link", "set", "eth0", "down"), "container's eth0 is down"),
    (
        _inside("ip", "link", "set", "eth0", "address", "02:00:00:00:00:09"),
        "eth0 has MAC address 02:00:00:00:00:09",
    ),
    (_inside("ip", "address", "delete", V4, "dev", "eth0"), f"eth0 has no address {V4}"),
    (_inside("ip", "address", "delete", V6, "dev", "eth0"), f"eth0 has no address {V6}"),
    (_inside("ip", "route", "delete", "10.1.2.0/24"), "no route to 10.1.2.0/24"),
    (_inside("ip", "route", "delete", "default"), "no route to 0.0.0.0/0 via 10.1.2.1"),
    (
        _inside("ip", "route", "replace", "default", "via", "10.1.2.9"),
        "no route to 0.0.0.0/0 via 10.1.2.1",
    ),
    (
        _inside("ip", "-6", "route", "delete", "default"),
        "no route to ::/0 via 2001:db8::1",
    ),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGE, ids=[said for _, said in DAMAGE])
def test_damage_is_named(
    attached: Attached, damage: Callable[[Attached], object], said: str
) -> None:
    assert attached.check() == ""

    damage(attached)

    assert said in attached.check()


def test_an_mtu_that_no_result_of_the_version_has_is_named(network: Network, host: Host) -> None:
    network.config |= {"cniVersion": "1.0.0", "mtu": 1400}
    container = host.container()
    result = network.ipam(V4).add(container)
    assert network.call("CHECK", container, prevResult=result).status == 0

    host.run("ip", "link", "set", result["interfaces"][1]["name"], "mtu", "1450")

    answer = network.call("CHECK", container, prevResult=result)
    assert "has MTU 1450 instead of 1400" in answer.error


def test_an_mtu_that_the_other_end_does_not_take_is_named(attached: Attached) -> None:
    attached.container.run("ip", "link", "set", "eth0", "mtu", "9000")

    assert "container's eth0 has MTU 9000, and its other end only 1500" in attached.check()


def test_a_reservation_that_is_lost_is_named_beside_other_damage(
    network: Network, host: Host
) -> None:
    data = host.state / "ipam"
    network.path = f"{OURS}:{network.path}"
    ipam = {"type": "host-local", "subnet": "10.1.2.0/24", "dataDir": str(data)}
    network.config |= {"isGateway": True, "ipam": ipam}
    container = host.container()
    result = network.add(container)
    assert network.call("CHECK", container, prevResult=result).status == 0

    (data / "net1" / "10.1.2.2").unlink()
    host.run("ip", "link", "set", result["interfaces"][1]["name"], "down")

    answer = network.call("CHECK", container, prevResult=result)
    assert container.id in answer.error
    assert "is down" in answer.error


def test_the_address_of_a_bridge_that_is_no_gateway_may_follow_its_ports(
    network: Network, host: Host
) -> None:
    """The kernel's default for a bridge that an administrator made."""
    host.run("ip", "link", "add", "br0", "type", "bridge")
    container = host.container()
    result = network.add(container)
    assert result["interfaces"][0]["mac"] == network.link("br0")["address"]
    host.run("ip", "link", "add", "low", "address", "00:00:00:00:00:01", "type", "ifb")

    host.run("ip", "link", "set", "low", "master", "br0")

    assert result["interfaces"][0]["mac"] != network.link("br0")["address"]
    assert network.call("CHECK", container, prevResult=result).status == 0


def test_all_damage_is_named_at_once(attached: Attached) -> None:
    attached.container.run("ip", "route", "delete", "default")
    attached.host.run("ip", "link", "set", attached.port, "nomaster")

    problem = attached.check()

    assert "no route to 0.0.0.0/0" in problem
    assert "is no port of bridge br0" in problem


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("hairpinMode", "is not in hairpin mode"),
        ("portIsolation", "is not isolated"),
        ("promiscMode", "is not promiscuous"),
    ],
)
def test_a_setting_that_is_lost_is_named(attached: Attached, key: str, said: str) -> None:
    assert said in attached.check(**{key: True})


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_masquerading_that_is_lost_is_named(network: Network, host: Host, backend: str) -> None:
    network.config |= {"ipMasq": True, "ipMasqBackend": backend}
    container = host.container()
    result = network.ipam(V4, V6).add(container)
    assert network.call("CHECK", container, prevResult=result).status == 0

    host.run("nft", "flush", "ruleset")

    answer = network.call("CHECK", container, prevResult=result)
    assert "host does not masquerade 10.1.2.2" in answer.error
    assert "host does not masquerade 2001:db8::2" in answer.error


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
@pytest.mark.parametrize("later", ["10.200.0.9/24", "2001:db8:9::9/64"])
def test_an_address_that_a_later_plugin_added_need_not_be_masqueraded(
    network: Network, host: Host, backend: str, later: str
) -> None:
    network.config |= {"ipMasq": True, "ipMasqBackend": backend, "isGateway": True}
    container = host.container()
    result = network.ipam(V4).add(container)
    container.run("ip", "address", "add", later, "dev", "eth0", "nodad")

    result["ips"].append({"address": later, "interface": 2})

    assert network.call("CHECK", container, prevResult=result).status == 0


@pytest.mark.parametrize("gateway", [True, False])
def test_masquerading_that_one_family_has_lost_is_named(
    network: Network, host: Host, gateway: bool
) -> None:
    network.config |= {"ipMasq": True, "ipMasqBackend": "iptables", "isGateway": gateway}
    container = host.container()
    result = network.ipam(V4, V6).add(container)

    host.run("ip6tables", "-t", "nat", "-F")

    answer = network.call("CHECK", container, prevResult=result)
    assert "host does not masquerade 2001:db8::2" in answer.error
    assert "masquerade 10.1.2.2" not in answer.error


def test_an_interface_replaced_by_another_kind_is_named(attached: Attached) -> None:
    attached.container.run("ip", "link", "delete", "eth0")
    attached.container.run("ip", "link", "add", "eth0", "type", "ifb")

    assert "container's eth0 is no veth but ifb" in attached.check()


def test_a_veth_to_somewhere_else_is_named(attached: Attached) -> None:
    attached.container.run("ip", "link", "delete", "eth0")
    attached.container.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")

    assert "no veth of the result that leads to the container's eth0" in attached.check()


def test_a_bridge_replaced_by_another_kind_is_named(attached: Attached) -> None:
    attached.host.run("ip", "link", "delete", "br0")
    attached.host.run("ip", "link", "add", "br0", "type", "ifb")

    assert "br0 is no bridge but ifb" in attached.check()


def test_a_result_of_another_sandbox_is_named(attached: Attached) -> None:
    attached.result["interfaces"][2]["sandbox"] = "/run/netns/other"

    assert f"no interface eth0 in {attached.container.path}" in attached.check()


def test_a_check_without_result_is_refused(attached: Attached) -> None:
    answer = attached.network.call("CHECK", attached.container)

    assert answer.json["code"] == 7
    assert "prevResult" in answer.error


def test_what_ipam_finds_wrong_is_passed_on(attached: Attached) -> None:
    attached.network.ipam_does("CHECK", REFUSAL)

    assert "out of addresses" in attached.check()


def test_what_a_later_plugin_may_change_is_no_damage(attached: Attached) -> None:
    """As the tuning plugin does: it changes the link and the result's MAC."""
    attached.container.run("ip", "link", "set", "eth0", "mtu", "1300")
    attached.container.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:09")
    attached.result["interfaces"][2]["mac"] = "02:00:00:00:00:09"

    assert attached.check() == ""


def test_a_route_through_another_table_is_looked_for_there(network: Network, host: Host) -> None:
    network.ipam(V4)
    network.ipam_result(
        {
            "cniVersion": "1.1.0",
            "ips": [{"address": V4}],
            "routes": [{"dst": "192.0.2.0/24", "gw": "10.1.2.9", "table": 5000, "scope": 200}],
        }
    )
    container: Container = host.container()
    result = network.add(container)
    assert network.call("CHECK", container, prevResult=result).status == 0

    container.run("ip", "route", "flush", "table", "5000")

    answer = network.call("CHECK", container, prevResult=result)
    assert "no route to 192.0.2.0/24 via 10.1.2.9 in table 5000" in answer.error
