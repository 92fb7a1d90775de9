"""Ours and the Go plugins serve one network in turns, in every order; nothing is left behind.

Two containers come and go, and each of the four calls is anybody's.  Which of the containers is
the first does not matter, so there are three ways to interleave the calls, and 16 to share them
out.  CHECK changes nothing: both makers do it for every container after every call, which is more
than any order of CHECKs among the calls.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from tests.host import Container, Host
from tests.interop.makers import Go, Maker, Newer, Ours
from tests.interop.remains import remains
from tests.netns.agent.agents import eventually

pytestmark = pytest.mark.reference

# Who they are, beside whom, and what for.
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "iptables": {"ipMasq": True, "ipMasqBackend": "iptables"},
    "nftables": {"ipMasq": True, "ipMasqBackend": "nftables"},
    "macspoofchk": {"macspoofchk": True},
}

INTERLEAVED = ("A1 D1 A2 D2", "A1 A2 D1 D2", "A1 A2 D2 D1")


def orders(interleaved: Iterable[str]) -> list[str]:
    """Share the calls out in all ways; a call is written ``A1:ours``."""
    return [
        " ".join(f"{step}:{maker}" for step, maker in zip(steps.split(), makers, strict=True))
        for steps in interleaved
        for makers in itertools.product(("ours", "go"), repeat=4)
    ]


class Network:
    """A dual-stack network that several makers serve."""

    def __init__(self, host: Host, ours: Ours, kind: str) -> None:
        self.host = host
        self.kind = kind
        self.makers: dict[str, Maker] = {
            "ours": ours,
            "go": Newer() if kind == "nftables" else Go(),
        }
        self.config: dict[str, Any] = {
            "cniVersion": "1.0.0",
            "name": "net1",
            "type": "bridge",
            "bridge": "br0",
            "isDefaultGateway": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(host.state / "ipam"),
                "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]],
            },
            **KINDS[kind],
        }
        self.attached: dict[Container, dict[str, Any]] = {}

    def add(self, maker: str, container: Container) -> dict[str, Any]:
        outcome = self.makers[maker].call(self.host, "ADD", self.config, container)
        assert outcome.status == 0, outcome
        result: dict[str, Any] = outcome.json
        self.attached[container] = result
        return result

    def delete(
        self, maker: str, container: Container, *, netns: str | None = None, known: bool = True
    ) -> None:
        result = self.attached.pop(container, None)
        config = {**self.config, "prevResult": result} if known and result else self.config
        outcome = self.makers[maker].call(self.host, "DEL", config, container, netns=netns)
        assert outcome[:2] == (0, ""), outcome

    def check(self) -> None:
        for container, result in self.attached.items():
            for name, maker in self.makers.items():
                config = {**self.config, "prevResult": result}
                outcome = maker.call(self.host, "CHECK", config, container)
                assert outcome[:2] == (0, ""), f"{name}: {outcome}"

    def addresses(self) -> list[str]:
        return [ip["address"] for result in self.attached.values() for ip in result["ips"]]

    def collect(self) -> None:
        """Have ours release what is not attached."""
        config = {
            **self.config,
            "cniVersion": "1.1.0",
            "cni.dev/valid-attachments": [
                {"containerID": container.id, "ifname": "eth0"} for container in self.attached
            ],
        }
        outcome = self.makers["ours"].call(self.host, "GC", config, None)
        assert outcome[:2] == (0, ""), outcome


@pytest.fixture
def network(host: Host, ours: Ours, kind: str) -> Network:
    # Else the Go plugin waits for, and leaves, what duplicate address detection is about to do.
    host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
    return Network(host, ours, kind)


@pytest.mark.parametrize("maker", ["ours", "go"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_an_attachment_has_would_be_seen(network: Network, maker: str) -> None:
    network.add(maker, network.host.container())

    found = "; ".join(remains(network.host))

    assert "link veth" in found
    assert "ipam/net1/10.1.2.2" in found
    assert "ipam/net1/2001:db8::2" in found
    assert ("nft: " in found) == (network.kind != "plain")
    assert ("nft: chain cni-br-iface-" in found) == (network.kind == "macspoofchk")
    for tool in ("iptables-save", "ip6tables-save"):
        assert (f"{tool}: -A" in found) == (network.kind == "iptables")


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        (kind, order)
        for kind in KINDS
        # Who is held to a MAC address shares nothing with others: one way to interleave will do.
        for order in orders(INTERLEAVED if kind != "macspoofchk" else INTERLEAVED[1:2])
    ],
)
def test_in_whatever_order_nothing_is_left(network: Network, order: str) -> None:
    containers = {number: network.host.container() for number in "12"}
    for step in order.split():
        call, _, maker = step.partition(":")
        change = network.add if call[0] == "A" else network.delete
        change(maker, containers[call[1]])
        network.check()
        assert len(set(network.addresses())) == 2 * len(network.attached)

    assert remains(network.host) == []


@pytest.mark.parametrize(("deleting", "again"), [("ours", "go"), ("go", "ours")])
@pytest.mark.parametrize("adding", ["ours", "go"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_delete_by_whoever_harms_no_other_container(
    network: Network, adding: str, deleting: str, again: str
) -> None:
    stays, goes = network.host.container(), network.host.container()
    network.add(adding, stays)
    network.add(adding, goes)
    network.delete(deleting, goes)

    network.delete(again, goes)

    network.check()
    network.delete(again, stays)
    assert remains(network.host) == []


def gone(network: Network, container: Container) -> None:
    """Take a container's namespace away, as a runtime does, and wait for its links to follow."""
    port = network.attached[container]["interfaces"][1]["name"]
    container.close()
    eventually(lambda: port not in network.host.links(), f"{port} stays")


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("netns", ["", "/run/netns/gone"], ids=["no netns", "netns gone"])
@pytest.mark.parametrize("adding", ["ours", "go"])
@pytest.mark.parametrize("kind", KINDS)
def test_ours_deletes_what_anybody_added_without_a_namespace(
    network: Network, adding: str, netns: str, known: bool
) -> None:
    stays, goes = network.host.container(), network.host.container()
    network.add(adding, stays)
    network.add(adding, goes)
    gone(network, goes)

    network.delete("ours", goes, netns=netns, known=known)

    network.check()
    network.delete("ours", stays)
    assert remains(network.host) == []


@pytest.mark.parametrize(
    ("netns", "collecting"), [("", "DEL"), ("", "GC"), ("/run/netns/gone", "GC")]
)
@pytest.mark.parametrize("adding", ["ours", "go"])
@pytest.mark.parametrize("kind", KINDS)
def test_ours_collects_what_the_reference_forgets_without_a_namespace(
    network: Network, adding: str, netns: str, collecting: str
) -> None:
    stays, goes = network.host.container(), network.host.container()
    network.add(adding, stays)
    network.add(adding, goes)
    gone(network, goes)
    network.delete("go", goes, netns=netns)

    if collecting == "DEL":
        network.delete("ours", goes, netns=netns)
    else:
        network.collect()

    network.check()
    network.delete("ours", stays)
    assert remains(network.host) == []


@pytest.mark.parametrize("adding", ["ours", "go"])
@pytest.mark.parametrize("kind", KINDS)
def test_ours_collects_what_nobody_deleted(network: Network, adding: str) -> None:
    stays, lost = network.host.container(), network.host.container()
    network.add(adding, stays)
    network.add(adding, lost)
    gone(network, lost)
    del network.attached[lost]

    network.collect()

    network.check()
    network.delete("go", stays)
    assert remains(network.host) == []


@pytest.mark.parametrize("kind", ["nftables"])
def test_rules_that_an_older_reference_does_not_know_are_collected(network: Network) -> None:
    """It masquerades with iptables whatever the configuration says, and knows no other rules."""
    older = network.makers["go"] = Go()
    ours, theirs = network.host.container(), network.host.container()
    network.add("ours", ours)
    network.add("go", theirs)

    network.delete("ours", theirs)
    # It misses its iptables rules, having taken away the rest; there is none to miss then.
    older.call(network.host, "DEL", network.config, ours)
    network.delete("go", ours)
    network.collect()

    assert remains(network.host) == []
