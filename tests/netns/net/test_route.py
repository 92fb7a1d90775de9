"""Routes on the real kernel, seen by ip(8)."""

import errno
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any

import pytest

from cnisdk.net import _uapi as k, addr, route
from cnisdk.net.link import Link
from cnisdk.net.route import NextHop, Route
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Host

DEFAULT4, DEFAULT6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")
GW4, GW6 = IPv4Address("10.0.0.1"), IPv6Address("fd00::1")
NET4, NET6 = IPv4Network("10.9.0.0/16"), IPv6Network("fd09::/64")


@pytest.fixture
def index(rtnl: RTNL, veth: Link) -> int:
    addr.add(rtnl, veth.index, IPv4Interface("10.0.0.2/24"))
    addr.add(rtnl, veth.index, IPv6Interface("fd00::2/64"), nodad=True)
    return veth.index


def shown(host: Host, dst: str, *selector: str) -> list[dict[str, Any]]:
    family = "-6" if ":" in dst else "-4"
    listed = host.json("ip", family, "-d", "route", "show", *selector)
    return [entry for entry in listed if entry["dst"] == dst]


def test_default_routes_are_added(host: Host, rtnl: RTNL, index: int) -> None:
    route.add(rtnl, Route(DEFAULT4, gw=GW4))
    route.add(rtnl, Route(DEFAULT6, gw=GW6, index=index))

    (v4,), (v6,) = shown(host, "default"), host.json("ip", "-6", "route", "show", "default")
    assert (v4["gateway"], v4["dev"], v4["protocol"]) == ("10.0.0.1", "veth0", "boot")
    assert (v6["gateway"], v6["dev"]) == ("fd00::1", "veth0")


@pytest.mark.parametrize(("dst", "gw"), [(NET4, GW4), (NET6, GW6)], ids=["IPv4", "IPv6"])
def test_everything_a_route_can_say_is_said(
    host: Host, rtnl: RTNL, index: int, dst: route.IPNetwork, gw: route.IPAddress
) -> None:
    src = IPv4Address("10.0.0.2") if gw.version == 4 else IPv6Address("fd00::2")
    wanted = Route(dst, gw, index, table=5000, priority=7, mtu=1300, advmss=1200, src=src)

    route.add(rtnl, wanted)

    (entry,) = shown(host, str(dst), "table", "5000")
    assert (entry["gateway"], entry["metric"], entry["prefsrc"]) == (str(gw), 7, str(src))
    assert entry["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    assert route.dump(rtnl, table=5000) == [wanted._replace(scope=k.RT_SCOPE_UNIVERSE)]


@pytest.mark.parametrize("dst", [NET4, NET6], ids=["IPv4", "IPv6"])
def test_a_blackhole_is_made_and_deleted_by_its_priority(
    host: Host, rtnl: RTNL, dst: route.IPNetwork
) -> None:
    for priority in (5, 6):
        route.add(rtnl, Route(dst, type=route.BLACKHOLE, priority=priority))
    route.delete(rtnl, Route(dst, type=route.BLACKHOLE, priority=5))

    (entry,) = shown(host, str(dst))
    assert (entry["type"], entry["metric"]) == ("blackhole", 6)


def test_a_route_without_gateway_is_for_the_link(host: Host, rtnl: RTNL, index: int) -> None:
    route.add(rtnl, Route(NET4, index=index))

    (entry,) = shown(host, str(NET4))
    assert (entry["scope"], entry["dev"]) == ("link", "veth0")


def test_a_scope_is_what_was_asked_for(host: Host, rtnl: RTNL, index: int) -> None:
    route.add(rtnl, Route(NET4, index=index, scope=k.RT_SCOPE_SITE))

    (entry,) = shown(host, str(NET4))
    assert entry["scope"] == "site"


def test_an_onlink_gateway_needs_no_route_to_it(host: Host, rtnl: RTNL, index: int) -> None:
    gw = IPv4Address("192.168.9.9")
    with pytest.raises(NetlinkError, match="Nexthop has invalid gateway") as caught:
        route.add(rtnl, Route(NET4, gw=gw, index=index))
    assert str(caught.value).startswith(f"add route 10.9.0.0/16 via 192.168.9.9 link {index}: ")

    route.add(rtnl, Route(NET4, gw=gw, index=index, onlink=True))

    (entry,) = shown(host, str(NET4))
    assert (entry["gateway"], entry["flags"]) == ("192.168.9.9", ["onlink"])


def test_an_ipv4_route_goes_through_an_ipv6_gateway(host: Host, rtnl: RTNL, index: int) -> None:
    wanted = Route(NET4, gw=GW6, index=index, scope=k.RT_SCOPE_UNIVERSE)

    route.add(rtnl, wanted)

    (entry,) = shown(host, str(NET4))
    assert entry["via"] == {"family": "inet6", "host": "fd00::1"}
    assert wanted in route.dump(rtnl)


@pytest.mark.parametrize(("dst", "gw"), [(NET4, GW4), (NET6, GW6)], ids=["IPv4", "IPv6"])
def test_a_route_has_several_next_hops(
    host: Host, rtnl: RTNL, index: int, dst: route.IPNetwork, gw: route.IPAddress
) -> None:
    hops = (NextHop(gw, index, weight=3), NextHop(gw + 4, index))

    route.add(rtnl, Route(dst, nexthops=hops))

    (entry,) = shown(host, str(dst))
    assert [(hop["gateway"], hop["weight"]) for hop in entry["nexthops"]] == [
        (str(gw), 3),
        (str(gw + 4), 1),
    ]
    (found,) = (r for r in route.dump(rtnl, index=index) if r.dst == dst)
    assert found.nexthops == hops
    route.delete(rtnl, found)
    assert shown(host, str(dst)) == []


def test_appending_an_ipv6_route_adds_a_next_hop(host: Host, rtnl: RTNL, index: int) -> None:
    route.add(rtnl, Route(NET6, gw=GW6, index=index), append=True)
    route.add(rtnl, Route(NET6, gw=GW6 + 4, index=index), append=True)

    (entry,) = shown(host, str(NET6))
    assert {hop["gateway"] for hop in entry["nexthops"]} == {"fd00::1", "fd00::5"}


def test_appending_an_ipv4_route_adds_one_beside_it(host: Host, rtnl: RTNL, index: int) -> None:
    route.add(rtnl, Route(NET4, gw=GW4, index=index), append=True)
    route.add(rtnl, Route(NET4, gw=GW4 + 4, index=index), append=True)

    assert {e["gateway"] for e in shown(host, str(NET4))} == {"10.0.0.1", "10.0.0.5"}


@pytest.mark.parametrize(("dst", "gw"), [(NET4, GW4), (NET6, GW6)], ids=["IPv4", "IPv6"])
def test_a_route_that_is_there_is_an_error_unless_replaced(
    host: Host, rtnl: RTNL, index: int, dst: route.IPNetwork, gw: route.IPAddress
) -> None:
    route.add(rtnl, Route(dst, gw=gw, index=index))

    with pytest.raises(NetlinkError, match=f"add route {dst} via .*: File exists") as caught:
        route.add(rtnl, Route(dst, gw=gw + 4, index=index))
    route.replace(rtnl, Route(dst, gw=gw + 4, index=index))

    assert caught.value.errno == errno.EEXIST
    (entry,) = shown(host, str(dst))
    assert entry["gateway"] == str(gw + 4)


def test_what_is_listed_can_be_deleted_and_added_again(host: Host, rtnl: RTNL, index: int) -> None:
    route.add(rtnl, Route(NET4, gw=GW4, table=5000, priority=7, mtu=1300))
    route.add(rtnl, Route(NET6, gw=GW6, index=index, table=5000))
    listed = route.dump(rtnl, table=5000)

    for entry in listed:
        route.delete(rtnl, entry)
    gone = route.dump(rtnl, table=5000)
    for entry in listed:
        route.add(rtnl, entry)

    assert len(listed) == 2
    assert gone == []
    assert route.dump(rtnl, table=5000) == listed


def test_deleting_a_route_that_is_not_there_says_so(rtnl: RTNL, index: int) -> None:
    with pytest.raises(NetlinkError, match=r"delete route 10.9.0.0/16 via 10.0.0.1") as caught:
        route.delete(rtnl, Route(NET4, gw=GW4))
    assert caught.value.errno == errno.ESRCH


def test_routes_are_listed_by_table_link_and_family(rtnl: RTNL, index: int) -> None:
    route.add(rtnl, Route(NET4, gw=GW4, table=5000))

    assert {r.table for r in route.dump(rtnl)} == {k.RT_TABLE_MAIN}
    assert {k.RT_TABLE_MAIN, k.RT_TABLE_LOCAL, 5000} <= {r.table for r in route.dump(rtnl, table=0)}
    assert {r.dst.version for r in route.dump(rtnl, family=k.AF_INET6)} == {6}
    assert {r.index for r in route.dump(rtnl, index=index)} == {index}
    assert route.dump(rtnl, table=4711) == []
    assert route.dump(rtnl, table=4711, family=k.AF_INET) == []
