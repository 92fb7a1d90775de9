"""VLANs of a bridge's ports, seen by bridge(8)."""

from typing import Any

import pytest

from cnisdk.net import bridge, bridge_vlan, link
from cnisdk.net.bridge_vlan import Entry
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Host

pytestmark = pytest.mark.vm


@pytest.fixture
def port(rtnl: RTNL, veth: Link) -> Link:
    link.add_bridge(rtnl, "br0", vlan_filtering=True)
    link.set_master(rtnl, veth.index, link.by_name(rtnl, "br0").index)
    return veth


def shown(host: Host, name: str = "veth0") -> list[Any]:
    found = host.json("bridge", "vlan", "show", "dev", name)
    return [(v["vlan"], *sorted(v.get("flags", ()))) for entry in found for v in entry["vlans"]]


DEFAULT = (1, "Egress Untagged", "PVID")


def test_a_bridge_can_be_made_to_filter(host: Host, rtnl: RTNL) -> None:
    link.add_bridge(rtnl, "br1")
    made = link.by_name(rtnl, "br1")
    assert (made.vlan_filtering, made.default_pvid) == (False, 1)

    bridge.set_vlan_filtering(rtnl, made.index)

    [seen] = host.json("ip", "-d", "link", "show", "dev", "br1")
    assert seen["linkinfo"]["info_data"]["vlan_filtering"] == 1
    assert link.by_name(rtnl, "br1").vlan_filtering


def test_that_bridges_can_filter_is_known_without_making_one(host: Host, rtnl: RTNL) -> None:
    before = host.links()

    assert bridge.can_filter_vlans(rtnl)

    assert host.links() == before


def test_entries_are_added_and_read_back(host: Host, rtnl: RTNL, port: Link) -> None:
    wanted = [Entry(100, pvid=True, untagged=True), Entry(101), Entry(300, untagged=True)]

    bridge_vlan.add(rtnl, port.index, wanted)

    assert shown(host) == [
        (1, "Egress Untagged"),
        (100, "Egress Untagged", "PVID"),
        (101,),
        (300, "Egress Untagged"),
    ]
    assert bridge_vlan.entries(rtnl, port.index) == [Entry(1, untagged=True), *wanted]


def test_all_there_are_fit_into_one_request(host: Host, rtnl: RTNL, port: Link) -> None:
    every = [Entry(vid) for vid in range(2, bridge_vlan.MAX_VID + 1)]

    bridge_vlan.add(rtnl, port.index, every)

    assert shown(host) == [DEFAULT, *((vid,) for vid in range(2, bridge_vlan.MAX_VID + 1))]
    assert bridge_vlan.entries(rtnl, port.index)[1:] == every


def test_as_many_as_cannot_be_in_ranges_fit_too(host: Host, rtnl: RTNL, port: Link) -> None:
    every_other = [Entry(vid) for vid in range(2, bridge_vlan.MAX_VID + 1, 2)]

    bridge_vlan.add(rtnl, port.index, every_other)

    assert len(shown(host)) == 1 + len(every_other)
    assert bridge_vlan.entries(rtnl, port.index)[1:] == every_other


def test_neighbours_that_differ_are_no_range(host: Host, rtnl: RTNL, port: Link) -> None:
    bridge_vlan.add(rtnl, port.index, [Entry(5), Entry(6, untagged=True), Entry(7), Entry(8)])

    assert shown(host)[1:] == [(5,), (6, "Egress Untagged"), (7,), (8,)]


def test_adding_again_changes_how_it_is_there(host: Host, rtnl: RTNL, port: Link) -> None:
    bridge_vlan.add(rtnl, port.index, [Entry(5)])

    bridge_vlan.add(rtnl, port.index, [Entry(5, pvid=True, untagged=True)])

    assert shown(host) == [(1, "Egress Untagged"), (5, "Egress Untagged", "PVID")]


def test_entries_are_deleted_and_absent_ones_are_no_error(
    host: Host, rtnl: RTNL, port: Link
) -> None:
    bridge_vlan.add(rtnl, port.index, [Entry(5), Entry(6), Entry(7)])

    bridge_vlan.delete(rtnl, port.index, [1, 6, 9, 10])

    assert shown(host) == [(5,), (7,)]


def test_nothing_is_asked_for_nothing(host: Host, rtnl: RTNL, port: Link) -> None:
    bridge_vlan.add(rtnl, port.index, [])

    assert shown(host) == [DEFAULT]


def test_a_link_that_is_no_port_has_none_and_takes_none(rtnl: RTNL, port: Link) -> None:
    peer = link.by_name(rtnl, "peer0").index

    assert bridge_vlan.entries(rtnl, peer) == []
    with pytest.raises(NetlinkError, match="add VLAN 5, 7-9 of port"):
        bridge_vlan.add(rtnl, peer, [Entry(5), Entry(7), Entry(8), Entry(9)])
