"""Bad input of every kind: the right code, one JSON object, and nothing has changed.

Through the executables, on a host whose links, addresses, rules and files are compared.
"""

import json
from typing import Any

import pytest

from tests.host import OURS, Host

FINE: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "net1",
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"},
}


def changed(**keys: Any) -> bytes:
    return json.dumps({**FINE, **keys}).encode()


# what is wrong, the variables that are other, the configuration, the code
BAD: list[tuple[str, dict[str, str | None], bytes, int]] = [
    ("no command", {"CNI_COMMAND": None}, changed(), 4),
    ("unknown command", {"CNI_COMMAND": "ATTACH"}, changed(), 4),
    ("no container", {"CNI_CONTAINERID": None}, changed(), 4),
    ("empty container", {"CNI_CONTAINERID": ""}, changed(), 4),
    ("container with newline", {"CNI_CONTAINERID": "c1\n"}, changed(), 4),
    ("container is a path", {"CNI_CONTAINERID": "../c1"}, changed(), 4),
    ("no netns", {"CNI_NETNS": None}, changed(), 4),
    ("netns is missing", {"CNI_NETNS": "/run/netns/none"}, changed(), 4),
    ("netns is a file", {"CNI_NETNS": "/etc/hostname"}, changed(), 4),
    ("netns is a directory", {"CNI_NETNS": "/etc"}, changed(), 4),
    ("netns is of another type", {"CNI_NETNS": "/proc/self/ns/mnt"}, changed(), 4),
    ("netns is the plugin's own", {"CNI_NETNS": "/proc/self/ns/net"}, changed(), 8),
    ("no ifname", {"CNI_IFNAME": None}, changed(), 4),
    ("ifname of 16 bytes", {"CNI_IFNAME": "eth0123456789abc"}, changed(), 4),
    ("ifname with newline", {"CNI_IFNAME": "eth0\n"}, changed(), 4),
    ("ifname with a slash", {"CNI_IFNAME": "a/b"}, changed(), 4),
    ("ifname is a pattern", {"CNI_IFNAME": "eth%d"}, changed(), 4),
    ("no path to find IPAM in", {"CNI_PATH": None}, changed(), 4),
    ("path without IPAM", {"CNI_PATH": "/etc"}, changed(), 4),
    ("args are no pairs", {"CNI_ARGS": "IP"}, changed(), 4),
    ("address in args is none", {"CNI_ARGS": "IP=10.1.2.300"}, changed(), 4),
    ("empty stdin", {}, b"", 6),
    ("broken JSON", {}, changed()[:-1], 6),
    ("trailing JSON", {}, changed() + b"{}", 6),
    ("not an object", {}, b"[]", 6),
    ("not UTF-8", {}, b'{"name":"\xff"}', 6),
    ("NaN", {}, changed()[:-1] + b',"mtu":NaN}', 6),
    ("10 MB", {}, changed() + b" " * (10 << 20), 6),
    ("deep", {}, b'{"a":' * 100_000, 6),
    ("version of a wrong type", {}, changed(cniVersion=1.1), 6),
    ("version from the future", {}, changed(cniVersion="2.0.0"), 1),
    ("version that is none", {}, changed(cniVersion="new"), 1),
    ("no name", {}, changed(name=""), 7),
    ("name with newline", {}, changed(name="net\n"), 7),
    ("name is a path", {}, changed(name="../net"), 7),
    ("wrong type", {}, changed(mtu="1500"), 7),
    ("fraction", {}, changed(mtu=1500.5), 7),
    ("number for a boolean", {}, changed(isGateway=1), 7),
    ("bridge of 16 bytes", {}, changed(bridge="br0123456789abcd"), 7),
    ("IPAM is a list", {}, changed(ipam=[]), 7),
    ("subnet is none", {}, changed(ipam={"type": "host-local", "subnet": "10.1.2.0/40"}), 7),
    ("subnet with host bits", {}, changed(ipam={"type": "host-local", "subnet": "10.1.2.9/24"}), 7),
    ("IPAM plugin is a path", {}, changed(ipam={"type": "../host-local"}), 7),
]


@pytest.mark.parametrize(
    ("variables", "stdin", "code"),
    [case[1:] for case in BAD],
    ids=[case[0].replace(" ", "-") for case in BAD],
)
def test_bad_input_is_refused_and_changes_nothing(
    host: Host, variables: dict[str, str | None], stdin: bytes, code: int
) -> None:
    container = host.container()
    stdin = stdin.replace(b'"host-local"', b'"host-local","dataDir":"%s"' % bytes(host.state))
    before, inside = host.snapshot(), container.json("ip", "addr")

    done = host.plugin("bridge", "ADD", stdin, container, path=OURS, env=variables, check=False)

    assert done.status != 0
    answer = done.json
    assert answer["code"] == code, answer
    assert answer["msg"]
    assert answer["cniVersion"]
    for name in variables:
        if code == 4:
            assert name in answer["msg"] + answer.get("details", "")
    assert container.json("ip", "addr") == inside
    assert _without_bridge(host.snapshot()) == _without_bridge(before)


def _without_bridge(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Leave out the bridge, which stays when an ADD fails later, and IPAM's lock and memory."""
    links = {name: link for name, link in snapshot["links"].items() if name != "br0"}
    files = {
        name: data
        for name, data in snapshot["files"].items()
        if not name.startswith(".index") and name.rpartition("/")[2] != "lock"
    }
    routes = [route for route in snapshot["routes"] if route.get("dev") != "br0"]
    return {**snapshot, "links": links, "files": files, "routes": routes}
