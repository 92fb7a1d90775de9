"""The host's end of a container's interface, on the real kernel."""

import pytest

from cnisdk.net import link, veth
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Container, Host


def index(where: Host | Container, name: str) -> int:
    (entry,) = where.json("ip", "link", "show", "dev", name)
    found: int = entry["ifindex"]
    return found


def test_the_host_end_of_a_containers_interface_is_found(
    host: Host, rtnl: RTNL, inner_ns: NetNS
) -> None:
    for name, ifname in (("veth0", "eth0"), ("veth1", "eth1")):
        link.add_veth(rtnl, name, ifname, peer_netns=inner_ns)

    found = [veth.host_end(rtnl, inner_ns, ifname) for ifname in ("eth0", "eth1")]

    assert [one and one.index for one in found] == [index(host, "veth0"), index(host, "veth1")]


def test_an_end_of_the_same_index_in_another_container_is_not_taken(
    host: Host, rtnl: RTNL, inner_ns: NetNS
) -> None:
    """eth0 of ``inner_ns`` leads to a third namespace, to an index that on the host is the end
    of another container's eth0, which has the same index as ours."""
    other, third = host.container(), host.container()
    host.run("ip", "link", "add", "veth0", "index", "70", "type", "veth", "peer", "name", "eth0")
    host.run("ip", "link", "set", "eth0", "netns", other.path.rpartition("/")[2])
    number = index(other, "eth0")
    with NetNS.open(third.path) as third_ns, RTNL(third_ns) as there:
        pair = ["type", "veth", "peer", "name", "eth0", "index", str(number)]
        third.run("ip", "link", "add", "end", "index", "70", *pair)
        link.set_netns(there, link.index_of(there, "eth0"), inner_ns)
    with NetNS.open(other.path) as other_ns, RTNL(inner_ns) as inner:
        ours = link.by_name(inner, "eth0")
        assert (ours.index, ours.peer_index) == (number, 70)

        assert veth.host_end(rtnl, inner_ns, "eth0") is None
        theirs = veth.host_end(rtnl, other_ns, "eth0")

    assert theirs is not None
    assert theirs.name == "veth0"


def test_a_pair_within_the_host_is_nobodys_end(host: Host, rtnl: RTNL, inner_ns: NetNS) -> None:
    link.add_veth(rtnl, "veth0", "veth1", peer_netns=None)

    assert veth.other_end(rtnl, link.by_name(rtnl, "veth0"), inner_ns) is None


def test_what_is_no_pair_has_no_other_end(host: Host, rtnl: RTNL, inner_ns: NetNS) -> None:
    with RTNL(inner_ns) as inner:
        link.add_bridge(inner, "eth0")

    assert veth.host_end(rtnl, inner_ns, "eth0") is None
    assert veth.host_end(rtnl, inner_ns, "lo") is None
    assert veth.host_end(rtnl, inner_ns, "missing") is None


def test_a_namespace_has_a_number_once_a_link_leads_there(
    host: Host, rtnl: RTNL, inner_ns: NetNS
) -> None:
    assert veth.nsid(rtnl, inner_ns) == -1

    link.add_veth(rtnl, "veth0", "eth0", peer_netns=inner_ns)
    shown = link.by_name(rtnl, "veth0")

    assert veth.nsid(rtnl, inner_ns) == shown.peer_netnsid >= 0


def test_what_is_no_namespace_has_no_number(rtnl: RTNL) -> None:
    with open("/dev/null", "rb") as file:
        netns = NetNS(file.fileno(), "/dev/null", owned=False)
        with pytest.raises(NetlinkError, match="get number of /dev/null"):
            veth.nsid(rtnl, netns)
