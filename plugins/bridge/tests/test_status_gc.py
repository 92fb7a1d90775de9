"""STATUS says whether ADD can work; GC releases what nobody uses."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.host import REFERENCE, Container, Host

from .conftest import REFUSAL, Network

V4 = "10.1.2.2/24"


def test_status_of_a_usable_network_is_good(network: Network) -> None:
    answer = network.ipam(V4).call("STATUS")

    assert (answer.status, answer.stdout) == (0, b"")


def test_status_without_ipam_is_good(network: Network) -> None:
    assert network.call("STATUS").status == 0


def test_status_is_50_when_the_bridge_s_name_is_taken(network: Network, host: Host) -> None:
    host.run("ip", "link", "add", "br0", "type", "ifb")

    answer = network.call("STATUS")

    assert answer.json["code"] == 50
    assert "br0" in answer.error


def test_status_of_ipam_is_passed_on(network: Network) -> None:
    network.ipam(V4).ipam_does("STATUS", REFUSAL.replace("100", "51"))

    answer = network.call("STATUS")

    assert answer.json["code"] == 51
    assert "out of addresses" in answer.error


def test_status_makes_nothing(network: Network, host: Host) -> None:
    before = host.snapshot()

    network.ipam(V4).call("STATUS")

    assert host.snapshot() == before


@pytest.mark.parametrize("today", [True, False], ids=["configured", "edited-away"])
def test_gc_removes_the_rules_of_attachments_that_are_not_valid(
    network: Network, host: Host, today: bool
) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    kept, lost = host.container(), host.container()
    network.ipam("10.1.2.2/24").add(kept)
    network.ipam("10.1.2.3/24").add(lost)
    valid = [{"containerID": kept.id, "ifname": "eth0"}]
    network.config["ipMasq"] = today

    answer = network.call("GC", config=network.config | {"cni.dev/valid-attachments": valid})

    assert (answer.status, answer.stdout) == (0, b"")
    rules = host.run("nft", "list", "ruleset").stdout
    assert kept.id in rules
    assert lost.id not in rules


def test_gc_leaves_the_rules_of_other_networks(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    container = host.container()
    network.ipam(V4).add(container)

    network.call("GC", config=network.config | {"name": "net2", "cni.dev/valid-attachments": []})

    assert container.id in host.run("nft", "list", "ruleset").stdout


def test_gc_is_forwarded_to_ipam(network: Network) -> None:
    network.ipam(V4).ipam_does("GC", 'cat >"$here/gc.stdin"\n')

    network.call("GC", config=network.config | {"cni.dev/valid-attachments": []})

    assert "cni.dev/valid-attachments" in (network.bin / "gc.stdin").read_text()


def test_gc_removes_rules_even_if_ipam_fails(network: Network, host: Host) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    container = host.container()
    network.ipam(V4).add(container)
    network.ipam_does("GC", REFUSAL)

    answer = network.call("GC", config=network.config | {"cni.dev/valid-attachments": []})

    assert "out of addresses" in answer.error
    assert container.id not in host.run("nft", "list", "ruleset").stdout


def _gc(network: Network, *valid: Container, **keys: Any) -> None:
    pairs = [{"containerID": container.id, "ifname": "eth0"} for container in valid]
    config = network.config | {"cni.dev/valid-attachments": pairs} | keys
    answer = network.call("GC", config=config)
    assert (answer.status, answer.stdout) == (0, b"")


def test_gc_removes_the_links_of_attachments_that_are_not_valid(
    network: Network, host: Host
) -> None:
    kept, lost = host.container(), host.container()
    result = network.ipam("10.1.2.2/24").add(kept)
    network.ipam("10.1.2.3/24").add(lost)

    _gc(network, kept)

    assert network.links() == {"lo", "br0", result["interfaces"][1]["name"]}
    assert network.links(lost) == {"lo"}


def test_gc_goes_by_the_interface_too(network: Network, host: Host) -> None:
    container = host.container()
    result = network.ipam("10.1.2.2/24").add(container)
    network.ipam("10.1.2.3/24").add(container, ifname="net1")

    _gc(network, container)

    assert network.links() == {"lo", "br0", result["interfaces"][1]["name"]}
    assert network.links(container) == {"lo", "eth0"}


def test_gc_with_no_valid_attachment_removes_all(network: Network, host: Host) -> None:
    container = host.container()
    network.ipam(V4).add(container)

    _gc(network)

    assert network.links() == {"lo", "br0"}


def test_gc_finds_a_link_that_was_taken_off_the_bridge(network: Network, host: Host) -> None:
    result = network.ipam(V4).add(host.container())
    host.run("ip", "link", "set", result["interfaces"][1]["name"], "nomaster")

    _gc(network)

    assert network.links() == {"lo", "br0"}


def test_gc_leaves_the_links_of_other_networks(network: Network, host: Host) -> None:
    network.ipam(V4).add(host.container())
    before = network.links()

    _gc(network, name="net2")
    _gc(network, name="net")

    assert network.links() == before


def test_gc_leaves_ports_that_others_put_on_the_bridge(network: Network, host: Host) -> None:
    network.ipam(V4).add(host.container())
    veth = ("ip", "link", "add", "uplink", "master", "br0", "type", "veth", "peer", "name", "far")
    host.run(*veth)

    _gc(network)

    assert network.links() == {"lo", "br0", "uplink", "far"}


@pytest.mark.reference
def test_gc_leaves_what_the_reference_made_and_its_namespace_will_take(
    network: Network, host: Host
) -> None:
    """It says nowhere of which network a link is."""
    network.config |= {"cniVersion": "1.0.0"}
    path = f"{REFERENCE}:{network.path}"
    host.plugin("bridge", "ADD", network.ipam(V4).config, host.container(), path=path)
    before = network.links()

    _gc(network, cniVersion="1.1.0")

    assert network.links() == before


# -- STATUS says 50 before ADD fails ---------------------------------------------------------


def _only(directory: Path, *programs: str) -> str:
    """A PATH with nothing but ``programs`` in it."""
    directory.mkdir()
    for program in programs:
        found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert found
        (directory / program).symlink_to(found)
    return str(directory)


@pytest.mark.parametrize(
    ("keys", "programs", "said"),
    [
        ({"macspoofchk": True}, (), "$.macspoofchk: true"),
        ({"ipMasq": True}, (), "$.ipMasq: true"),
        ({"ipMasq": True, "ipMasqBackend": "nftables"}, ("iptables-restore",), "nftables"),
        ({"ipMasq": True, "ipMasqBackend": "iptables"}, ("nft",), "iptables is not there"),
    ],
)
def test_status_and_add_fail_for_want_of_a_tool(
    network: Network,
    host: Host,
    tmp_path: Path,
    keys: dict[str, Any],
    programs: tuple[str, ...],
    said: str,
) -> None:
    network.ipam(V4)
    network.search_path = _only(tmp_path / "tools", *programs)

    status = network.call("STATUS", **keys)
    answer = network.call("ADD", host.container(), **keys)

    assert status.json["code"] == 50
    assert said in status.error
    assert answer.status != 0
    assert network.links() == {"lo", "br0"}


@pytest.mark.parametrize(
    ("keys", "programs"),
    [
        ({"macspoofchk": True}, ("nft",)),
        ({"ipMasq": True}, ("nft",)),
        ({"ipMasq": True, "ipMasqBackend": "nftables"}, ("nft",)),
        ({"ipMasq": True}, ("iptables-restore", "ip6tables-restore", "iptables-save")),
        ({"ipMasq": False, "ipMasqBackend": "iptables"}, ()),
    ],
)
def test_status_and_add_are_content_with_the_tools_they_need(
    network: Network, host: Host, tmp_path: Path, keys: dict[str, Any], programs: tuple[str, ...]
) -> None:
    network.ipam(V4)
    network.search_path = _only(tmp_path / "tools", *programs)

    assert network.call("STATUS", **keys).status == 0
    network.add(host.container(), **keys)


def test_status_is_50_when_the_ipam_plugin_is_not_there(network: Network) -> None:
    answer = network.call("STATUS", ipam={"type": "nowhere"})

    assert answer.json["code"] == 50
    assert "nowhere" in answer.error
