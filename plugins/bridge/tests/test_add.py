"""ADD: what it makes, seen with ip(8) and bridge(8), and what it reports."""

import errno
import re
import socket
from ipaddress import ip_interface
from typing import Any

import pytest

from cnisdk import versions
from cnisdk.types.result import Route
from tests.host import Container, Host

from .conftest import Network

V4, V6, OTHER_V6 = "10.1.2.2/24", "2001:db8::2/64", "2001:db8:1::2/64"
FAMILIES = [(V4,), (V6,), (V4, V6), (V4, V6, OTHER_V6)]
GATEWAY = {V4: "10.1.2.1", V6: "2001:db8::1", OTHER_V6: "2001:db8:1::1"}
VETH = re.compile(r"veth[0-9a-f]{8}")

CASES = [
    (version, addresses)
    for version in versions.SUPPORTED
    for addresses in FAMILIES
    if len(addresses) < 3 or versions.at_least(version, "0.3.0")
]


def reaches(where: Host | Container, address: str) -> bool:
    """Say whether ``address`` answers at once, if only that nobody listens there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with where.inside(), socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(0.5)
        return sock.connect_ex((address, 9)) == errno.ECONNREFUSED


def _reported(wire: dict[str, Any]) -> list[tuple[str, str]]:
    """The addresses and gateways of a result, of whatever version."""
    if "ips" in wire:
        return [(ip["address"], ip["gateway"]) for ip in wire["ips"]]
    return [(wire[key]["ip"], wire[key]["gateway"]) for key in ("ip4", "ip6") if key in wire]


@pytest.mark.parametrize(("version", "addresses"), CASES)
def test_a_container_with_a_default_gateway_has_all_it_needs(
    network: Network, host: Host, version: str, addresses: tuple[str, ...]
) -> None:
    network.config |= {"cniVersion": version, "isDefaultGateway": True}
    container = host.container()

    result = network.ipam(*addresses).add(container)

    assert result["cniVersion"] == version
    assert _reported(result) == [(a, GATEWAY[a]) for a in addresses]
    assert sorted(network.addresses("eth0", container)) == sorted(addresses)
    assert sorted(network.addresses("br0")) == sorted(
        f"{GATEWAY[a]}/{ip_interface(a).network.prefixlen}" for a in addresses
    )
    for family in {ip_interface(a).version for a in addresses}:
        first = next(a for a in addresses if ip_interface(a).version == family)
        [default] = container.json("ip", f"-{family}", "route", "show", "default")
        assert default["gateway"] == GATEWAY[first]
        parameter = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}[family]
        assert host.run("cat", f"/proc/sys/{parameter}").stdout == "1\n"
    assert len(network.links()) == 3  # lo, bridge, one end of the veth


@pytest.mark.parametrize(
    "version", [v for v in versions.SUPPORTED if versions.at_least(v, "0.3.0")]
)
def test_the_interfaces_are_reported_as_they_are(
    network: Network, host: Host, version: str
) -> None:
    network.config |= {"cniVersion": version, "isGateway": True, "mtu": 1400}
    container = host.container()

    result = network.ipam(V4).add(container)

    bridge, port, end = result["interfaces"]
    assert (bridge["name"], end["name"]) == ("br0", "eth0")
    assert VETH.fullmatch(port["name"])
    assert bridge["mac"] == network.link("br0")["address"]
    assert port["mac"] == network.link(port["name"])["address"]
    assert end["mac"] == network.link("eth0", container)["address"]
    assert len({bridge["mac"], port["mac"], end["mac"]}) == 3
    assert end["sandbox"] == container.path
    assert not bridge.get("sandbox")
    assert not port.get("sandbox")
    assert [ip["interface"] for ip in result["ips"]] == [2]
    mtus = [interface.get("mtu") for interface in result["interfaces"]]
    assert mtus == ([1400] * 3 if version == "1.1.0" else [None] * 3)


def test_the_veth_joins_container_and_bridge(network: Network, host: Host) -> None:
    container = host.container()

    name = network.ipam(V4).add(container)["interfaces"][1]["name"]

    port, end, bridge = (
        network.link(name),
        network.link("eth0", container),
        network.link("br0"),
    )
    assert port["linkinfo"]["info_kind"] == end["linkinfo"]["info_kind"] == "veth"
    assert port["link_index"] == end["ifindex"]
    assert end["link_index"] == port["ifindex"]
    assert port["master"] == "br0"
    assert port["operstate"] == end["operstate"] == bridge["operstate"] == "UP"
    assert port["linkinfo"]["info_slave_data"]["state"] == "forwarding"
    assert bridge["linkinfo"]["info_data"]["vlan_filtering"] == 0


@pytest.mark.parametrize("attempt", range(8))  # it was a matter of luck
def test_the_first_container_reaches_both_gateways_at_once(
    network: Network, host: Host, attempt: int
) -> None:
    network.config |= {"isDefaultGateway": True}
    container = host.container()

    network.ipam(V4, V6).add(container)

    for gateway in (GATEWAY[V4], GATEWAY[V6]):
        assert reaches(container, gateway)


def test_a_new_container_is_reached_at_once(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True}
    for number in range(2, 18):
        addresses = (f"10.1.2.{number}", f"2001:db8::{number:x}")

        network.ipam(f"{addresses[0]}/24", f"{addresses[1]}/64").add(host.container())

        for address in addresses:
            assert reaches(host, address)


def test_no_address_is_tentative_when_add_returns(network: Network, host: Host) -> None:
    container = host.container()

    network.ipam(V6).add(container, isGateway=True)

    for where, name in ((host, "br0"), (container, "eth0")):
        [found] = where.json("ip", "-6", "addr", "show", "dev", name)
        assert found["addr_info"]
        assert not any(address.get("tentative") for address in found["addr_info"])


def test_two_containers_reach_each_other(network: Network, host: Host) -> None:
    one, two = host.container(), host.container()
    network.ipam("10.1.2.2/24", "2001:db8::2/64").add(one)
    network.ipam("10.1.2.3/24", "2001:db8::3/64").add(two)

    for address in ("10.1.2.2", "2001:db8::2"):
        assert reaches(two, address)


def test_isolated_containers_reach_the_gateway_and_not_each_other(
    network: Network, host: Host
) -> None:
    network.config |= {"portIsolation": True, "isGateway": True}
    one, two = host.container(), host.container()
    port = network.ipam("10.1.2.2/24").add(one)["interfaces"][1]["name"]
    network.ipam("10.1.2.3/24").add(two)

    assert reaches(two, "10.1.2.1")
    assert not reaches(two, "10.1.2.2")
    assert network.link(port)["linkinfo"]["info_slave_data"]["isolated"]


@pytest.mark.parametrize("key", ["hairpinMode", "portIsolation"])
@pytest.mark.parametrize("on", [False, True])
def test_port_settings_are_those_of_the_configuration(
    network: Network, host: Host, key: str, on: bool
) -> None:
    port = network.add(host.container(), **{key: on})["interfaces"][1]["name"]

    data = network.link(port)["linkinfo"]["info_slave_data"]
    assert data["hairpin"] == (key == "hairpinMode" and on)
    assert data["isolated"] == (key == "portIsolation" and on)


@pytest.mark.parametrize("promisc", [False, True])
def test_promisc_mode_makes_the_bridge_promiscuous(
    network: Network, host: Host, promisc: bool
) -> None:
    network.add(host.container(), promiscMode=promisc)

    assert ("PROMISC" in network.link("br0")["flags"]) == promisc


def test_promisc_mode_is_never_switched_off(network: Network, host: Host) -> None:
    network.add(host.container(), promiscMode=True)

    network.add(host.container(), promiscMode=False)

    assert "PROMISC" in network.link("br0")["flags"]


def test_an_existing_bridge_is_used_as_it_is(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br0", "mtu", "1450", "type", "bridge")
    before = network.link("br0")

    result = network.add(host.container(), mtu=1400)

    after = network.link("br0")
    assert after["ifindex"] == before["ifindex"]
    assert "UP" in after["flags"]
    assert result["interfaces"][0]["mtu"] == after["mtu"]


def test_a_bridge_with_spanning_tree_is_not_waited_for(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "1")

    port = network.ipam(V4).add(host.container(), isGateway=True)["interfaces"][1]["name"]

    assert network.link(port)["linkinfo"]["info_slave_data"]["state"] == "listening"


def test_another_link_of_the_bridge_s_name_is_left_alone(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br0", "type", "ifb")
    before = host.snapshot()

    answer = network.call("ADD", host.container())

    assert answer.json["code"] == 100
    assert "br0" in answer.error
    assert "ifb" in answer.error
    assert host.snapshot() == before


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_without_ipam_there_is_a_link_and_nothing_else(
    network: Network, host: Host, version: str
) -> None:
    container = host.container()

    answer = network.call("ADD", container, cniVersion=version, isGateway=True)

    if versions.at_least(version, "0.3.0"):
        assert "ips" not in answer.json
        assert network.link("eth0", container)["operstate"] == "UP"
        assert network.addresses("br0") == network.addresses("eth0", container) == []
    else:
        assert answer.json["msg"] == "cannot convert: no valid IP addresses"
        assert network.links() == network.links(container) == {"lo"}


def test_a_disabled_container_interface_stays_down(network: Network, host: Host) -> None:
    container = host.container()

    network.add(container, disableContainerInterface=True)

    assert network.link("eth0", container)["operstate"] == "DOWN"
    assert container.json("ip", "-6", "addr", "show", "dev", "eth0") in ([], [{}])


def test_a_disabled_container_interface_takes_no_addresses(network: Network, host: Host) -> None:
    before = host.snapshot()

    answer = network.ipam(V4).call("ADD", host.container(), disableContainerInterface=True)

    assert answer.json["code"] == 7
    assert host.snapshot() == before
    assert network.reserved() == set()


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"args": "MAC=c2:00:00:00:00:01"}, "c2:00:00:00:00:01"),
        (
            {"args": "MAC=c2:00:00:00:00:01", "cni": "c2:00:00:00:00:02"},
            "c2:00:00:00:00:02",
        ),
        (
            {
                "args": "MAC=c2:00:00:00:00:01",
                "cni": "c2:00:00:00:00:02",
                "runtime": "c2:00:00:00:00:03",
            },
            "c2:00:00:00:00:03",
        ),
    ],
)
def test_the_container_has_the_mac_it_was_given(
    network: Network, host: Host, sources: dict[str, str], expected: str
) -> None:
    container = host.container()
    config: dict[str, Any] = {"args": {"cni": {"mac": sources.get("cni", "")}}}
    if "runtime" in sources:
        config["runtimeConfig"] = {"mac": sources["runtime"]}

    result = network.call("ADD", container, network.config | config, args=sources["args"]).json

    assert result["interfaces"][2]["mac"] == expected
    assert network.link("eth0", container)["address"] == expected


def test_dns_of_the_configuration_replaces_that_of_ipam(network: Network, host: Host) -> None:
    network.ipam(V4, dns={"nameservers": ("192.0.2.1",)})

    assert network.add(host.container())["dns"] == {"nameservers": ["192.0.2.1"]}
    ours = {"nameservers": ["192.0.2.2"], "search": ["a.example"]}
    assert network.add(host.container(), dns=ours)["dns"] == ours


def test_mtu_and_advmss_of_a_route_are_honoured(network: Network, host: Host) -> None:
    route = Route.model_validate(
        {"dst": "192.0.2.0/24", "gw": "10.1.2.9", "mtu": 1300, "advmss": 1200, "priority": 7}
    )
    container = host.container()

    result = network.ipam(V4, routes=(route,)).add(container)

    [found] = container.json("ip", "route", "show", "192.0.2.0/24")
    assert (found["gateway"], found["metric"]) == ("10.1.2.9", 7)
    assert found["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    assert result["routes"] == [
        {"dst": "192.0.2.0/24", "gw": "10.1.2.9", "mtu": 1300, "advmss": 1200, "priority": 7}
    ]


@pytest.mark.parametrize("gw", [None, "10.1.2.1"])
def test_a_default_route_from_ipam_is_not_added_a_second_time(
    network: Network, host: Host, gw: str | None
) -> None:
    route = Route.model_validate({"dst": "0.0.0.0/0", **({"gw": gw} if gw else {})})
    container = host.container()

    result = network.ipam(V4, routes=(route,)).add(container, isDefaultGateway=True)

    assert len(result["routes"]) == 1
    [default] = container.json("ip", "route", "show", "default")
    assert default["gateway"] == "10.1.2.1"


def test_a_default_route_of_ipam_with_another_gateway_is_the_only_one(
    network: Network, host: Host
) -> None:
    route = Route.model_validate({"dst": "0.0.0.0/0", "gw": "10.1.2.9"})
    container = host.container()

    network.ipam(V4, routes=(route,)).add(container, isDefaultGateway=True)

    [default] = container.json("ip", "route", "show", "default")
    assert default["gateway"] == "10.1.2.9"


def test_one_container_can_have_two_interfaces_on_one_network(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True}
    container = host.container()

    network.ipam("10.1.2.2/24").add(container, ifname="eth0")
    network.ipam("10.1.2.3/24").add(container, ifname="eth1")

    assert network.addresses("eth0", container) == ["10.1.2.2/24"]
    assert network.addresses("eth1", container) == ["10.1.2.3/24"]


def test_routers_on_the_containers_side_do_not_reconfigure_the_host(
    network: Network, host: Host
) -> None:
    port = network.add(host.container())["interfaces"][1]["name"]

    for name in ("br0", port):
        assert host.run("cat", f"/proc/sys/net/ipv6/conf/{name}/accept_ra").stdout == "0\n"


def test_a_container_looks_for_duplicates_when_asked_to(network: Network, host: Host) -> None:
    container = host.container()

    network.ipam(V6).add(container, enabledad=True)

    [found] = container.json("ip", "-6", "addr", "show", "dev", "eth0")
    assert not any(address.get("tentative") for address in found["addr_info"])
    parameter = "/proc/sys/net/ipv6/conf/eth0/accept_dad"
    assert container.run("cat", parameter).stdout == "1\n"


def test_an_address_that_is_taken_fails_the_add_when_dad_is_enabled(
    network: Network, host: Host
) -> None:
    network.config |= {"enabledad": True}
    network.ipam(V6).add(host.container())
    second = host.container()

    answer = network.call("ADD", second)

    assert "2001:db8::2" in answer.error
    assert network.links(second) == {"lo"}
