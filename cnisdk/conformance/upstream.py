"""The plugin before a chained one, which makes the container's interface: the kit itself."""

from typing import Any

from cnisdk.conformance import state
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.host import Host


def attach(host: Host, attachment: Attachment, number: int) -> dict[str, Any]:
    """Make the interface of an attachment and return the result; ``number`` tells it from others.

    A veth pair with an address, and no bridge.
    """
    host_end = f"conf{number}"
    address = f"10.76.{number >> 8}.{number & 255}"
    container = attachment.container
    host.ip(
        f"link add {host_end} type veth peer name {attachment.ifname} netns {container.name}",
        f"link set {host_end} up",
    )
    container.ip(
        f"addr add {address}/16 dev {attachment.ifname}", f"link set {attachment.ifname} up"
    )
    outside = state.look(host).links[host_end]
    inside = state.look(container).links[attachment.ifname]
    version = attachment.version
    dns = {"nameservers": ["10.76.0.1"]}
    if version in ("0.1.0", "0.2.0"):
        return {"cniVersion": version, "ip4": {"ip": f"{address}/16"}, "dns": dns}
    ip: dict[str, Any] = {"address": f"{address}/16", "interface": 1}
    if version.startswith("0."):
        ip["version"] = "4"
    return {
        "cniVersion": version,
        "interfaces": [
            {"name": host_end, "mac": outside["address"]},
            {"name": attachment.ifname, "mac": inside["address"], "sandbox": container.path},
        ],
        "ips": [ip],
        "routes": [{"dst": "10.76.0.0/16"}],
        "dns": dns,
    }
