"""Beside the Go reference plugins: the same answers, and each finishes what the other began."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from cnisdk import versions
from tests.host import OURS, REFERENCE, Host

pytestmark = pytest.mark.reference

NEWEST_OF_THE_REFERENCE = "1.0.0"
"""What Debian's release of the Go plugins speaks."""


def config(host: Host, version: str, **keys: Any) -> dict[str, Any]:
    return {
        "cniVersion": version,
        "name": "net1",
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(host.state / "ipam"),
            "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.2.9"}],
        },
        **keys,
    }


def directory(host: Host, name: str, bridge: str, host_local: str) -> str:
    """Return a CNI_PATH with ``bridge`` and ``host-local`` of the given makers."""
    path = host.state.parent / name
    path.mkdir()
    (path / "bridge").symlink_to(f"{bridge}/bridge")
    (path / "host-local").symlink_to(f"{host_local}/host-local")
    return str(path)


def anonymous(result: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs from one container to the next: names, MACs, the sandbox."""
    for interface in result.get("interfaces", ()):
        assert len(interface["mac"]) == 17
        interface["mac"] = "MAC"
        if interface["name"].startswith("veth"):
            interface["name"] = "VETH"
        if "sandbox" in interface:
            interface["sandbox"] = "NETNS"
    if result.get("dns") == {}:
        del result["dns"]  # Debian's release prints an empty one in every version
    return result


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_add_answers_what_the_reference_answers(host: Host, version: str) -> None:
    results = []
    for maker in (OURS, REFERENCE):
        asked = min(version, NEWEST_OF_THE_REFERENCE) if maker == REFERENCE else version
        # the same addresses for both: each has a directory of its own
        data = str(host.state / maker.strip("/").replace("/", "-"))
        both = config(host, asked)
        both["ipam"]["dataDir"] = data
        container = host.container()
        result = host.plugin("bridge", "ADD", both, container, path=f"{maker}:{OURS}").json
        host.plugin("bridge", "DEL", both, container, path=f"{maker}:{OURS}")
        assert result.pop("cniVersion") == asked
        if version > NEWEST_OF_THE_REFERENCE:
            for interface in result["interfaces"]:
                interface.pop("mtu", None)  # new in 1.1.0
        results.append(anonymous(result))
    assert results[0] == results[1]


MAKERS = {"ours": OURS, "go": REFERENCE}


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
@pytest.mark.parametrize(
    ("adding", "deleting"), list(itertools.product(itertools.product(MAKERS, MAKERS), repeat=2))
)
def test_any_pair_deletes_what_any_pair_added(
    host: Host, adding: tuple[str, str], deleting: tuple[str, str], version: str
) -> None:
    host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
    add = directory(host, "add", *(MAKERS[maker] for maker in adding))
    delete = directory(host, "delete", *(MAKERS[maker] for maker in deleting))
    both = config(host, version, ipMasq=True, ipMasqBackend="iptables")
    stays, goes = host.container(), host.container()
    host.plugin("bridge", "ADD", both, stays, path=add)
    before = host.snapshot()

    result = host.plugin("bridge", "ADD", both, goes, path=add).json
    with_result = {**both, "prevResult": result}
    host.plugin("bridge", "CHECK", with_result, goes, path=delete)
    host.plugin("bridge", "DEL", with_result, goes, path=delete)

    after = host.snapshot()
    for snapshot in (before, after):
        snapshot["files"] = {
            name: data
            for name, data in snapshot["files"].items()
            if not Path(name).name.startswith("last_reserved_ip")
            and not name.startswith("ipam/.index/")  # made anew whenever the reference was there
        }
        # those of IPv6 come and go by themselves while the reference's bridge detects duplicates
        snapshot["routes"] = [r for r in snapshot["routes"] if ":" not in str(r["dst"])]
    assert after == before
