"""What the kernel answered, as it was captured, read by each module."""

from ipaddress import ip_address, ip_interface, ip_network
from typing import Literal

from hypothesis import given, settings, strategies as st

from cnisdk.net import _uapi as k, addr, bridge, link, neigh, route
from cnisdk.net.neigh import Neighbour
from cnisdk.net.route import NextHop, Route
from cnisdk.net.rtnetlink import messages
from tests.unit.net import captured


def entries(*datagrams: bytes) -> list[bytes]:
    return [
        reply.payload
        for datagram in datagrams
        for reply in messages(datagram)
        if reply.type != k.NLMSG_DONE
    ]


def test_a_bridge_port_is_read() -> None:
    (payload,) = entries(captured.LINK_PORT)

    found = link.decode(payload)

    assert found[:10] == (
        *(4, "vh0", "veth", "02:00:00:00:00:02", 1500),
        *(found.flags, k.IF_OPER_UP, 2, 3, -1),
    )
    assert found.up
    assert found.operational
    assert not found.promisc
    assert bridge.port_of(found) == bridge.Port(hairpin=True, isolated=False, state=3)


def test_the_loopback_is_operational_although_its_state_is_unknown() -> None:
    (payload,) = entries(captured.LINK_LO)

    found = link.decode(payload)

    assert (found.name, found.kind, found.operstate) == ("lo", "", k.IF_OPER_UNKNOWN)
    assert found.operational


def test_addresses_are_read() -> None:
    found = [addr.decode(payload) for payload in entries(*captured.ADDRESSES)]

    assert [entry and str(entry.address) for entry in found] == [
        "127.0.0.1/8",
        "10.0.0.1/24",
        "10.1.0.1/30",  # the near end of a point-to-point link
        "::1/128",
        "fd00::1/64",
        "fe80::ff:fe00:1/64",
        "fe80::ff:fe00:3/64",
        "fe80::ff:fe00:2/64",
    ]
    assert found[1] == addr.Addr(2, ip_interface("10.0.0.1/24"), 0, k.IFA_F_PERMANENT, "br0")
    assert [bool(entry and entry.tentative) for entry in found[4:6]] == [False, True]


def test_routes_are_read() -> None:
    found = [route.decode(payload) for payload in entries(*captured.ROUTES)]

    gw = ip_address("10.0.0.2")
    assert found[0] == Route(
        ip_network("10.9.0.0/16"),
        gw=gw,
        index=2,
        table=5000,
        scope=0,
        priority=7,
        mtu=1300,
        advmss=1200,
        src=ip_address("10.0.0.1"),
    )
    assert found[3] == Route(ip_network("10.6.0.0/16"), gw=ip_address("fd00::2"), index=2, scope=0)
    hops = (NextHop(gw, 2, 2), NextHop(ip_address("10.0.0.3"), 2, onlink=True))
    assert found[4] == Route(ip_network("10.8.0.0/16"), scope=0, nexthops=hops)


def test_neighbours_are_read() -> None:
    found = [neigh.decode(payload) for payload in entries(captured.NEIGHBOURS)]

    wanted = Neighbour(2, ip_address("10.0.0.77"), "02:00:00:00:00:07", k.NUD_PERMANENT)
    assert wanted in found


def test_families_other_than_ip_are_left_out() -> None:
    mpls = bytes([28]) + bytes(11)

    assert addr.decode(mpls) is None
    assert route.decode(mpls) is None
    assert neigh.decode(mpls) is None


quick = settings(deadline=None, max_examples=60)

Version = Literal[4, 6]


def networks(version: Version) -> st.SearchStrategy[route.IPNetwork]:
    bits = 32 if version == 4 else 128
    return st.tuples(st.ip_addresses(v=version), st.integers(0, bits)).map(
        lambda pair: ip_network(pair, strict=False)
    )


octets = st.integers(0, 255)
u32s = st.integers(0, 0xFFFFFFFF)
indexes = st.integers(0, 0x7FFFFFFF)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    version: Version = draw(st.sampled_from([4, 6]))
    gateways: st.SearchStrategy[route.IPAddress | None] = st.none() | st.ip_addresses(v=version)
    if version == 4:
        gateways |= st.ip_addresses(v=6)
    hops = st.builds(NextHop, gateways, indexes, st.integers(1, 256), st.booleans())
    return Route(
        draw(networks(version)),
        gw=draw(gateways),
        index=draw(indexes),
        table=draw(st.integers(1, 0xFFFFFFFF)),
        scope=draw(octets),
        priority=draw(u32s),
        mtu=draw(u32s),
        advmss=draw(u32s),
        src=draw(st.none() | st.ip_addresses(v=version)),
        onlink=draw(st.booleans()),
        nexthops=tuple(draw(st.lists(hops, max_size=3))),
        protocol=draw(octets),
        type=draw(octets),
    )


@quick
@given(routes())
def test_routes_round_trip(wanted: Route) -> None:
    assert route.decode(route._body(wanted)) == wanted


@quick
@given(st.ip_addresses())
def test_addresses_round_trip(ip: route.IPAddress) -> None:
    wanted = ip_interface((ip, 20))

    found = addr.decode(addr._body(7, wanted))

    assert found is not None
    assert (found.index, found.address) == (7, wanted)
