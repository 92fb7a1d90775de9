"""Many at once, and beside the reference plugins."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.host import OURS, REFERENCE, Container, Host

from .conftest import Network

AT_ONCE = 12


def _network(host: Host, bridge: str) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "net1",
        "type": "bridge",
        "bridge": bridge,
        "isDefaultGateway": True,
        "ipMasq": True,
        "ipMasqBackend": "iptables",  # the only one that older reference plugins know
        "ipam": {
            "type": "host-local",
            "dataDir": str(host.state / "ipam"),
            "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]],
        },
    }


def test_first_adds_at_the_same_moment_share_one_bridge(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True}
    network.ipam("10.1.2.2/24", "2001:db8::2/64")
    containers = [host.container() for _ in range(AT_ONCE)]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(network.add, containers))

    bridge = network.link("br0")
    assert {r["interfaces"][0]["mac"] for r in results} == {bridge["address"]}
    assert network.addresses("br0") == ["10.1.2.1/24", "2001:db8::1/64"]
    ports = {link["ifname"] for link in host.json("ip", "link", "show", "master", "br0")}
    assert ports == {r["interfaces"][1]["name"] for r in results}


def test_adds_and_deletes_at_the_same_moment_leave_nothing(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    network.ipam("10.1.2.2/24")
    stays = host.container()
    network.add(stays)
    before = host.snapshot()

    def come_and_go(container: Container) -> None:
        for _ in range(3):
            network.add(container)
            network.delete(container)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, [host.container() for _ in range(4)]))

    assert host.snapshot() == before


@pytest.mark.reference
@pytest.mark.parametrize(
    ("adding", "deleting"), [(OURS, REFERENCE), (REFERENCE, OURS)], ids=["ours-go", "go-ours"]
)
def test_what_one_bridge_plugin_adds_the_other_deletes(
    host: Host, adding: str, deleting: str
) -> None:
    config = _network(host, "br0")
    # what the reference plugin does to a new bridge changes its routes for two seconds
    host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
    stays, goes = host.container(), host.container()
    host.plugin("bridge", "ADD", config, stays, path=f"{adding}:{REFERENCE}")
    before = host.snapshot()

    result = host.plugin("bridge", "ADD", config, goes, path=f"{adding}:{REFERENCE}").json
    during = {**config, "prevResult": result}
    host.plugin("bridge", "CHECK", during, goes, path=f"{deleting}:{REFERENCE}")
    host.plugin("bridge", "DEL", during, goes, path=f"{deleting}:{REFERENCE}")

    after = host.snapshot()
    for snapshot in (before, after):
        snapshot["files"] = {
            name: data
            for name, data in snapshot["files"].items()
            if not Path(name).name.startswith("last_reserved_ip")
            and not name.startswith("ipam/.index/")  # made anew whenever the reference was there
        }
    assert after == before


@pytest.mark.reference
@pytest.mark.parametrize("version", ["0.2.0", "0.4.0", "1.0.0"])
def test_the_result_is_that_of_the_reference_plugin(host: Host, version: str) -> None:
    results = []
    for path, bridge in ((OURS, "br0"), (REFERENCE, "br0")):
        config = _network(host, bridge) | {"cniVersion": version}
        container = host.container()
        result = host.plugin("bridge", "ADD", config, container, path=f"{path}:{REFERENCE}").json
        host.plugin("bridge", "DEL", config, container, path=f"{path}:{REFERENCE}")
        for interface in result.get("interfaces", ()):
            interface["mac"] = interface["mac"] and "MAC"
            if interface["name"].startswith("veth"):
                interface["name"] = "VETH"
            interface.pop("sandbox", None)
        if result.get("dns") == {}:
            del result["dns"]  # older reference plugins print an empty one in every version
        results.append(_without_addresses(result))
    assert results[0] == results[1]


def _without_addresses(value: Any) -> Any:
    """Replace what differs from one container to the next."""
    if isinstance(value, dict):
        return {
            k: "IP" if k in ("ip", "address") else _without_addresses(v) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_without_addresses(item) for item in value]
    return value
