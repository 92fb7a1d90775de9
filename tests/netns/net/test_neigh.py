"""Neighbours on the real kernel, seen by ip(8)."""

import errno
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from cnisdk.net import _uapi as k, neigh
from cnisdk.net.link import Link
from cnisdk.net.neigh import Neighbour
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Host

MAC, OTHER = "02:00:00:00:00:07", "02:00:00:00:00:08"
V4, V6 = IPv4Address("10.0.0.7"), IPv6Address("fd00::7")


def shown(host: Host, address: object) -> dict[str, Any] | None:
    listed = host.json("ip", "neighbour", "show", "dev", "veth0")
    return next((entry for entry in listed if entry["dst"] == str(address)), None)


@pytest.mark.parametrize("address", [V4, V6])
def test_a_neighbour_is_added_replaced_listed_and_deleted(
    host: Host, rtnl: RTNL, veth: Link, address: IPv4Address | IPv6Address
) -> None:
    neigh.add(rtnl, veth.index, address, MAC)
    assert shown(host, address) == {"dst": str(address), "lladdr": MAC, "state": ["PERMANENT"]}

    with pytest.raises(NetlinkError, match=f"add neighbour {address} on link .*: File exists"):
        neigh.add(rtnl, veth.index, address, OTHER)
    neigh.add(rtnl, veth.index, address, OTHER, replace=True)
    assert Neighbour(veth.index, address, OTHER, k.NUD_PERMANENT) in neigh.dump(rtnl, veth.index)

    neigh.delete(rtnl, veth.index, address)
    assert shown(host, address) is None


def test_deleting_a_neighbour_that_is_not_there_says_so(rtnl: RTNL, veth: Link) -> None:
    with pytest.raises(NetlinkError, match=r"delete neighbour 10.0.0.7 on link") as caught:
        neigh.delete(rtnl, veth.index, V4)
    assert caught.value.errno == errno.ENOENT


def test_neighbours_are_listed_by_family(rtnl: RTNL, veth: Link) -> None:
    neigh.add(rtnl, veth.index, V4, MAC)
    neigh.add(rtnl, veth.index, V6, MAC)

    assert V6 not in [entry.address for entry in neigh.dump(rtnl, family=k.AF_INET)]
    assert {V4, V6} <= {entry.address for entry in neigh.dump(rtnl)}
