"""The bytes that are sent, beside those that iproute2 sends for the same thing.

The kernel at hand may lack the modules for some kinds of link: for these the request's bytes are
all there is to test.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

import pytest

from cnisdk.net import _uapi as k, addr, bridge, link, neigh, route
from cnisdk.net.route import NextHop, Route
from cnisdk.net.rtnetlink import attributes, message
from cnisdk.net.rtnl import RTNL
from tests.unit.net.captured import IPROUTE2

BR0, ETH0, VH0 = 2, 3, 4
GW = IPv4Address("10.0.0.2")


class Tap(RTNL):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def request(self, what: str, type: int, body: bytes, flags: int = 0) -> None:
        self.sent.append(message(type, k.NLM_F_REQUEST | k.NLM_F_ACK | flags, 0, body))


Request = Callable[[RTNL], None]

SAME: dict[str, Request] = {
    "ip link add link br0 name v0 mtu 1400 type vlan id 5": lambda rtnl: link.add_vlan(
        rtnl, "v0", BR0, 5, mtu=1400
    ),
    "ip link add link br0 name m0 type macvlan mode bridge": lambda rtnl: link.add_macvlan(
        rtnl, "m0", BR0
    ),
    "ip link add link br0 name i0 type ipvlan mode l3": lambda rtnl: link.add_ipvlan(
        rtnl, "i0", BR0, mode="l3"
    ),
    "ip link add d0 type dummy": lambda rtnl: link.add_dummy(rtnl, "d0"),
    "ip link add name brx type bridge vlan_filtering 1": lambda rtnl: link.add_bridge(
        rtnl, "brx", vlan_filtering=True
    ),
    "ip link add name vx0 type veth peer name vx1": lambda rtnl: link.add_veth(rtnl, "vx0", "vx1"),
    "bridge link set dev vh0 hairpin on isolated on": lambda rtnl: bridge.set_port(
        rtnl, VH0, hairpin=True, isolated=True
    ),
    "ip addr add 10.0.0.9/24 dev br0": lambda rtnl: addr.add(
        rtnl, BR0, IPv4Interface("10.0.0.9/24")
    ),
    "ip route add 10.9.0.0/16 via 10.0.0.2 dev br0 table 5000 metric 7 mtu 1300 advmss 1200"
    " src 10.0.0.1": lambda rtnl: route.add(
        rtnl,
        Route(
            IPv4Network("10.9.0.0/16"),
            gw=GW,
            index=BR0,
            table=5000,
            priority=7,
            mtu=1300,
            advmss=1200,
            src=IPv4Address("10.0.0.1"),
        ),
    ),
    "ip route add 10.8.0.0/16 nexthop via 10.0.0.2 dev br0 weight 2"
    " nexthop via 10.0.0.3 dev br0": lambda rtnl: route.add(
        rtnl,
        Route(
            IPv4Network("10.8.0.0/16"),
            nexthops=(NextHop(GW, BR0, weight=2), NextHop(GW + 1, BR0)),
        ),
    ),
    "ip route add 10.7.0.0/16 dev br0": lambda rtnl: route.add(
        rtnl, Route(IPv4Network("10.7.0.0/16"), index=BR0)
    ),
    "ip route del 10.7.0.0/16 dev br0": lambda rtnl: route.delete(
        rtnl, Route(IPv4Network("10.7.0.0/16"), index=BR0)
    ),
    "ip route add default via 192.168.9.9 dev br0 onlink": lambda rtnl: route.add(
        rtnl,
        Route(IPv4Network("0.0.0.0/0"), gw=IPv4Address("192.168.9.9"), index=BR0, onlink=True),
    ),
    "ip route add 10.6.0.0/16 via inet6 fd00::2 dev br0": lambda rtnl: route.add(
        rtnl, Route(IPv4Network("10.6.0.0/16"), gw=IPv6Address("fd00::2"), index=BR0)
    ),
    "ip neigh add 10.0.0.77 lladdr 02:00:00:00:00:07 dev br0 nud permanent": lambda rtnl: neigh.add(
        rtnl, BR0, IPv4Address("10.0.0.77"), "02:00:00:00:00:07"
    ),
}


@pytest.mark.parametrize("command", SAME)
def test_a_request_has_the_bytes_of(command: str) -> None:
    tap = Tap()

    SAME[command](tap)

    theirs = IPROUTE2[command]
    without_seq = theirs[:8] + bytes(4) + theirs[12:]
    assert tap.sent == [without_seq]


def test_setting_an_mtu_differs_from_iproute2_in_the_message_type_only() -> None:
    tap = Tap()

    link.set_mtu(tap, ETH0, 1300)

    theirs = IPROUTE2["ip link set dev eth0 mtu 1300"]
    assert tap.sent[0][16:] == theirs[16:]
    assert tap.sent[0][4] == k.RTM_SETLINK


def test_an_address_without_detection_says_so_in_ifa_flags() -> None:
    tap = Tap()

    addr.add(tap, BR0, IPv6Interface("fd00::9/64"), nodad=True)

    got = attributes(tap.sent[0], 16 + 8)
    assert got[k.IFA_FLAGS] == bytes([k.IFA_F_NODAD, 0, 0, 0])
    assert got[k.IFA_ADDRESS] == got[k.IFA_LOCAL] == IPv6Address("fd00::9").packed


def test_an_appended_route_is_created_without_excl() -> None:
    tap = Tap()

    route.add(tap, Route(IPv4Network("10.0.0.0/8"), gw=GW), append=True)

    flags = int.from_bytes(tap.sent[0][6:8], "little")
    assert flags == k.NLM_F_REQUEST | k.NLM_F_ACK | k.NLM_F_CREATE


@pytest.mark.parametrize("mode", link.MACVLAN_MODES)
def test_a_macvlan_is_made_in_the_mode_that_is_asked_for(mode: str) -> None:
    tap = Tap()

    link.add_macvlan(tap, "m0", BR0, mode=mode)

    info = attributes(attributes(tap.sent[0], 32)[k.IFLA_LINKINFO])
    value = attributes(info[k.IFLA_INFO_DATA])[k.IFLA_MACVLAN_MODE]
    assert int.from_bytes(value, "little") == link.MACVLAN_MODES[mode]


def test_a_mode_that_does_not_exist_is_refused_before_anything_is_sent() -> None:
    tap = Tap()

    with pytest.raises(OSError, match="unknown mode 'l4'"):
        link.add_ipvlan(tap, "i0", BR0, mode="l4")

    assert tap.sent == []


def test_settings_of_a_port_that_are_none_are_not_sent() -> None:
    tap = Tap()

    bridge.set_port(tap, VH0)

    assert tap.sent == []
