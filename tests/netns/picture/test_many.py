"""Two hundred attachments, and what was planted among them."""

from ipaddress import IPv4Interface

from cnisdk.net import addr, link
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.cache import Cache
from cnisdk.runtime.directory import load
from tests.netns.picture.town import Town

MANY = 200


def crowd(town: Town) -> None:
    """Leave what so many ADDs leave, quickly: kernel objects, and files."""
    network = load(str(town.conf / "10-web.conflist"))
    cache = Cache(str(town.cache))
    with town.host.inside(), RTNL() as host:
        link.add_bridge(host, "cni0")
        bridge = link.by_name(host, "cni0").index
        for number in range(MANY):
            container = town.host.container()
            address = f"10.88.1.{number}/16"
            with NetNS.open(container.path) as netns, RTNL(netns) as inner:
                link.add_veth(
                    host, f"veth{number}", "eth0", peer_netns=netns, master=bridge, up=True
                )
                addr.add(inner, link.index_of(inner, "eth0"), IPv4Interface(address))
            parameters = AttachmentParameters(
                container_id=container.id, ifname="eth0", netns=container.path
            )
            wire = {
                "cniVersion": "1.0.0",
                "interfaces": [{"name": "eth0", "sandbox": container.path}],
                "ips": [{"address": address, "interface": 0}],
            }
            cache.write(network, parameters, wire)


def test_a_leak_is_named_among_two_hundred_attachments(town: Town) -> None:
    crowd(town)
    assert town.wrong() == []

    town.plant_veth("vethleak", town.host.container())

    assert town.wrong() == [("leaked-link", "vethleak")]
    shown = town.show().stdout
    assert all(f"veth{number}  ⇄  " in shown for number in range(MANY))
    assert shown.count("✗") == 1
    assert "mend: ip link delete vethleak" in shown
