"""DEL takes away what ADD made, with whatever is left to go by."""

from pathlib import Path
from typing import Any

import pytest

from cnisdk.net import execute
from tests.host import Container, Host

from .conftest import REFUSAL, Network

V4, V6 = "10.1.2.2/24", "2001:db8::2/64"
BACKENDS = ["iptables", "nftables"]


def _rules(host: Host) -> str:
    """All masquerading rules as text."""
    return "".join(
        host.run(*argv).stdout
        for argv in (("nft", "list", "ruleset"), ("iptables-save",), ("ip6tables-save",))
    )


def _attach(network: Network, container: Container, **keys: Any) -> dict[str, Any]:
    network.config |= {"isGateway": True, **keys}
    return network.ipam(V4, V6).add(container)


def test_delete_takes_the_link_away_and_releases_the_address(network: Network, host: Host) -> None:
    container = host.container()
    _attach(network, container)

    network.delete(container)

    assert network.links(container) == {"lo"}
    assert network.links() == {"lo", "br0"}
    assert network.reserved() == set()


def test_delete_can_be_repeated(network: Network, host: Host) -> None:
    container = host.container()
    _attach(network, container, ipMasq=True, ipMasqBackend="nftables")

    network.delete(container)
    after = host.snapshot()
    network.delete(container)

    assert host.snapshot() == after


def test_delete_of_what_was_never_added_succeeds(network: Network, host: Host) -> None:
    before = host.snapshot()

    network.ipam(V4).delete(host.container())

    assert host.snapshot() == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_masquerading_lasts_from_add_to_delete(network: Network, host: Host, backend: str) -> None:
    container = host.container()

    _attach(network, container, ipMasq=True, ipMasqBackend=backend)
    during = _rules(host)
    network.delete(container)

    assert "10.1.2.2" in during
    assert "2001:db8::2" in during
    assert container.id in during
    after = _rules(host)
    assert "10.1.2.2" not in after
    assert "2001:db8::2" not in after
    assert container.id not in after


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("today", [False, "true"], ids=["off", "mistyped"])
def test_rules_go_that_the_configuration_no_longer_speaks_of(
    network: Network, host: Host, backend: str, today: Any
) -> None:
    container, other = host.container(), host.container()
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": backend}
    network.ipam("10.1.2.3/24").add(other)
    before = _rules(host)
    network.ipam(V4, V6).add(container, macspoofchk=True)

    network.call("DEL", container, ipMasq=today)

    assert container.id not in _rules(host)
    assert other.id in before
    assert other.id in _rules(host)


def test_delete_of_a_plain_network_executes_ipam_alone(
    network: Network, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, other = host.container(), host.container()
    network.config["isGateway"] = True
    for backend in BACKENDS:  # the tables are there, with rules of others
        masquerading = {"ipMasq": True, "ipMasqBackend": backend, "macspoofchk": True}
        network.ipam("10.1.2.3/24").call("DEL", other)
        network.add(other, **masquerading)
    network.ipam(V4).add(container)
    rules = _rules(host)

    programs: list[str] = []
    run = execute.run

    def recording(argv: Any, **rest: Any) -> execute.Completed:
        programs.append(Path(argv[0]).name)
        return run(argv, **rest)

    monkeypatch.setattr(execute, "run", recording)
    network.delete(container)
    monkeypatch.undo()

    assert programs == [network.config["ipam"]["type"]]
    assert _rules(host) == rules
    assert network.links(container) == {"lo"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("netns", ["", "/run/netns/gone"])
def test_delete_without_a_namespace_leaves_nothing(
    network: Network, host: Host, backend: str, netns: str
) -> None:
    container = host.container()
    result = _attach(network, container, ipMasq=True, ipMasqBackend=backend)

    network.delete(container, netns=netns, prevResult=result)

    assert container.id not in _rules(host)
    assert network.reserved() == set()
    assert network.links() == {"lo", "br0"}


def test_delete_finds_nftables_rules_without_namespace_and_result(
    network: Network, host: Host
) -> None:
    container = host.container()
    _attach(network, container, ipMasq=True, ipMasqBackend="nftables")

    network.delete(container, netns="")

    assert container.id not in _rules(host)


def test_delete_leaves_a_link_that_only_has_the_recorded_name(network: Network, host: Host) -> None:
    container = host.container()
    result = _attach(network, container)
    network.delete(container)
    name = result["interfaces"][1]["name"]
    host.run("ip", "link", "add", name, "type", "veth", "peer", "name", "other")

    network.delete(container, netns="", prevResult=result)

    assert name in network.links()


def test_delete_leaves_the_bridge_when_the_result_names_nothing_else(
    network: Network, host: Host
) -> None:
    result = _attach(network, host.container())
    result["interfaces"] = result["interfaces"][:1]

    network.delete(host.container(), netns="", prevResult=result)

    assert "br0" in network.links()


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_interfaces_of_one_container_end_independently(
    network: Network, host: Host, backend: str
) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": backend}
    container = host.container()
    network.ipam("10.1.2.2/24").add(container, ifname="eth0")
    network.ipam("10.1.2.3/24").add(container, ifname="eth1")

    network.delete(container, ifname="eth0")

    rules = _rules(host)
    assert "10.1.2.2" not in rules
    assert "10.1.2.3" in rules
    assert network.links(container) == {"lo", "eth1"}
    network.delete(container, ifname="eth1")
    assert container.id not in _rules(host)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_repeated_delete_leaves_the_other_interface_alone(
    network: Network, host: Host, backend: str
) -> None:
    network.config |= {"isGateway": True, "ipMasq": True, "ipMasqBackend": backend}
    container = host.container()
    network.ipam("10.1.2.2/24").add(container, ifname="eth0")
    network.ipam("10.1.2.3/24").add(container, ifname="eth1")
    network.delete(container, ifname="eth0")

    network.delete(container, ifname="eth0")

    assert "10.1.2.3" in _rules(host)
    assert network.links(container) == {"lo", "eth1"}


def test_delete_goes_on_when_ipam_fails_and_reports_it(network: Network, host: Host) -> None:
    container = host.container()
    _attach(network, container, ipMasq=True, ipMasqBackend="nftables")
    network.ipam_does("DEL", REFUSAL)

    answer = network.call("DEL", container)

    assert "out of addresses" in answer.error
    assert network.links() == {"lo", "br0"}
    assert container.id not in _rules(host)


def test_delete_tolerates_what_add_refuses(network: Network, host: Host) -> None:
    container = host.container()
    _attach(network, container)

    network.delete(
        container,
        vlan=5,
        macspoofchk=True,
        vlanTrunk=[{"id": 7}],
        promiscMode=True,
        hairpinMode=True,
    )

    assert network.links() == {"lo", "br0"}
    assert network.reserved() == set()


def test_delete_without_namespace_and_result_finds_the_link_by_its_mark(
    network: Network, host: Host
) -> None:
    container, other = host.container(), host.container()
    network.config |= {"isGateway": True}
    network.ipam("10.1.2.2/24").add(container)
    stays = network.ipam("10.1.2.3/24").add(other)

    network.delete(container, netns="")

    assert network.links() == {"lo", "br0", stays["interfaces"][1]["name"]}
    assert network.links(container) == {"lo"}


def test_delete_with_a_broken_configuration_still_releases(network: Network, host: Host) -> None:
    container = host.container()
    _attach(network, container)

    answer = network.call("DEL", container, mtu="1500")

    assert "$.mtu" in answer.error
    assert network.links() == {"lo", "br0"}
    assert network.reserved() == set()


def test_delete_leaves_a_link_of_another_kind(network: Network, host: Host) -> None:
    container = host.container()
    container.run("ip", "link", "add", "eth0", "type", "ifb")

    network.ipam(V4).delete(container)

    assert network.links(container) == {"lo", "eth0"}


def test_delete_makes_no_firewall_tables(network: Network, host: Host) -> None:
    before = host.json("nft", "list", "ruleset")

    network.config |= {"ipMasq": True}
    network.ipam(V4).delete(host.container())

    assert host.json("nft", "list", "ruleset") == before
