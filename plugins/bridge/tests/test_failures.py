"""An ADD that fails, at whatever point, leaves what it found."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host import CNI_PATH, Host, cni_variables
from tests.vm.kernel import can_filter_vlans

from .conftest import REFUSAL, Network

V4 = "10.1.2.2/24"


@pytest.fixture
def busy(network: Network, host: Host) -> Network:
    """A network with a container on it, so that bridge, gateway and forwarding are there."""
    network.config |= {"isDefaultGateway": True, "ipMasq": True, "ipMasqBackend": "nftables"}
    network.ipam(V4).add(host.container())
    network.ipam("10.1.2.3/24")
    return network


def _interface_exists(network: Network, container: Any) -> None:
    container.run("ip", "link", "add", "eth0", "type", "ifb")


def _ipam_refuses(network: Network, container: Any) -> None:
    network.ipam_does("ADD", REFUSAL)


def _ipam_is_missing(network: Network, container: Any) -> None:
    network.config["ipam"] = {"type": "missing"}


def _ipam_gives_nothing(network: Network, container: Any) -> None:
    network.ipam_result({"cniVersion": "1.1.0"})


def _ipam_talks_nonsense(network: Network, container: Any) -> None:
    network.ipam_does("ADD", "echo nonsense; exit 0\n")


def _gateway_is_out_of_reach(network: Network, container: Any) -> None:
    network.ipam_result(
        {
            "cniVersion": "1.1.0",
            "ips": [{"address": "10.1.2.3/24"}],
            "routes": [{"dst": "192.0.2.0/24", "gw": "198.51.100.1"}],
        }
    )


def _address_is_in_the_way(network: Network, container: Any) -> None:
    network.ipam("10.1.0.3/16")


def _mac_is_wrong(network: Network, container: Any) -> None:
    network.config["runtimeConfig"] = {"mac": "01:00:00:00:00:00"}


def _no_masquerading_tool(network: Network, container: Any) -> None:
    network.search_path = "/nowhere"


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_interface_exists, "CNI_IFNAME"),
        (_ipam_refuses, "out of addresses"),
        (_ipam_is_missing, "missing"),
        (_ipam_gives_nothing, "missing IP config"),
        (_ipam_talks_nonsense, "no JSON"),
        (_gateway_is_out_of_reach, "198.51.100.1"),
        (_address_is_in_the_way, "10.1.2.1/24"),
        (_mac_is_wrong, "01:00:00:00:00:00"),
        (_no_masquerading_tool, "nft"),
    ],
)
def test_a_failed_add_leaves_nothing(
    busy: Network,
    host: Host,
    break_it: Callable[[Network, Any], None],
    said: str,
) -> None:
    container = host.container()
    break_it(busy, container)
    before, inside, reserved = host.snapshot(), busy.links(container), busy.reserved()

    answer = busy.call("ADD", container)

    assert said in answer.error
    assert host.snapshot() == before
    assert busy.links(container) == inside
    assert busy.reserved() == reserved


def test_an_add_that_failed_can_be_repeated(busy: Network, host: Host) -> None:
    container = host.container()
    busy.ipam_does("ADD", REFUSAL)
    busy.call("ADD", container)
    busy.ipam_does("ADD", "")

    busy.add(container)

    assert busy.addresses("eth0", container) == ["10.1.2.3/24"]


@pytest.mark.parametrize("addresses", [(V4,), ("2001:db8::2/64",), (V4, "2001:db8::2/64")])
def test_a_bridge_whose_ports_are_gone_takes_the_next_container(
    network: Network, host: Host, addresses: tuple[str, ...]
) -> None:
    """The reference plugin reads such a bridge's all-zero address and cannot set it."""
    network.config |= {"isGateway": True}
    host.run("ip", "link", "add", "br0", "type", "bridge")
    host.run("ip", "link", "add", "port", "master", "br0", "type", "veth", "peer", "name", "other")
    host.run("ip", "link", "delete", "port")
    assert network.link("br0")["address"] == "00:00:00:00:00:00"

    result = network.ipam(*addresses).add(host.container())

    assert result["interfaces"][0]["mac"] == network.link("br0")["address"]
    assert network.link("br0")["address"] != "00:00:00:00:00:00"


def test_a_new_bridge_keeps_its_mac_when_the_first_add_fails(network: Network, host: Host) -> None:
    network.ipam(V4).ipam_does("ADD", REFUSAL)

    network.call("ADD", host.container())

    assert network.link("br0")["address"] != "00:00:00:00:00:00"


def test_no_bridge_is_made_for_an_interface_that_exists(network: Network, host: Host) -> None:
    container = host.container()
    container.run("ip", "link", "add", "eth0", "type", "ifb")

    answer = network.call("ADD", container)

    assert answer.json["code"] == 4
    assert network.links() == {"lo"}


def test_a_namespace_that_is_gone_changes_nothing(network: Network, host: Host) -> None:
    before = host.snapshot()

    answer = network.ipam(V4).call("ADD", host.container(), netns="/run/netns/gone")

    assert answer.json["code"] == 4
    assert host.snapshot() == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vlan", 5),
        ("vlanTrunk", [{"minID": 5, "maxID": 7}]),
        ("vlanTrunk", []),
    ],
)
def test_vlans_are_refused_before_anything_is_done_if_the_kernel_knows_none(
    network: Network, host: Host, key: str, value: Any
) -> None:
    before = host.snapshot()
    network.ipam(V4)

    status = network.call("STATUS", **{key: value})
    answer = network.call("ADD", host.container(), **{key: value})

    assert (status.status == 0, answer.status == 0) == (can_filter_vlans(),) * 2
    if not can_filter_vlans():
        assert status.json["code"] == 50
        assert answer.json["code"] == 2
        assert key in answer.json["msg"]
        assert host.snapshot() == before
        assert network.reserved() == set()


@pytest.fixture
def waiting(network: Network, host: Host) -> Iterator[tuple[Network, subprocess.Popen[bytes], Any]]:
    """A plugin process in the middle of an ADD, its IPAM plugin slow to answer."""
    network.config |= {"isGateway": True}
    network.ipam(V4).add(host.container())
    fifo = network.bin / "reached"
    os.mkfifo(fifo)
    network.ipam_does("ADD", f'echo reached >"{fifo}"; exec sleep 30\n')
    container = host.container()
    with host.inside():
        process = subprocess.Popen(
            [host.find("bridge")],
            env={
                "PATH": os.environ["PATH"],
                **cni_variables("ADD", container, f"{network.path}:{CNI_PATH}"),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(network.config).encode())
    process.stdin.close()
    process.stdin = None
    Path(fifo).read_text()
    yield network, process, container
    process.kill()
    process.communicate()


def test_a_terminated_add_undoes_everything(
    waiting: tuple[Network, subprocess.Popen[bytes], Any], host: Host
) -> None:
    network, process, container = waiting
    assert network.links(container) == {"lo", "eth0"}

    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)

    assert process.returncode == 1
    assert json.loads(out)["code"] == 11
    assert network.links(container) == {"lo"}
    assert len(network.links()) == 3  # lo, bridge, the first container's
    assert network.reserved() == {key for key in network.reserved() if key[0] != container.id}
