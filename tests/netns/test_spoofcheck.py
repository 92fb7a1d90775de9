"""Addresses that do not pass a bridge; what there is, nft(8) says."""

from typing import Any

import pytest

from cnisdk.net import execute, spoofcheck
from cnisdk.net.execute import ExecutionError
from tests.host import REFERENCE, Host

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
MAC = "02:00:00:00:00:01"
CONFIG = {
    "cniVersion": "1.0.0",
    "name": "net1",
    "type": "bridge",
    "bridge": "br0",
    "macspoofchk": True,
}


def add(host: Host, port: str = "veth0", container_id: str = "one", ifname: str = "eth0") -> None:
    with host.inside():
        spoofcheck.add(port, MAC, container_id=container_id, ifname=ifname, search_path=PATH)


def delete(host: Host, container_id: str = "one", ifname: str = "eth0") -> None:
    with host.inside():
        spoofcheck.delete(container_id=container_id, ifname=ifname, search_path=PATH)


def has(host: Host, port: str = "veth0", address: str = MAC) -> bool:
    with host.inside():
        return spoofcheck.has(port, address, container_id="one", ifname="eth0")


def gc(host: Host, *stale: str) -> None:
    with host.inside():
        spoofcheck.gc(stale.__contains__, search_path=PATH)


def ruleset(host: Host) -> str:
    return host.run("nft", "list", "ruleset").stdout


def chains(host: Host) -> set[str]:
    listed = host.json("nft", "list", "chains")["nftables"]
    return {entry["chain"]["name"] for entry in listed if "chain" in entry}


@pytest.mark.reference
def test_objects_are_those_of_the_reference(host: Host) -> None:
    container = host.container()
    answer = host.plugin("bridge", "ADD", CONFIG, container, path=REFERENCE).json
    _, port, end = answer["interfaces"]
    theirs = ruleset(host)
    host.run("nft", "flush", "ruleset")

    with host.inside():
        spoofcheck.add(
            port["name"], end["mac"], container_id=container.id, ifname="eth0", search_path=PATH
        )

    assert f"macspoofchk-{container.id}-eth0" in theirs
    assert ruleset(host) == theirs


@pytest.mark.reference
def test_what_the_reference_made_is_seen_and_taken_away(host: Host) -> None:
    container = host.container()
    answer = host.plugin("bridge", "ADD", CONFIG, container, path=REFERENCE).json
    _, port, end = answer["interfaces"]
    which = {"container_id": container.id, "ifname": "eth0"}

    with host.inside():
        assert spoofcheck.has(port["name"], end["mac"], **which)
        spoofcheck.delete(**which, search_path=PATH)

    assert chains(host) == {"PREROUTING"}
    assert container.id not in ruleset(host)


@pytest.mark.reference
def test_the_reference_takes_away_what_we_made(host: Host) -> None:
    container = host.container()
    host.plugin("bridge", "ADD", CONFIG | {"macspoofchk": False}, container, path=REFERENCE)
    add(host, container_id=container.id)

    done = host.plugin("bridge", "DEL", CONFIG, container, path=REFERENCE)

    assert done.stderr == ""
    assert chains(host) == {"PREROUTING"}
    assert container.id not in ruleset(host)


def test_adding_again_replaces_what_was_there(host: Host) -> None:
    add(host, "veth7")

    add(host, "veth8")

    assert "veth7" not in ruleset(host)
    assert ruleset(host).count("macspoofchk-one-eth0") == 4
    assert has(host, "veth8")


def test_delete_leaves_others(host: Host) -> None:
    add(host)
    alone = ruleset(host)
    add(host, "veth1", container_id="two")
    add(host, "veth2", ifname="net1")

    delete(host, "two")
    delete(host, ifname="net1")

    assert ruleset(host) == alone


def test_delete_takes_what_is_left_of_a_half_made_one(host: Host) -> None:
    add(host)
    host.run("nft", "flush", "chain", "bridge", "nat", "PREROUTING")
    host.run("nft", "flush", "chain", "bridge", "nat", "cni-br-iface-one-eth0")
    host.run("nft", "delete", "chain", "bridge", "nat", "cni-br-iface-one-eth0-mac")

    delete(host)

    assert chains(host) == {"PREROUTING"}


def test_delete_where_nothing_is_makes_and_executes_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> execute.Completed:
        raise AssertionError("something was executed")

    monkeypatch.setattr(execute, "run", refuse)

    delete(host)

    assert ruleset(host) == ""


def test_delete_succeeds_where_the_name_is_too_long_for_the_kernel(host: Host) -> None:
    with pytest.raises(ExecutionError):
        add(host, container_id="c" * 250)

    delete(host, "c" * 250)

    assert ruleset(host) == ""


def test_a_name_that_nft_has_other_uses_for_is_a_name(host: Host) -> None:
    add(host, ifname='e;"{@0')

    assert 'cni-br-iface-one-e;"{@0' in chains(host)

    delete(host, ifname='e;"{@0')

    assert chains(host) == {"PREROUTING"}


def test_without_nft_it_is_named(host: Host, tmp_path: Any) -> None:
    with host.inside(), pytest.raises(FileNotFoundError, match="nft"):
        spoofcheck.add("v", MAC, container_id="one", ifname="eth0", search_path=str(tmp_path))


def test_a_refused_transaction_changes_nothing(host: Host) -> None:
    host.run("nft", "add", "table", "bridge", "nat")
    host.run("nft", "add", "chain", "bridge", "nat", "cni-br-iface-one-eth0-mac")
    other = "{ type filter hook input priority 0; }"
    host.run("nft", "add", "chain", "bridge", "nat", "PREROUTING", other)
    before = ruleset(host)

    with pytest.raises(ExecutionError, match="nft"):
        add(host)

    assert ruleset(host) == before


@pytest.mark.parametrize(
    "damage",
    [
        ("flush", "chain", "bridge", "nat", "PREROUTING"),
        ("flush", "chain", "bridge", "nat", "cni-br-iface-one-eth0"),
        ("flush", "chain", "bridge", "nat", "cni-br-iface-one-eth0-mac"),
        ("insert", "rule", "bridge", "nat", "cni-br-iface-one-eth0-mac", "accept"),
        ("flush", "ruleset"),
    ],
    ids=" ".join,
)
def test_what_does_not_hold_any_more_is_seen(host: Host, damage: tuple[str, ...]) -> None:
    add(host)
    assert has(host)

    host.run("nft", *damage)

    assert not has(host)


def test_rules_for_another_port_or_address_do_not_count(host: Host) -> None:
    add(host)

    assert not has(host, port="veth1")
    assert not has(host, address="02:00:00:00:00:02")


def test_gc_takes_away_what_is_of_stale_ports_only(host: Host) -> None:
    add(host)
    alone = ruleset(host)
    add(host, "veth1", container_id="two")

    gc(host, "veth1")

    assert ruleset(host) == alone


def test_gc_leaves_rules_that_are_none_of_ours(host: Host) -> None:
    add(host)
    rule = ["iifname", "veth1", "drop", "comment", '"not macspoofchk-one-eth0"']
    host.run("nft", "add", "rule", "bridge", "nat", "PREROUTING", *rule)

    gc(host, "veth0", "veth1")

    assert chains(host) == {"PREROUTING"}
    assert "not macspoofchk-one-eth0" in ruleset(host)
