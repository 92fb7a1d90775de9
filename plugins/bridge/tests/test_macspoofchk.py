"""A container sends under its own MAC address, or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host import REFERENCE, Container, Host

from .conftest import REFUSAL, Network

V4, V6 = "10.1.2.2/24", "2001:db8::2/64"
SPOOFED = "02:00:00:00:00:66"


@pytest.fixture
def held(network: Network) -> Network:
    network.config |= {"macspoofchk": True, "isGateway": True}
    return network.ipam(V4, V6)


def chains(host: Host) -> set[str]:
    listed = host.json("nft", "list", "chains", "bridge")["nftables"]
    return {entry["chain"]["name"] for entry in listed if "chain" in entry}


def of(container: Container) -> set[str]:
    chain = f"cni-br-iface-{container.id}-eth0"
    return {chain, f"{chain}-mac"}


def comments(host: Host, chain: str) -> list[str]:
    listed = host.json("nft", "list", "chain", "bridge", "nat", chain)["nftables"]
    return [entry["rule"]["comment"] for entry in listed if "rule" in entry]


def learned(host: Host) -> set[str]:
    """The MAC addresses that br0 has seen frames of."""
    entries = host.json("bridge", "fdb", "show", "br", "br0", "dynamic")
    return {entry["mac"] for entry in entries}


def send_as(container: Container, mac: str) -> int:
    """Have a container ask for the gateway under a MAC address; return ping's exit status."""
    container.run("ip", "link", "set", "eth0", "address", mac)
    ping = ("ping", "-c", "1", "-W", "0.3", "10.1.2.1")
    return container.run(*ping, check=False).returncode


def test_rules_carry_the_reference_s_comments(held: Network, host: Host) -> None:
    container = host.container()

    held.add(container)

    said = f"macspoofchk-{container.id}-eth0"
    chain = f"cni-br-iface-{container.id}-eth0"
    assert comments(host, "PREROUTING") == [said]
    assert comments(host, chain) == [said]
    assert comments(host, f"{chain}-mac") == [said, said]


def test_what_a_container_sends_under_its_own_address_passes(held: Network, host: Host) -> None:
    container = host.container()
    result = held.add(container)

    assert send_as(container, result["interfaces"][2]["mac"]) == 0


def test_what_it_sends_under_another_address_is_dropped(held: Network, host: Host) -> None:
    container = host.container()
    held.add(container)

    assert send_as(container, SPOOFED) == 1
    assert SPOOFED not in learned(host)


def test_without_the_key_it_would_pass(held: Network, host: Host) -> None:
    container = host.container()
    held.add(container, macspoofchk=False)

    assert send_as(container, SPOOFED) == 0
    assert SPOOFED in learned(host)


def test_the_address_that_was_asked_for_passes(held: Network, host: Host) -> None:
    container = host.container()

    held.add(container, runtimeConfig={"mac": "02:00:00:00:00:05"})

    assert send_as(container, "02:00:00:00:00:05") == 0


def test_it_works_without_ipam(network: Network, host: Host) -> None:
    container = host.container()

    network.add(container, macspoofchk=True)

    assert of(container) < chains(host)


@pytest.mark.parametrize("netns", [None, "", "/run/netns/gone"])
def test_delete_takes_the_chains_and_leaves_others(
    held: Network, host: Host, netns: str | None
) -> None:
    container, other = host.container(), host.container()
    held.ipam("10.1.2.3/24").add(other)
    before = host.run("nft", "list", "ruleset").stdout
    held.ipam(V4).add(container)

    held.delete(container, netns=netns)

    assert host.run("nft", "list", "ruleset").stdout == before


def test_delete_where_nothing_is_makes_no_tables(held: Network, host: Host) -> None:
    before = host.snapshot()

    held.delete(host.container())

    assert host.snapshot() == before


def test_an_add_that_fails_later_leaves_no_chains(held: Network, host: Host) -> None:
    container = host.container()
    held.ipam_does("ADD", REFUSAL)

    assert "out of addresses" in held.call("ADD", container).error
    assert chains(host) == {"PREROUTING"}
    assert held.links() == {"lo", "br0"}


def test_an_add_without_nft_fails_and_leaves_nothing(
    held: Network, host: Host, tmp_path: Path
) -> None:
    held.search_path = str(tmp_path)
    container = host.container()

    assert "nft" in held.call("ADD", container).error
    assert held.links() == {"lo", "br0"}
    assert held.links(container) == {"lo"}


def _nft(*argv: str) -> Callable[[Host, Container], object]:
    return lambda host, container: host.run("nft", *(a.replace("ID", container.id) for a in argv))


CHAIN = "cni-br-iface-ID-eth0"


@pytest.mark.parametrize(
    "damage",
    [
        _nft("flush", "ruleset"),
        _nft("flush", "chain", "bridge", "nat", "PREROUTING"),
        _nft("flush", "chain", "bridge", "nat", CHAIN),
        _nft("flush", "chain", "bridge", "nat", f"{CHAIN}-mac"),
    ],
)
def test_check_names_an_address_that_is_not_held_to_any_more(
    held: Network, host: Host, damage: Callable[[Host, Container], object]
) -> None:
    container = host.container()
    result = held.add(container)
    assert held.call("CHECK", container, prevResult=result).status == 0

    damage(host, container)

    answer = held.call("CHECK", container, prevResult=result)
    port, mac = result["interfaces"][1]["name"], result["interfaces"][2]["mac"]
    assert f"{port} is not held to MAC address {mac}" in answer.error


@pytest.mark.reference
def test_go_and_we_take_away_each_other_s_in_every_order(held: Network, host: Host) -> None:
    """Its older versions know no 1.1.0."""
    held.config |= {"cniVersion": "1.0.0"}
    held.ipam(V4)
    path = f"{REFERENCE}:{held.path}"
    container = host.container()

    host.plugin("bridge", "ADD", held.config, container, path=path)
    assert of(container) < chains(host)
    held.delete(container)
    assert chains(host) == {"PREROUTING"}

    result = held.add(container)
    host.plugin("bridge", "CHECK", held.config | {"prevResult": result}, container, path=path)
    host.plugin("bridge", "DEL", held.config, container, path=path)
    assert chains(host) == {"PREROUTING"}


# -- GC -------------------------------------------------------------------------------------


def gc(network: Network, *valid: Container, **keys: object) -> None:
    pairs = [{"containerID": container.id, "ifname": "eth0"} for container in valid]
    config = network.config | {"cni.dev/valid-attachments": pairs} | keys
    answer = network.call("GC", config=config)
    assert (answer.status, answer.stdout) == (0, b"")


def test_gc_takes_the_chains_of_attachments_that_are_not_valid(held: Network, host: Host) -> None:
    kept, lost = host.container(), host.container()
    held.ipam("10.1.2.2/24").add(kept)
    held.ipam("10.1.2.3/24").add(lost)

    gc(held, kept)

    assert chains(host) == {"PREROUTING"} | of(kept)
    assert comments(host, "PREROUTING") == [f"macspoofchk-{kept.id}-eth0"]


def test_gc_leaves_the_chains_of_other_networks(held: Network, host: Host) -> None:
    """Which network a chain is of only its port tells."""
    container = host.container()
    held.add(container)

    gc(held, name="net2")

    assert of(container) < chains(host)


@pytest.mark.reference
def test_gc_takes_the_chains_whose_port_is_gone_whoever_made_them(
    held: Network, host: Host
) -> None:
    held.config |= {"cniVersion": "1.0.0"}
    held.ipam(V4)
    path = f"{REFERENCE}:{held.path}"
    gone, there = host.container(), host.container()
    for container in (gone, there):
        host.plugin("bridge", "ADD", held.config, container, path=path)
    gone.run("ip", "link", "delete", "eth0")  # as with its namespace

    gc(held, cniVersion="1.1.0")

    assert chains(host) == {"PREROUTING"} | of(there)
