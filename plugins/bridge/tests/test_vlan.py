"""VLANs, on a kernel whose bridges filter them; see tests/vm."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.host import REFERENCE, Container, Host

from .conftest import REFUSAL, Network

pytestmark = pytest.mark.vm

V4, V6 = "10.1.2.2/24", "2001:db8::2/64"

NATIVE = ("Egress Untagged", "PVID")
UNTAGGED = ("Egress Untagged",)


def vlans(host: Host, name: str) -> dict[int, tuple[str, ...]]:
    """What bridge(8) says of a port: its VLANs, and how it is in them."""
    found = host.json("bridge", "vlan", "show", "dev", name)
    return {
        entry["vlan"]: tuple(sorted(entry.get("flags", ())))
        for port in found
        for entry in port["vlans"]
    }


def filters(network: Network) -> bool:
    return bool(network.link("br0")["linkinfo"]["info_data"]["vlan_filtering"])


def port_of(result: dict[str, Any]) -> str:
    return str(result["interfaces"][1]["name"])


PORTS: list[tuple[dict[str, Any], dict[int, tuple[str, ...]]]] = [
    ({"vlan": 100}, {100: NATIVE}),
    ({"vlan": 1}, {1: NATIVE}),
    ({"vlan": 100, "preserveDefaultVlan": True}, {1: UNTAGGED, 100: NATIVE}),
    ({"vlanTrunk": []}, {1: NATIVE}),
    (
        {"vlanTrunk": [{"id": 101}, {"minID": 200, "maxID": 203}]},
        {1: NATIVE, 101: (), 200: (), 201: (), 202: (), 203: ()},
    ),
    ({"vlanTrunk": [{"minID": 1, "maxID": 3}]}, {1: NATIVE, 2: (), 3: ()}),
    ({"vlan": 100, "vlanTrunk": [{"id": 101}]}, {100: NATIVE, 101: ()}),
    ({"vlan": 100, "vlanTrunk": [{"minID": 99, "maxID": 101}]}, {99: (), 100: NATIVE, 101: ()}),
    (
        {"vlan": 100, "vlanTrunk": [{"id": 7}], "preserveDefaultVlan": True},
        {1: UNTAGGED, 7: (), 100: NATIVE},
    ),
]


@pytest.mark.parametrize(("keys", "wanted"), PORTS, ids=[str(keys) for keys, _ in PORTS])
def test_a_port_is_in_its_vlans_from_add_to_check(
    network: Network, host: Host, keys: dict[str, Any], wanted: dict[int, tuple[str, ...]]
) -> None:
    container = host.container()

    result = network.add(container, **keys)

    assert filters(network)
    assert vlans(host, port_of(result)) == wanted
    assert network.call("CHECK", container, prevResult=result, **keys).status == 0


def test_a_bridge_without_vlans_does_not_filter(network: Network, host: Host) -> None:
    network.add(host.container())

    assert not filters(network)


def test_an_existing_bridge_filters_from_the_first_vlan_on(network: Network, host: Host) -> None:
    first = network.add(host.container())

    second = network.add(host.container(), vlan=100)

    assert filters(network)
    assert vlans(host, port_of(first)) == {1: NATIVE}
    assert vlans(host, port_of(second)) == {100: NATIVE}


def test_another_default_vlan_of_the_bridge_is_left_too(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br0", "type", "bridge", "vlan_default_pvid", "7")

    result = network.add(host.container(), vlan=100)

    assert vlans(host, port_of(result)) == {100: NATIVE}


@pytest.mark.reference
@pytest.mark.parametrize("keys", [{"vlan": 100}, {"vlan": 5, "isGateway": True}])
def test_objects_are_those_of_the_reference(
    network: Network, host: Host, keys: dict[str, Any]
) -> None:
    """Reference plugins before 1.2 know no trunk, and preserve the default VLAN."""
    network.config |= {"cniVersion": "1.0.0"}
    network.ipam("10.1.2.2/24")
    config = network.config | keys
    path = f"{REFERENCE}:{network.path}"
    one, two = host.container(), host.container()
    theirs = host.plugin("bridge", "ADD", config | {"bridge": "br1"}, one, path=path).json

    ours = network.add(two, config=config, preserveDefaultVlan=True)

    assert vlans(host, port_of(ours)) == vlans(host, port_of(theirs))
    assert vlans(host, gateway_port(host, ours)) == vlans(host, gateway_port(host, theirs))
    assert [i["name"].replace("br0", "br1") for i in ours["interfaces"][3:]] == [
        i["name"] for i in theirs["interfaces"][3:]
    ]


def gateway_port(host: Host, result: dict[str, Any]) -> str:
    """The bridge's port behind the gateway's interface; the container's where there is none."""
    if len(result["interfaces"]) < 4:
        return port_of(result)
    (link,) = host.json("ip", "link", "show", "dev", result["interfaces"][3]["name"])
    return str(link["link"])


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("addresses", [(V4,), (V6,), (V4, V6), (V4, "10.1.3.2/24")])
def test_a_vlan_has_a_gateway_of_its_own(
    network: Network, host: Host, addresses: tuple[str, ...], preserve: bool
) -> None:
    network.config |= {"vlan": 100, "isDefaultGateway": True, "preserveDefaultVlan": preserve}
    container = host.container()

    result = network.ipam(*addresses).add(container)

    exit_ = network.link("br0.100")
    assert result["interfaces"][3] == {"name": "br0.100", "mac": exit_["address"], "mtu": 1500}
    assert all(ip["interface"] == 2 for ip in result["ips"])
    assert exit_["linkinfo"]["info_kind"] == "veth"
    assert exit_["operstate"] == "UP"
    rest = {1: UNTAGGED} if preserve else {}
    assert vlans(host, exit_["link"]) == {**rest, 100: NATIVE}
    assert network.link(exit_["link"])["master"] == "br0"
    assert network.addresses("br0") == []
    gateways = [address.replace("2/", "1/") for address in addresses]
    assert network.addresses("br0.100") == gateways
    for gateway in gateways:
        container.run("ping", "-c", "1", "-W", "5", gateway.partition("/")[0])
    assert network.call("CHECK", container, prevResult=result).status == 0


def test_containers_of_a_vlan_share_its_gateway(network: Network, host: Host) -> None:
    network.config |= {"vlan": 100, "isGateway": True}
    first, second = host.container(), host.container()
    network.ipam("10.1.2.2/24").add(first)
    before = network.link("br0.100")

    network.ipam("10.1.2.3/24").add(second)

    assert network.link("br0.100")["ifindex"] == before["ifindex"]
    first.run("ping", "-c", "1", "-W", "5", "10.1.2.3")


def test_vlans_are_apart(network: Network, host: Host) -> None:
    first, second = host.container(), host.container()
    network.ipam("10.1.2.2/24").add(first, vlan=100)
    network.ipam("10.1.2.3/24").add(second, vlan=101)

    done = first.run("ping", "-c", "1", "-W", "1", "10.1.2.3", check=False)

    assert done.returncode == 1
    [entry] = first.json("ip", "neigh", "show", "10.1.2.3")
    assert "lladdr" not in entry


def test_first_adds_at_the_same_moment_share_one_gateway(network: Network, host: Host) -> None:
    network.config |= {"vlan": 100, "isGateway": True}
    network.ipam(V4, V6)
    containers = [host.container() for _ in range(6)]

    with ThreadPoolExecutor(len(containers)) as pool:
        results = list(pool.map(network.add, containers))

    exit_ = network.link("br0.100")
    assert {r["interfaces"][3]["mac"] for r in results} == {exit_["address"]}
    assert vlans(host, exit_["link"]) == {100: NATIVE}
    ports = {link["ifname"] for link in host.json("ip", "link", "show", "master", "br0")}
    assert ports == {port_of(r) for r in results} | {exit_["link"]}


def test_a_gateway_that_was_left_half_made_is_finished(network: Network, host: Host) -> None:
    """As an ADD leaves it that is killed between its requests to the kernel."""
    host.run("ip", "link", "add", "br0", "type", "bridge", "vlan_filtering", "1")
    veth = ("ip", "link", "add", "vethhalf", "master", "br0", "up", "type", "veth")
    host.run(*veth, "peer", "name", "br0.100")
    container = host.container()

    network.ipam(V4).add(container, vlan=100, isGateway=True)

    assert vlans(host, "vethhalf") == {100: NATIVE}
    container.run("ping", "-c", "1", "-W", "5", "10.1.2.1")


def test_the_port_of_a_gateway_leaves_the_bridge_its_mac(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br0", "up", "type", "bridge")
    for number in (7, 8):
        name, mac = f"eth{number}", f"fc:00:00:00:00:0{number}"
        host.run("ip", "link", "add", name, "address", mac, "master", "br0", "up", "type", "veth")

    network.ipam(V4).add(host.container(), vlan=100, isGateway=True)

    assert network.link("br0")["address"] == "fc:00:00:00:00:07"


def test_a_gateway_whose_bridge_was_deleted_is_put_into_the_next(
    network: Network, host: Host
) -> None:
    network.config |= {"vlan": 100, "isGateway": True}
    network.ipam(V4).add(host.container())
    before = network.link("br0.100")
    host.run("ip", "link", "delete", "br0")
    container = host.container()

    status = network.call("STATUS")
    result = network.ipam("10.1.2.3/24").add(container)

    assert (status.status, status.stdout) == (0, b"")
    exit_ = network.link("br0.100")
    assert (exit_["ifindex"], exit_["link"]) == (before["ifindex"], before["link"])
    assert network.link(exit_["link"])["master"] == "br0"
    assert vlans(host, exit_["link"]) == {100: NATIVE}
    container.run("ping", "-c", "1", "-W", "5", "10.1.2.1")
    assert network.call("CHECK", container, prevResult=result).status == 0


def test_a_gateway_that_leads_into_another_bridge_is_refused(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br1", "type", "bridge")
    veth = ("ip", "link", "add", "vethother", "master", "br1", "type", "veth")
    host.run(*veth, "peer", "name", "br0.100")
    network.ipam(V4)
    keys: dict[str, Any] = {"vlan": 100, "isGateway": True}

    status = network.call("STATUS", **keys)
    answer = network.call("ADD", host.container(), **keys)

    assert status.json["code"] == 50
    assert answer.json["code"] == 100
    assert "br0.100" in answer.error
    assert network.link("vethother")["master"] == "br1"


def test_an_administrator_s_own_interface_of_the_vlan_is_the_gateway(
    network: Network, host: Host
) -> None:
    host.run("ip", "link", "add", "br0", "up", "type", "bridge", "vlan_filtering", "1")
    own = ("ip", "link", "add", "br0.100", "link", "br0", "type", "vlan", "id", "100")
    host.run(*own)
    host.run("bridge", "vlan", "add", "vid", "100", "dev", "br0", "self")
    container = host.container()
    keys: dict[str, Any] = {"vlan": 100, "isGateway": True}

    result = network.ipam(V4).add(container, **keys)

    assert network.addresses("br0.100") == ["10.1.2.1/24"]
    container.run("ping", "-c", "1", "-W", "5", "10.1.2.1")
    assert network.call("CHECK", container, prevResult=result, **keys).status == 0


@pytest.mark.parametrize(
    "taken",
    [
        ("type", "bridge"),
        ("type", "veth", "peer", "name", "other"),
        ("link", "br0", "type", "vlan", "id", "101"),
    ],
    ids=" ".join,
)
def test_a_gateway_s_name_that_is_taken_is_refused(
    network: Network, host: Host, taken: tuple[str, ...]
) -> None:
    host.run("ip", "link", "add", "br0", "up", "type", "bridge", "vlan_filtering", "1")
    host.run("ip", "link", "add", "br0.100", *taken)
    before = network.links()
    network.ipam(V4)
    keys: dict[str, Any] = {"vlan": 100, "isGateway": True}

    status = network.call("STATUS", **keys)
    answer = network.call("ADD", host.container(), **keys)

    assert status.json["code"] == 50
    assert answer.json["code"] == 100
    assert "br0.100" in status.error
    assert "br0.100" in answer.error
    assert network.links() == before
    assert network.reserved() == set()


def test_status_of_a_network_with_vlans_is_good_and_makes_nothing(
    network: Network, host: Host
) -> None:
    before = host.links()

    answer = network.ipam(V4).call("STATUS", vlan=100, isGateway=True)

    assert (answer.status, answer.stdout) == (0, b"")
    assert host.links() == before


def test_delete_leaves_the_gateway_and_takes_the_rest(network: Network, host: Host) -> None:
    network.config |= {"vlan": 100, "isGateway": True}
    container = host.container()
    result = network.ipam(V4).add(container)
    exit_ = network.link("br0.100")

    network.delete(container, prevResult=result)

    assert network.links() == {"lo", "br0", "br0.100", exit_["link"]}


def test_delete_without_namespace_takes_the_container_s_veth_and_not_the_gateway_s(
    network: Network, host: Host
) -> None:
    network.config |= {"vlan": 100, "isGateway": True}
    container = host.container()
    result = network.ipam(V4).add(container)
    exit_ = network.link("br0.100")
    left = {"lo", "br0", "br0.100", exit_["link"]}

    network.delete(container, prevResult=result, netns="")
    assert network.links() == left

    network.delete(container, prevResult=result, netns="")
    assert network.links() == left


def test_gc_leaves_the_gateway(network: Network, host: Host) -> None:
    network.config |= {"vlan": 100, "isGateway": True}
    network.ipam(V4).add(host.container())
    exit_ = network.link("br0.100")

    answer = network.call("GC", config=network.config | {"cni.dev/valid-attachments": []})

    assert (answer.status, answer.stdout) == (0, b"")
    assert network.links() == {"lo", "br0", "br0.100", exit_["link"]}


def test_an_add_that_fails_leaves_no_port(network: Network, host: Host) -> None:
    network.ipam(V4).ipam_does("ADD", REFUSAL)

    answer = network.call("ADD", host.container(), vlan=100, isGateway=True)

    assert "out of addresses" in answer.error
    assert network.links() == {"lo", "br0"}


class Attached:
    """A container in VLAN 100 with a trunk, and the result of its ADD."""

    def __init__(self, network: Network, host: Host) -> None:
        self.network = network
        self.host = host
        network.config |= {"vlan": 100, "vlanTrunk": [{"id": 7}, {"id": 8}], "isGateway": True}
        self.container: Container = host.container()
        self.result = network.ipam(V4).add(self.container)
        self.names = {
            "PORT": port_of(self.result),
            "EXIT": gateway_port(host, self.result),
        }

    def on_host(self, *argv: str) -> None:
        self.host.run(*(self.names.get(arg, arg) for arg in argv))

    def check(self) -> str:
        answer = self.network.call("CHECK", self.container, prevResult=self.result)
        return "" if answer.status == 0 else answer.error


def _on_host(*argv: str) -> Callable[[Attached], None]:
    return lambda attached: attached.on_host(*argv)


DAMAGE: list[tuple[Callable[[Attached], None], str]] = [
    (
        _on_host("ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "0"),
        "bridge br0 does not filter VLANs",
    ),
    (_on_host("bridge", "vlan", "del", "vid", "100", "dev", "PORT"), "PORT is not in VLAN 100"),
    (_on_host("bridge", "vlan", "del", "vid", "7-8", "dev", "PORT"), "PORT is not in VLAN 7, 8"),
    (
        _on_host("bridge", "vlan", "add", "vid", "9", "dev", "PORT", "pvid"),
        "PORT is in VLAN 100, but not without a tag",
    ),
    (_on_host("bridge", "vlan", "del", "vid", "100", "dev", "EXIT"), "EXIT is not in VLAN 100"),
    (
        _on_host("ip", "link", "set", "EXIT", "nomaster"),
        "EXIT, the other end of br0.100, is no port",
    ),
    (_on_host("ip", "link", "set", "EXIT", "down"), "EXIT, the other end of br0.100, is down"),
    (_on_host("ip", "link", "set", "br0.100", "down"), "br0.100 is down"),
    (_on_host("ip", "link", "delete", "br0.100"), "host has no interface br0.100"),
    (
        _on_host("ip", "address", "flush", "dev", "br0.100"),
        "br0.100 has no address 10.1.2.1/24",
    ),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGE, ids=[said for _, said in DAMAGE])
def test_damage_is_named(
    network: Network, host: Host, damage: Callable[[Attached], None], said: str
) -> None:
    attached = Attached(network, host)
    assert attached.check() == ""

    damage(attached)

    for word, name in attached.names.items():
        said = said.replace(word, name)
    assert said in attached.check()
