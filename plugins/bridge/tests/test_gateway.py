"""The bridge's addresses: arithmetic, and what is in their way."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_interface
from typing import Any

import pytest

from cni_bridge import gateway
from cni_bridge.errors import HostConflictError
from cnisdk import Result
from cnisdk.net import link
from cnisdk.net.rtnl import RTNL
from tests.host import Host

from .conftest import Network


def complete(
    *addresses: str, routes: tuple[dict[str, Any], ...] = (), gw: str | None = None
) -> Result:
    ips = [{"address": a, **({"gateway": gw} if gw else {})} for a in addresses]
    result = Result.model_validate({"ips": ips, "routes": routes})
    return gateway.complete(result, (), interface=2, is_gateway=True, is_default_gateway=True)


def test_an_address_without_gateway_has_the_first_of_its_network() -> None:
    result = complete("10.1.2.77/24", "2001:db8::77/64")

    assert [str(ip.gateway) for ip in result.ips] == ["10.1.2.1", "2001:db8::1"]
    assert [ip.interface for ip in result.ips] == [2, 2]


def test_the_gateway_that_ipam_names_stays() -> None:
    assert [str(ip.gateway) for ip in complete("10.1.2.77/24", gw="10.1.2.254").ips] == [
        "10.1.2.254"
    ]


def test_each_family_has_one_default_route() -> None:
    result = complete("10.1.2.2/24", "10.1.3.2/24", "2001:db8::2/64")

    assert [(str(r.dst), str(r.gw)) for r in result.routes] == [
        ("0.0.0.0/0", "10.1.2.1"),
        ("::/0", "2001:db8::1"),
    ]


def test_a_default_route_of_another_table_does_not_count() -> None:
    result = complete("10.1.2.2/24", routes=({"dst": "0.0.0.0/0", "table": 100},))

    assert [r.table for r in result.routes] == [100, None]


def test_gateways_are_listed_once_with_ipv4_first() -> None:
    result = complete("2001:db8::2/64", "10.1.2.2/24", "10.1.2.3/24")

    assert [str(a) for a in gateway.addresses(result.ips)] == ["10.1.2.1/24", "2001:db8::1/64"]


ROWS = [  # present, wanted, in the way
    ("10.0.0.1/8", "10.1.2.3/16", True),
    ("10.0.0.1/8", "192.0.2.1/24", True),
    ("2001:db8::1/32", "2001:db8:1::1/48", True),
    ("2001:db8::1/64", "2001:db8::1/48", True),
    ("2001:db8:1::1/64", "2001:db8:2::1/64", False),
    ("10.0.0.1/8", "2001:db8::1/64", False),
    ("fe80::5/64", "fe80::1/64", False),
]


def _ensure(host: Host, wanted: str, *, force: bool) -> None:
    with host.inside(), RTNL() as rtnl:
        bridge = link.by_name(rtnl, "br0")
        gateway.ensure_addresses(rtnl, bridge, [ip_interface(wanted)], force=force)


def _addresses(host: Host) -> set[str]:
    [found] = host.json("ip", "addr", "show", "dev", "br0")
    return {f"{a['local']}/{a['prefixlen']}" for a in found["addr_info"]}


@pytest.fixture
def bridge(host: Host) -> Host:
    host.run("ip", "link", "add", "br0", "address", "02:00:00:00:00:01", "type", "bridge")
    return host


@pytest.mark.parametrize(("present", "wanted", "in_the_way"), ROWS)
def test_an_address_in_the_way_is_an_error_and_stays(
    bridge: Host, present: str, wanted: str, in_the_way: bool
) -> None:
    bridge.run("ip", "addr", "add", present, "dev", "br0")

    if in_the_way:
        with pytest.raises(HostConflictError) as caught:
            _ensure(bridge, wanted, force=False)
        assert present in caught.value.details
        assert wanted in caught.value.details
        assert _addresses(bridge) == {present}
    else:
        _ensure(bridge, wanted, force=False)
        assert _addresses(bridge) == {present, wanted}


@pytest.mark.parametrize(("present", "wanted", "in_the_way"), ROWS)
def test_force_replaces_only_what_is_in_the_way(
    bridge: Host, present: str, wanted: str, in_the_way: bool
) -> None:
    bridge.run("ip", "addr", "add", present, "dev", "br0")

    _ensure(bridge, wanted, force=True)

    assert _addresses(bridge) == ({wanted} if in_the_way else {present, wanted})


def test_force_replaces_an_address_and_its_secondaries(bridge: Host) -> None:
    for address in ("10.0.0.1/8", "10.0.0.2/8", "10.0.0.3/8"):
        bridge.run("ip", "addr", "add", address, "dev", "br0")

    _ensure(bridge, "10.1.2.3/16", force=True)

    assert _addresses(bridge) == {"10.1.2.3/16"}


def test_an_address_that_is_there_is_enough_whatever_else_is(bridge: Host) -> None:
    for address in ("10.0.0.1/8", "192.0.2.1/24"):
        bridge.run("ip", "addr", "add", address, "dev", "br0")

    _ensure(bridge, "10.0.0.1/8", force=False)

    assert _addresses(bridge) == {"10.0.0.1/8", "192.0.2.1/24"}


def test_a_network_may_have_several_subnets(network: Network, host: Host) -> None:
    network.ipam("10.1.2.2/24", "10.1.3.2/24").add(host.container(), isGateway=True)

    assert network.addresses("br0") == ["10.1.2.1/24", "10.1.3.1/24"]


def test_add_does_not_replace_an_address_unless_forced(network: Network, host: Host) -> None:
    network.ipam("10.1.2.2/24").add(host.container(), isGateway=True)

    refused = network.ipam("10.1.0.2/16").call("ADD", host.container(), isGateway=True)
    network.add(host.container(), isGateway=True, forceAddress=True)

    assert refused.json["code"] == HostConflictError.CODE
    assert network.addresses("br0") == ["10.1.0.1/16"]


@pytest.mark.parametrize("address", ["10.1.2.2/24", "2001:db8::2/64"])
def test_the_bridge_s_mac_stays_as_containers_come_and_go(
    network: Network, host: Host, address: str
) -> None:
    host.run("ip", "link", "add", "br0", "type", "bridge")  # an address that follows its ports
    network.ipam(address)
    network.config |= {"isGateway": True}
    containers = [host.container() for _ in range(3)]
    seen = set()

    for container in containers:
        seen.add(network.add(container)["interfaces"][0]["mac"])
        seen.add(network.link("br0")["address"])
    for container in containers:
        network.delete(container)
        seen.add(network.link("br0")["address"])

    assert len(seen) == 1


ADMINISTRATORS = {
    "without ports": (),
    "after its last port": (
        ("ip", "link", "add", "gone", "type", "veth", "peer", "name", "its-peer"),
        ("ip", "link", "set", "gone", "master", "br0"),
        ("ip", "link", "delete", "gone"),
    ),
    "with a port": (
        ("ip", "link", "add", "eth7", "address", "be:00:00:00:00:07", "type", "veth"),
        ("ip", "link", "set", "veth0", "up"),
        ("ip", "link", "set", "eth7", "master", "br0", "up"),
    ),
}


@pytest.mark.parametrize("made", ADMINISTRATORS.values(), ids=ADMINISTRATORS.keys())
@pytest.mark.parametrize("address", [("10.1.2.1/24",), ()], ids=["with address", "without"])
def test_the_mac_of_an_administrator_s_bridge_stays_too(
    network: Network, host: Host, made: tuple[tuple[str, ...], ...], address: tuple[str, ...]
) -> None:
    host.run("ip", "link", "add", "br0", "type", "bridge")
    for cidr in address:
        host.run("ip", "addr", "add", cidr, "dev", "br0")
    host.run("ip", "link", "set", "br0", "up")
    for command in made:
        host.run(*command)
    network.config |= {"isGateway": True}
    network.ipam("10.1.2.2/24")
    containers = [host.container() for _ in range(6)]

    with ThreadPoolExecutor(len(containers)) as pool:
        results = list(pool.map(network.add, containers))

    mac = network.link("br0")["address"]
    assert {result["interfaces"][0]["mac"] for result in results} == {mac}
    for container, result in zip(containers, results, strict=True):
        answer = network.call("CHECK", container, prevResult=result)
        assert answer.status == 0, answer.stdout
        network.delete(container, prevResult=result)
        assert network.link("br0")["address"] == mac


def test_one_container_after_another_leaves_the_mac_of_a_bridge_with_a_port(
    network: Network, host: Host
) -> None:
    host.run("ip", "link", "add", "br0", "type", "bridge")
    host.run("ip", "addr", "add", "10.1.2.1/24", "dev", "br0")
    for command in ADMINISTRATORS["with a port"]:
        host.run(*command)
    network.config |= {"isGateway": True}
    network.ipam("10.1.2.2/24")

    for _ in range(8):
        result = network.add(host.container())
        assert result["interfaces"][0]["mac"] == "be:00:00:00:00:07"
        assert network.link("br0")["address"] == "be:00:00:00:00:07"
