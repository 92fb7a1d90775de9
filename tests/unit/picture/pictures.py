"""Pictures to draw, made without a kernel."""

from cnisdk.node.doctor.finding import Check
from cnisdk.picture.model import End, Link, Network, Picture, Published


def picture(*names: str, leaked: str = "") -> Picture:
    """Return a bridge with a container of each name, and perhaps a leak."""
    made = Picture(host="node", networks=[Network(name="web", plugins=["bridge"], links=["cni0"])])
    made.links.append(link("cni0", "bridge", "10.88.0.1/16"))
    for number, name in enumerate(names):
        end = End(
            network="web", container=f"c{number}", name=name, ifname="eth0", parent="cni0",
            port=f"veth{number}", link=link("eth0", "veth", f"10.88.0.{number + 2}/16"),
        )  # fmt: skip
        end.published.append(
            Published(protocol="tcp", host=f"80{number}", container="x:80", backend="nftables")
        )
        made.ends.append(end)
    if leaked:
        end = End(network="", container="gone", ifname="eth7", parent="cni0", port=leaked)
        made.ends.append(end)
        made.blame(end, Check.LEAKED_LINK, leaked, "leads nowhere", f"ip link delete {leaked}")
    return made


def link(name: str, kind: str, *addresses: str) -> Link:
    return Link(
        index=1, name=name, kind=kind, mac="02:00:00:00:00:01", mtu=1500, up=True,
        addresses=list(addresses),
    )  # fmt: skip
