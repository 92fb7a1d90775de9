"""Ports of a bridge, seen by bridge(8)."""

import errno

import pytest

from cnisdk.net import bridge, link
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Host


@pytest.fixture
def port(rtnl: RTNL, veth: Link) -> Link:
    link.add_bridge(rtnl, "br0")
    link.set_master(rtnl, veth.index, link.by_name(rtnl, "br0").index)
    return veth


def shown(host: Host) -> tuple[bool, bool]:
    (entry,) = host.json("bridge", "-d", "link", "show", "dev", "veth0")
    return entry["hairpin"], entry["isolated"]


@pytest.mark.parametrize("hairpin", [False, True])
@pytest.mark.parametrize("isolated", [False, True])
def test_settings_are_set_and_read_back(
    host: Host, rtnl: RTNL, port: Link, hairpin: bool, isolated: bool
) -> None:
    bridge.set_port(rtnl, port.index, hairpin=hairpin, isolated=isolated)

    assert shown(host) == (hairpin, isolated)
    found = bridge.port(rtnl, port.index)
    assert (found.hairpin, found.isolated) == (hairpin, isolated)


def test_a_setting_that_is_not_named_stays(host: Host, rtnl: RTNL, port: Link) -> None:
    bridge.set_port(rtnl, port.index, hairpin=True)

    bridge.set_port(rtnl, port.index, isolated=True)
    bridge.set_port(rtnl, port.index)

    assert shown(host) == (True, True)


def test_a_link_in_no_bridge_is_no_port(rtnl: RTNL, veth: Link) -> None:
    with pytest.raises(NetlinkError, match=r"read bridge port veth0: .*it is in no bridge"):
        bridge.port(rtnl, veth.index)
    with pytest.raises(NetlinkError, match=f"set bridge port {veth.index} hairpin on") as caught:
        bridge.set_port(rtnl, veth.index, hairpin=True)
    assert caught.value.errno == errno.EOPNOTSUPP
