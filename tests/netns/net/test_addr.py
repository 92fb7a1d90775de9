"""Addresses on the real kernel, seen by ip(8)."""

import errno
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import pytest

from cnisdk.net import _uapi as k, addr, link
from cnisdk.net.link import Link
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Container, Host

V4 = IPv4Interface("10.0.0.2/24")
V6 = IPv6Interface("fd00::2/64")


def shown(host: Host | Container, name: str = "veth0") -> list[dict[str, Any]]:
    (entry,) = host.json("ip", "address", "show", "dev", name)
    return [
        info
        for info in entry["addr_info"]
        if not (info["family"] == "inet6" and info["scope"] == "link")
    ]


def test_an_address_is_as_ip_address_add_leaves_it(host: Host, rtnl: RTNL, veth: Link) -> None:
    addr.add(rtnl, veth.index, V4)
    host.run("ip", "address", "add", "10.0.0.3/24", "dev", "peer0")

    (ours,) = shown(host)
    (theirs,) = shown(host, "peer0")
    assert ours["local"] == "10.0.0.2"
    assert "broadcast" not in ours
    for changed in ("local", "label"):
        theirs[changed] = ours[changed]
    assert ours == theirs


def test_an_ipv6_address_is_usable_at_once_without_detection(
    host: Host, rtnl: RTNL, veth: Link
) -> None:
    addr.add(rtnl, veth.index, V6, nodad=True)

    (entry,) = shown(host)
    assert (entry["local"], entry["prefixlen"], entry["nodad"]) == ("fd00::2", 64, True)
    assert "tentative" not in entry


def test_an_ipv6_address_is_tentative_with_detection(rtnl: RTNL, veth: Link) -> None:
    addr.add(rtnl, veth.index, V6)

    (entry,) = (a for a in addr.dump(rtnl, veth.index, k.AF_INET6) if a.address == V6)
    assert entry.tentative


@pytest.mark.parametrize("address", [V4, V6])
def test_an_address_comes_without_a_route_to_its_network_if_asked(
    host: Host, rtnl: RTNL, veth: Link, address: IPv4Interface | IPv6Interface
) -> None:
    addr.add(rtnl, veth.index, address, prefix_route=False)

    family = f"-{address.version}"
    routes = host.json("ip", family, "route", "show", str(address.network))
    (shown,) = host.json("ip", family, "addr", "show", "veth0", "scope", "global")
    assert routes == []
    assert [entry["local"] for entry in shown["addr_info"] if entry] == [str(address.ip)]


@pytest.mark.parametrize("address", [V4, V6])
def test_an_address_that_is_there_is_an_error_unless_replaced(
    host: Host, rtnl: RTNL, veth: Link, address: IPv4Interface | IPv6Interface
) -> None:
    addr.add(rtnl, veth.index, address, nodad=True)

    with pytest.raises(NetlinkError, match=f"add address {address} to link .*: File exists"):
        addr.add(rtnl, veth.index, address, nodad=True)
    addr.add(rtnl, veth.index, address, nodad=True, replace=True)

    assert len(shown(host)) == 1


@pytest.mark.parametrize("address", [V4, V6])
def test_an_address_is_deleted(
    host: Host, rtnl: RTNL, veth: Link, address: IPv4Interface | IPv6Interface
) -> None:
    addr.add(rtnl, veth.index, address, nodad=True)

    addr.delete(rtnl, veth.index, address)

    assert shown(host) == []
    with pytest.raises(NetlinkError, match=f"delete address {address} from link") as caught:
        addr.delete(rtnl, veth.index, address)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_addresses_are_listed_by_link_and_by_family(rtnl: RTNL, veth: Link) -> None:
    peer = link.by_name(rtnl, "peer0").index
    addr.add(rtnl, veth.index, V4)
    addr.add(rtnl, veth.index, V6, nodad=True)
    addr.add(rtnl, peer, IPv4Interface("10.0.1.2/32"))

    def listed(index: int = 0, family: int = 0) -> set[str]:
        return {
            str(entry.address)
            for entry in addr.dump(rtnl, index, family)
            if entry.scope == k.RT_SCOPE_UNIVERSE
        }

    assert listed() == {"10.0.0.2/24", "fd00::2/64", "10.0.1.2/32"}
    assert listed(veth.index) == {"10.0.0.2/24", "fd00::2/64"}
    assert listed(family=k.AF_INET) == {"10.0.0.2/24", "10.0.1.2/32"}
    assert listed(peer, k.AF_INET6) == set()


def test_a_loopback_address_has_the_scope_that_ip_gives_it(host: Host, rtnl: RTNL) -> None:
    addr.add(rtnl, 1, IPv4Interface("127.0.0.7/8"))

    scopes = {info["local"]: info["scope"] for info in shown(host, "lo")}
    assert scopes["127.0.0.7"] == "host"


def test_waiting_returns_when_all_addresses_are_usable(host: Host, rtnl: RTNL, veth: Link) -> None:
    for name in ("veth0", "peer0"):  # detection takes a second and more at the usual interval
        host.run("sysctl", "-w", f"net.ipv6.neigh.{name}.retrans_time_ms=50")
    addr.add(rtnl, veth.index, V6)

    addr.wait_usable(rtnl, veth.index, 5)

    assert not any(entry.tentative for entry in addr.dump(rtnl, veth.index))
    assert V6 in [entry.address for entry in addr.dump(rtnl, veth.index)]


def test_waiting_for_detection_ends_at_its_bound(rtnl: RTNL, veth: Link) -> None:
    addr.add(rtnl, veth.index, V6)

    with pytest.raises(NetlinkError, match=r"is tentative after 0\.05 s") as caught:
        addr.wait_usable(rtnl, veth.index, 0.05)

    assert caught.value.errno == errno.ETIMEDOUT


def test_an_address_that_somebody_else_has_is_found_to_be_a_duplicate(
    host: Host, rtnl: RTNL, inner: RTNL, inner_ns: NetNS
) -> None:
    link.add_veth(rtnl, "veth0", "eth0", peer_netns=inner_ns, up=True)
    ours, theirs = link.by_name(rtnl, "veth0").index, link.by_name(inner, "eth0").index
    link.set_up(inner, theirs)
    addr.add(inner, theirs, V6, nodad=True)
    link.wait_up(rtnl, ours, 5)
    addr.add(rtnl, ours, V6)

    with pytest.raises(NetlinkError, match="fd00::2/64 is a duplicate") as caught:
        addr.wait_usable(rtnl, ours, 5)

    assert caught.value.errno == errno.EADDRINUSE


def test_waiting_for_an_answer_ends_when_the_kernel_listens_for_who_asks(
    host: Host, rtnl: RTNL, veth: Link
) -> None:
    addr.add(rtnl, veth.index, V6, nodad=True)

    addr.wait_answering(rtnl, veth.index, [V4, V6], 5)

    groups = host.run("ip", "-6", "maddress", "show", "dev", "veth0").stdout.split()
    assert "ff02::1:ff00:2" in groups


def test_waiting_for_the_answer_of_an_address_that_is_not_there_ends_at_its_bound(
    rtnl: RTNL, veth: Link
) -> None:
    with pytest.raises(NetlinkError, match=r"to answer: .* after 0\.05 s") as caught:
        addr.wait_answering(rtnl, veth.index, [V6], 0.05)

    assert caught.value.errno == errno.ETIMEDOUT
