"""Masquerade on the real kernel; what there is, ``nft`` and ``iptables-save`` say."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

import pytest

from cnisdk.net import execute, iptables, masquerade, nft
from cnisdk.net.execute import ExecutionError
from tests.host import REFERENCE, Container, Host

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
V4 = IPv4Interface("10.9.0.2/24")
V6 = IPv6Interface("fd09::2/64")
BOTH: list[IPv4Interface | IPv6Interface] = [V4, V6]

backends = pytest.mark.parametrize("backend", masquerade.BACKENDS)


def names(container_id: str = "one", ifname: str = "eth0", network: str = "net1") -> dict[str, str]:
    return {
        "network": network,
        "ifname": ifname,
        "container_id": container_id,
        "search_path": PATH,
    }


def add(host: Host, backend: str | None, *ips: Any, **which: str) -> None:
    with host.inside():
        masquerade.add(backend, [ip_interface(ip) for ip in ips] or BOTH, **names(**which))


def delete(host: Host, *ips: Any, keep: Any = (), **which: str) -> None:
    with host.inside():
        masquerade.delete(
            ips=[ip_interface(ip) for ip in ips],
            keep=[ip_interface(ip) for ip in keep],
            **names(**which),
        )


def nft_rules(host: Host) -> list[str]:
    done = host.run("nft", "list", "chain", "inet", nft.TABLE, nft.CHAIN, check=False)
    return [line.strip() for line in done.stdout.splitlines() if " comment " in line]


def nat(host: Host, version: int = 4, variant: str = "") -> list[str]:
    """Return what containers have in iptables' nat table."""
    tool = f"{'iptables' if version == 4 else 'ip6tables'}{variant}-save"
    lines = host.run(tool, "-t", "nat").stdout.splitlines()
    return [line for line in lines if "CNI-" in line]


def found(host: Host) -> int:
    return len(nft_rules(host)) + len(nat(host)) + len(nat(host, 6))


def only_nft(host: Host) -> str:
    """Return a search path of a node without iptables."""
    directory = host.state / "bin"
    directory.mkdir()
    (directory / "nft").symlink_to(execute.find("nft", PATH) or "")
    return str(directory)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the programs that are executed from now on."""
    programs: list[str] = []
    run = execute.run

    def recording(argv: Any, **rest: Any) -> execute.Completed:
        programs.append(argv[0])
        return run(argv, **rest)

    monkeypatch.setattr(execute, "run", recording)
    return programs


# -- what is made --------------------------------------------------------------------------


def test_nftables_objects_are_those_of_the_reference(host: Host) -> None:
    add(host, "nftables", ifname="eth0", container_id="one", network="unit-test")
    said = '"6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one"'
    assert host.run("nft", "list", "ruleset").stdout.split("\n") == [
        "table inet cni_plugins_masquerade {",
        '\tcomment "Masquerading for plugins from github.com/containernetworking/plugins"',
        "\tchain masq_checks {",
        '\t\tcomment "Masquerade traffic from certain IPs to any (non-multicast) IP '
        'outside their subnet"',
        f"\t\tip saddr 10.9.0.2 ip daddr != 10.9.0.0/24 masquerade comment {said}",
        f"\t\tip6 saddr fd09::2 ip6 daddr != fd09::/64 masquerade comment {said}",
        "\t}",
        "",
        "\tchain postrouting {",
        "\t\ttype nat hook postrouting priority srcnat; policy accept;",
        "\t\tip daddr 224.0.0.0/4 return",
        "\t\tip6 daddr ff00::/8 return",
        "\t\tgoto masq_checks",
        "\t}",
        "}",
        "",
    ]


@pytest.mark.reference
def test_iptables_rules_are_what_the_reference_makes(host: Host) -> None:
    container, config = host.container(), bridge_config(host)
    host.plugin("bridge", "ADD", config, container, path=REFERENCE)
    theirs = [nat(host), nat(host, 6)]
    assert len(theirs[0]) == len(theirs[1]) == 4
    other = Host(host.state)
    try:
        add(other, "iptables", *BOTH, container_id=container.id)
        assert [nat(other), nat(other, 6)] == theirs
    finally:
        other.close()


@backends
def test_replies_find_their_way_back_only_if_masqueraded(host: Host, backend: str) -> None:
    inner, outer = host.container(), host.container()
    for container, name, address in ((inner, "in", "10.9.0"), (outer, "out", "192.0.2")):
        host.run("ip", "link", "add", name, "type", "veth", "peer", "eth0", "netns", container.name)
        host.run("ip", "addr", "add", f"{address}.1/24", "dev", name)
        host.run("ip", "link", "set", name, "up")
        container.run("ip", "addr", "add", f"{address}.2/24", "dev", "eth0")
        container.run("ip", "link", "set", "eth0", "up")
    inner.run("ip", "route", "add", "default", "via", "10.9.0.1")
    host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def seen_outside() -> str:
        with outer.inside():
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inner.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with server, client:
            server.bind(("192.0.2.2", 5353))
            server.settimeout(5)
            client.sendto(b"hello", ("192.0.2.2", 5353))
            address: tuple[str, int] = server.recvfrom(16)[1]
        return address[0]

    assert seen_outside() == "10.9.0.2"
    add(host, backend, V4)
    assert seen_outside() == "192.0.2.1"
    delete(host, V4)
    assert seen_outside() == "10.9.0.2"


@backends
def test_adding_twice_is_adding_once(host: Host, backend: str) -> None:
    add(host, backend)
    once = host.snapshot()
    add(host, backend)
    assert host.snapshot() == once


def test_nftables_forgets_addresses_of_an_earlier_attempt(host: Host) -> None:
    add(host, "nftables", "10.9.0.7/24")
    add(host, "nftables", "10.9.0.8/24")
    (rule,) = nft_rules(host)
    assert "10.9.0.8 " in rule


@pytest.mark.parametrize(
    "damage",
    [
        f"delete table inet {nft.TABLE}",
        f"flush chain inet {nft.TABLE} postrouting",
        f"add rule inet {nft.TABLE} postrouting accept",
        f"flush chain inet {nft.TABLE} postrouting; delete chain inet {nft.TABLE} postrouting",
    ],
)
def test_nftables_mends_what_somebody_broke(host: Host, damage: str) -> None:
    add(host, "nftables")
    whole = host.snapshot()
    host.run("nft", damage)
    add(host, "nftables")
    assert sorted(map(str, host.snapshot()["nft"])) == sorted(map(str, whole["nft"]))


def test_iptables_comes_to_know_a_second_subnet_before_it_masquerades(host: Host) -> None:
    add(host, "iptables", "10.9.0.2/24")
    add(host, "iptables", "10.8.0.2/24", ifname="net1")
    chain = [line.split()[-1] for line in nat(host) if line.startswith("-A CNI-")]
    assert chain == ["ACCEPT", "ACCEPT", "MASQUERADE"]


def test_long_names_fit_into_comments(host: Host) -> None:
    for backend in masquerade.BACKENDS:
        add(host, backend, V4, network="n" * 150, container_id="c" * 150)
    assert len(nft_rules(host)) == 1
    assert len(nat(host)) == 4
    delete(host, V4, network="n" * 150, container_id="c" * 150)
    assert found(host) == 0


# -- which backend -------------------------------------------------------------------------


def test_iptables_is_taken_where_it_works(host: Host) -> None:
    add(host, None)
    assert nat(host)
    assert not nft_rules(host)


@pytest.mark.parametrize("program", ["nothing", "broken"])
def test_nftables_is_taken_where_iptables_does_not_work(host: Host, program: str) -> None:
    search_path = only_nft(host)
    if program == "broken":
        for tool in ("iptables-restore", "iptables-save", "ip6tables-restore", "ip6tables-save"):
            path = Path(search_path, tool)
            path.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
            path.chmod(0o755)
    with host.inside():
        masquerade.add(None, BOTH, **{**names(), "search_path": search_path})
    assert len(nft_rules(host)) == 2


def test_nothing_to_masquerade_with_is_an_error_that_names_it(host: Host) -> None:
    with host.inside(), pytest.raises(FileNotFoundError, match="nft"):
        masquerade.add(None, BOTH, **{**names(), "search_path": str(host.state)})


def test_a_refused_transaction_shows_what_the_tool_says(host: Host) -> None:
    host.run("nft", f"add table inet {nft.TABLE}; add chain inet {nft.TABLE} postrouting")
    with pytest.raises(ExecutionError, match=r"nft: .*Error"):
        add(host, "nftables")


# -- what is taken back --------------------------------------------------------------------


@backends
@pytest.mark.parametrize("known", [BOTH, []], ids=["known", "unknown"])
def test_delete_takes_back_what_add_did(host: Host, backend: str, known: list[Any]) -> None:
    add(host, backend, container_id="other")
    before = host.snapshot()
    add(host, backend)
    assert host.snapshot() != before
    delete(host, *known)
    assert host.snapshot() == before


def test_delete_makes_nothing_where_there_is_nothing(host: Host, executed: list[str]) -> None:
    before = host.snapshot()
    delete(host, *BOTH)
    assert host.snapshot() == before
    assert executed == []


def test_delete_finds_both_backends(host: Host) -> None:
    for backend in masquerade.BACKENDS:
        add(host, backend)
    delete(host)
    assert found(host) == 0


def test_delete_finds_legacy_iptables(host: Host) -> None:
    if host.run("iptables-legacy", "-t", "nat", "-S", check=False).returncode != 0:
        pytest.skip("this kernel has no legacy iptables")
    add(host, "iptables")
    saved = host.run("iptables-save", "-t", "nat").stdout
    host.run("iptables-legacy-restore", input=saved)
    assert len(nat(host, variant="-legacy")) == 4
    delete(host, V4)
    assert not nat(host, variant="-legacy")
    assert not nat(host)


@pytest.mark.parametrize("ips", [BOTH, []], ids=["known", "unknown"])
def test_delete_needs_no_iptables_for_a_legacy_table_of_others(host: Host, ips: list[Any]) -> None:
    if host.run("iptables-legacy", "-t", "nat", "-S", check=False).returncode != 0:
        pytest.skip("this kernel has no legacy iptables")
    add(host, "nftables")
    with host.inside():
        which = {**names(), "search_path": only_nft(host)}
        masquerade.delete(ips=ips, keep=[], **which)
    assert not nft_rules(host)


@backends
def test_a_second_interface_outlives_the_first(host: Host, backend: str) -> None:
    add(host, backend, "10.9.0.3/24", ifname="net1")
    alone = host.snapshot()
    add(host, backend, "10.9.0.2/24", ifname="eth0")
    delete(host, "10.9.0.2/24", ifname="eth0")
    assert host.snapshot() == alone
    delete(host, keep=["10.9.0.3/24"], ifname="eth0")
    assert host.snapshot() == alone
    delete(host, "10.9.0.3/24", ifname="net1")
    assert found(host) == 0


def test_a_second_subnet_of_a_container_goes_with_its_interface(host: Host) -> None:
    add(host, "iptables", "10.9.0.3/24", ifname="net1")
    alone = host.snapshot()
    add(host, "iptables", "10.8.0.2/24", ifname="eth0")
    delete(host, "10.8.0.2/24", ifname="eth0")
    assert host.snapshot() == alone


@backends
def test_twenty_calls_at_once_do_not_disturb_each_other(host: Host, backend: str) -> None:
    def come_and_go(number: int) -> None:
        which = {"container_id": f"c{number % 10}", "ifname": f"eth{number // 10}"}
        ips = [f"10.9.0.{number + 2}/24", f"fd09::{number + 2}/64"]
        add(host, backend, *ips, **which)
        if number % 2:
            delete(host, *ips, **which)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(20)))
    if backend == "nftables":
        assert len(nft_rules(host)) == 20
    else:
        assert sum(line.startswith("-A POSTROUTING") for line in nat(host)) == 10
        assert sum(line.startswith(":CNI") for line in nat(host, 6)) == 5


# -- what it costs -------------------------------------------------------------------------


def test_a_usual_attachment_costs_one_execution_a_family(host: Host, executed: list[str]) -> None:
    add(host, "nftables")
    delete(host, *BOTH)
    assert executed == ["nft", "nft"]
    executed.clear()
    add(host, "iptables")
    delete(host, *BOTH)
    assert executed == [
        "iptables-restore",
        "ip6tables-restore",
        "iptables-nft-restore",
        "ip6tables-nft-restore",
    ]


# -- questions -----------------------------------------------------------------------------


@backends
def test_missing_names_the_addresses_without_a_rule(host: Host, backend: str) -> None:
    add(host, backend, V4)
    with host.inside():
        assert masquerade.missing(BOTH, **names()) == [V6]
        assert masquerade.missing(BOTH, **names(container_id="other")) == BOTH


@backends
def test_gc_leaves_valid_attachments_and_other_networks(host: Host, backend: str) -> None:
    add(host, backend, container_id="valid")
    add(host, backend, container_id="stale", network="net2")
    before = host.snapshot()
    add(host, backend, container_id="stale")
    with host.inside():
        masquerade.gc(network="net1", valid=[("valid", "eth0")], search_path=PATH)
    assert host.snapshot() == before


FOREIGN = (
    "add table ip nat; add chain ip nat mine; add rule ip nat mine ct state vmap { new : accept }"
)
"""A table of an administrator's, which iptables says is incompatible."""


@pytest.mark.parametrize("installed", [True, False], ids=["iptables", "no-iptables"])
def test_a_nat_table_of_others_is_not_asked(
    host: Host, executed: list[str], installed: bool
) -> None:
    host.run("nft", FOREIGN)
    search_path = PATH if installed else only_nft(host)
    before = host.snapshot()
    with host.inside():
        assert masquerade.missing(BOTH, **{**names(), "search_path": search_path}) == BOTH
        masquerade.gc(network="net1", valid=[], search_path=search_path)
        assert list(iptables.saved(search_path)) == []
    assert host.snapshot() == before
    assert executed == []


def test_a_table_that_iptables_does_not_understand_is_an_error_where_chains_are_ours(
    host: Host,
) -> None:
    add(host, "iptables", V4)
    host.run("nft", FOREIGN)
    with host.inside(), pytest.raises(ExecutionError, match="incompatible"):
        masquerade.gc(network="net1", valid=[], search_path=PATH)


def test_gc_with_nothing_valid_deletes_all_of_the_network(host: Host) -> None:
    for backend in masquerade.BACKENDS:
        add(host, backend)
    with host.inside():
        masquerade.gc(network="net1", valid=[], search_path=PATH)
    assert found(host) == 0


# -- with the Go plugins -------------------------------------------------------------------


def bridge_config(host: Host) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "net1",
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.9.0.0/24"}], [{"subnet": "fd09::/64"}]],
            "dataDir": str(host.state),
        },
    }


def attach(host: Host) -> tuple[Container, dict[str, Any]]:
    """Attach two containers with the Go plugins; return the second."""
    config = bridge_config(host)
    host.plugin("bridge", "ADD", config, host.container(), path=REFERENCE)
    container = host.container()
    return container, host.plugin("bridge", "ADD", config, container, path=REFERENCE).json


@pytest.mark.reference
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_delete_takes_back_what_the_reference_did(host: Host, known: bool) -> None:
    container, result = attach(host)
    ips = [ip["address"] for ip in result["ips"]] if known else []
    assert len(nat(host)) == 8
    delete(host, *ips, container_id=container.id)
    assert len(nat(host)) == len(nat(host, 6)) == 4
    assert not [line for line in nat(host) if container.id in line]


@pytest.mark.reference
def test_the_reference_takes_back_what_add_did(host: Host) -> None:
    container, result = attach(host)
    ips = [ip["address"] for ip in result["ips"]]
    delete(host, *ips, container_id=container.id)
    add(host, "iptables", *ips, container_id=container.id)
    assert len(nat(host)) == 8
    config = json.dumps(bridge_config(host)).encode()
    host.plugin("bridge", "DEL", config, container, path=REFERENCE)
    assert len(nat(host)) == len(nat(host, 6)) == 4


@pytest.mark.reference
def test_gc_collects_what_the_reference_left(host: Host) -> None:
    attach(host)
    with host.inside():
        masquerade.gc(network="net1", valid=[], search_path=PATH)
        assert not iptables.masqueraded(BOTH, network="net1", container_id="one", search_path=PATH)
    assert found(host) == 0
