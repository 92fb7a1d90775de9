"""Links on the real kernel, seen by ip(8)."""

import errno
import fcntl
import socket
import time
from collections.abc import Callable

import pytest

from cnisdk import cancel
from cnisdk.net import _uapi as k, link
from cnisdk.net.link import Link
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL, Listener, NetlinkError
from tests.host import Container, Host

LONG = "a23456789012345"  # as long as a name can be: IFNAMSIZ less its NUL


def shown(host: Host | Container, name: str) -> dict[str, object]:
    (entry,) = host.json("ip", "-d", "link", "show", "dev", name)
    assert isinstance(entry, dict)
    return entry


def test_a_veth_is_made_with_its_peer_in_the_other_namespace(
    host: Host, container: Container, rtnl: RTNL, inner_ns: NetNS
) -> None:
    link.add_veth(
        rtnl,
        LONG,
        "eth0",
        peer_netns=inner_ns,
        mtu=1400,
        address="02:00:00:00:00:01",
        peer_address="02:00:00:00:00:02",
    )

    ours, theirs = shown(host, LONG), shown(container, "eth0")
    assert (ours["mtu"], ours["address"]) == (1400, "02:00:00:00:00:01")
    assert (theirs["mtu"], theirs["address"]) == (1400, "02:00:00:00:00:02")
    assert [entry["ifname"] for entry in host.json("ip", "link")] == ["lo", LONG]


def test_a_veth_has_as_many_queues_at_both_ends(
    host: Host, container: Container, rtnl: RTNL, inner_ns: NetNS
) -> None:
    link.add_veth(rtnl, "veth0", "eth0", peer_netns=inner_ns, queues=3)

    for entry in (shown(host, "veth0"), shown(container, "eth0")):
        assert (entry["num_tx_queues"], entry["num_rx_queues"]) == (3, 3)


def test_a_veth_is_found_with_its_peer(rtnl: RTNL, inner: RTNL, inner_ns: NetNS) -> None:
    link.add_veth(rtnl, "veth0", "eth0", peer_netns=inner_ns)

    ours, theirs = link.by_name(rtnl, "veth0"), link.by_name(inner, "eth0")

    assert (ours.kind, theirs.kind) == ("veth", "veth")
    assert ours.peer_index == theirs.index
    assert theirs.peer_index == ours.index
    assert ours.peer_netnsid >= 0


def test_a_veth_is_made_a_port_and_up_in_the_same_request(host: Host, rtnl: RTNL) -> None:
    link.add_bridge(rtnl, "br0", up=True)

    link.add_veth(rtnl, "veth0", "peer0", master=link.by_name(rtnl, "br0").index, up=True)

    port = shown(host, "veth0")
    assert port["master"] == "br0"
    assert "UP" in str(port["flags"])
    assert [ln.name for ln in link.dump(rtnl, master=link.by_name(rtnl, "br0").index)] == ["veth0"]


def test_a_bridge_is_made(host: Host, rtnl: RTNL) -> None:
    link.add_bridge(rtnl, LONG, mtu=1400, address="02:00:00:00:00:01")

    bridge = shown(host, LONG)
    assert (bridge["mtu"], bridge["address"]) == (1400, "02:00:00:00:00:01")
    assert link.by_name(rtnl, LONG).kind == "bridge"


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_a_macvlan_is_made_on_its_parent(host: Host, rtnl: RTNL, veth: Link, mode: str) -> None:
    link.add_macvlan(rtnl, "mac0", veth.index, mode=mode, mtu=1400)

    made = shown(host, "mac0")
    assert (made["link"], made["mtu"]) == ("veth0", 1400)
    assert made["linkinfo"]["info_data"]["mode"] == mode  # type: ignore[index]
    found = link.by_name(rtnl, "mac0")
    assert (found.kind, found.mode, found.peer_index) == ("macvlan", mode, veth.index)


def test_a_macvlan_is_made_in_another_namespace(
    container: Container, rtnl: RTNL, veth: Link, inner_ns: NetNS
) -> None:
    link.add_macvlan(rtnl, "mac0", veth.index, netns=inner_ns, address="02:00:00:00:00:05")

    assert shown(container, "mac0")["address"] == "02:00:00:00:00:05"


def test_an_ifb_is_made(host: Host, rtnl: RTNL) -> None:
    link.add_ifb(rtnl, "ifb7")

    assert shown(host, "ifb7")["linkinfo"] == {"info_kind": "ifb"}


def test_a_kind_that_the_kernel_does_not_know_has_its_words_in_the_error(rtnl: RTNL) -> None:
    with pytest.raises(NetlinkError) as caught:
        link._add(rtnl, "add link x0", "nonsense", link._settings("x0"))

    assert caught.value.errno == errno.EOPNOTSUPP
    assert str(caught.value) == (
        "add link x0 type nonsense: Operation not supported: Unknown device type"
    )


# Which of these the kernel at hand knows depends on its modules.
MAYBE: dict[str, Callable[[RTNL, int], None]] = {
    "vlan": lambda rtnl, parent: link.add_vlan(rtnl, "x0", parent, 5),
    "ipvlan": lambda rtnl, parent: link.add_ipvlan(rtnl, "x0", parent, mode="l3"),
    "dummy": lambda rtnl, _: link.add_dummy(rtnl, "x0"),
}


@pytest.mark.parametrize("kind", MAYBE)
def test_a_link_of_a_kind_is_made_or_refused_with_words(
    host: Host, rtnl: RTNL, veth: Link, kind: str
) -> None:
    try:
        MAYBE[kind](rtnl, veth.index)
    except NetlinkError as err:
        assert str(err) == (  # noqa: PT017 - either is right
            f"add link x0 type {kind}: Operation not supported: Unknown device type"
        )
        return
    assert shown(host, "x0")["linkinfo"]["info_kind"] == kind  # type: ignore[index]
    assert link.by_name(rtnl, "x0").kind == kind


def test_a_bridge_that_filters_vlans_is_made_or_refused(host: Host, rtnl: RTNL) -> None:
    try:
        link.add_bridge(rtnl, "br0", vlan_filtering=True)
    except NetlinkError as err:  # a kernel without CONFIG_BRIDGE_VLAN_FILTERING
        assert err.errno == errno.EOPNOTSUPP  # noqa: PT017 - either is right
        assert link.find(rtnl, "br0") is None
        return
    assert link.by_name(rtnl, "br0").vlan_filtering


def test_a_name_that_is_taken_is_an_error_that_names_it(rtnl: RTNL) -> None:
    link.add_bridge(rtnl, "br0")

    with pytest.raises(NetlinkError, match="add link br0 type bridge: File exists") as caught:
        link.add_bridge(rtnl, "br0")

    assert caught.value.errno == errno.EEXIST


def test_a_peers_name_that_is_taken_makes_nothing(
    host: Host, rtnl: RTNL, inner: RTNL, inner_ns: NetNS
) -> None:
    link.add_ifb(inner, "eth0")

    with pytest.raises(NetlinkError, match="add link veth0 with peer eth0 type veth: File exists"):
        link.add_veth(rtnl, "veth0", "eth0", peer_netns=inner_ns)

    assert [entry["ifname"] for entry in host.json("ip", "link")] == ["lo"]


def test_a_name_of_16_bytes_is_refused(rtnl: RTNL) -> None:
    with pytest.raises(NetlinkError, match=f"add link {LONG}6 type bridge: .*range"):
        link.add_bridge(rtnl, LONG + "6")


@pytest.mark.parametrize("find", [link.by_name, link.find])
def test_a_link_is_found_by_a_name_of_15_bytes(
    rtnl: RTNL, find: Callable[[RTNL, str], Link | None]
) -> None:
    link.add_bridge(rtnl, LONG)

    found = find(rtnl, LONG)

    assert found is not None
    assert (found.name, found.kind) == (LONG, "bridge")
    assert link.by_index(rtnl, found.index) == found


def test_a_link_that_is_not_there_is_none_or_an_error(rtnl: RTNL) -> None:
    assert link.find(rtnl, "nothing") is None
    with pytest.raises(NetlinkError, match="find link nothing: No such device") as caught:
        link.by_name(rtnl, "nothing")
    assert caught.value.errno == errno.ENODEV
    with pytest.raises(NetlinkError, match="find link 4711: No such device"):
        link.by_index(rtnl, 4711)


def test_links_are_listed_by_kind_and_by_master(rtnl: RTNL, veth: Link) -> None:
    link.add_bridge(rtnl, "br0")
    link.add_ifb(rtnl, "ifb7")
    bridge = link.by_name(rtnl, "br0").index
    link.set_master(rtnl, veth.index, bridge)

    assert {ln.name for ln in link.dump(rtnl)} == {"lo", "veth0", "peer0", "br0", "ifb7"}
    assert {ln.name for ln in link.dump(rtnl, kind="veth")} == {"veth0", "peer0"}
    assert {ln.name for ln in link.dump(rtnl, master=bridge)} == {"veth0"}
    assert link.dump(rtnl, kind="nonsense") == []


def test_settings_of_a_link_are_changed(host: Host, rtnl: RTNL) -> None:
    link.add_veth(rtnl, "veth0", "peer0")
    index = link.by_name(rtnl, "veth0").index

    link.set_mtu(rtnl, index, 1300)
    link.set_address(rtnl, index, "02:00:00:00:00:09")
    link.set_alias(rtnl, index, "a pod's")
    link.set_promisc(rtnl, index)
    link.rename(rtnl, index, LONG)
    link.set_up(rtnl, index)

    entry = shown(host, LONG)
    assert (entry["mtu"], entry["address"]) == (1300, "02:00:00:00:00:09")
    assert entry["ifalias"] == "a pod's"
    assert {"PROMISC", "UP"} <= set(entry["flags"])  # type: ignore[call-overload]
    found = link.by_index(rtnl, index)
    assert (found.alias, found.promisc, found.promiscuity, found.up) == ("a pod's", True, 1, True)


def test_settings_of_a_link_are_taken_back(host: Host, rtnl: RTNL, veth: Link) -> None:
    link.set_alias(rtnl, veth.index, "a pod's")
    link.set_promisc(rtnl, veth.index)

    link.set_alias(rtnl, veth.index, "")
    link.set_promisc(rtnl, veth.index, on=False)
    link.set_down(rtnl, veth.index)

    entry = shown(host, "veth0")
    assert "ifalias" not in entry
    assert not {"PROMISC", "UP"} & set(entry["flags"])  # type: ignore[call-overload]


def test_a_link_joins_and_leaves_a_bridge(host: Host, rtnl: RTNL) -> None:
    link.add_bridge(rtnl, "br0")
    link.add_veth(rtnl, "veth0", "peer0")
    index = link.by_name(rtnl, "veth0").index

    link.set_master(rtnl, index, link.by_name(rtnl, "br0").index, up=True)
    joined = shown(host, "veth0")
    link.set_master(rtnl, index, 0)

    assert joined["master"] == "br0"
    assert "UP" in str(joined["flags"])
    assert "master" not in shown(host, "veth0")


def test_a_link_moves_to_another_namespace_under_another_name(
    host: Host, container: Container, rtnl: RTNL, inner_ns: NetNS
) -> None:
    link.add_ifb(rtnl, "ifb7")

    link.set_netns(rtnl, link.by_name(rtnl, "ifb7").index, inner_ns, name="eth0")

    assert shown(container, "eth0")["ifname"] == "eth0"
    assert [entry["ifname"] for entry in host.json("ip", "link")] == ["lo"]


def test_deleting_a_veth_takes_its_peer(container: Container, rtnl: RTNL, inner_ns: NetNS) -> None:
    link.add_veth(rtnl, "veth0", "eth0", peer_netns=inner_ns)

    link.delete(rtnl, link.by_name(rtnl, "veth0").index)

    assert [entry["ifname"] for entry in container.json("ip", "link")] == ["lo"]


def test_deleting_what_is_gone_says_so(rtnl: RTNL) -> None:
    with pytest.raises(NetlinkError, match="delete link 4711: No such device"):
        link.delete(rtnl, 4711)


def test_the_kernels_own_words_are_in_the_error(rtnl: RTNL, veth: Link) -> None:
    with pytest.raises(NetlinkError, match="mtu 99999999: Invalid argument: mtu greater than"):
        link.set_mtu(rtnl, veth.index, 99999999)


class MeddlingListener(Listener):
    """Has something happen to the kernel each time before it waits for notifications."""

    meddle: Callable[[], object]

    def wait(self, deadline: float) -> bool:
        self.meddle()
        return super().wait(deadline)


class Meddling(RTNL):
    """Has something happen to the kernel whenever a listener is about to wait."""

    meddle: Callable[[], object]

    def listen(self, group: int) -> Listener:
        with NetNS(fcntl.ioctl(self._socket, k.SIOCGSKNS)) as netns:
            listener = MeddlingListener(group, netns)
        listener._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # soon full
        listener.meddle = self.meddle
        return listener


def test_waiting_ends_when_the_link_comes_up(ns: NetNS, rtnl: RTNL) -> None:
    link.add_veth(rtnl, "veth0", "peer0", up=True)
    waiting, peer = (link.by_name(rtnl, name).index for name in ("veth0", "peer0"))
    with Meddling(ns) as meddling:
        meddling.meddle = lambda: link.set_up(rtnl, peer)

        found = link.wait_up(meddling, waiting, 5)

    assert (found.index, found.operstate) == (waiting, k.IF_OPER_UP)


def test_waiting_for_a_link_that_is_up_does_not_wait(rtnl: RTNL, veth: Link) -> None:
    assert link.wait_up(rtnl, veth.index, 0).operational


def test_waiting_for_a_link_that_never_comes_up_ends_at_its_bound(rtnl: RTNL) -> None:
    link.add_veth(rtnl, "veth0", "peer0", up=True)
    index = link.by_name(rtnl, "veth0").index
    start = time.monotonic()

    with pytest.raises(NetlinkError, match=r"wait for link veth0 to be up: .*timed out") as caught:
        link.wait_up(rtnl, index, 0.1)

    assert 0.1 <= time.monotonic() - start < 1
    assert caught.value.errno == errno.ETIMEDOUT


def test_waiting_ends_when_the_link_goes(ns: NetNS, rtnl: RTNL) -> None:
    link.add_veth(rtnl, "veth0", "peer0", up=True)
    index = link.by_name(rtnl, "veth0").index
    with Meddling(ns) as meddling:
        meddling.meddle = lambda: link.delete(rtnl, index)

        with pytest.raises(NetlinkError) as caught:
            link.wait_up(meddling, index, 5)

    assert caught.value.errno == errno.ENODEV


def test_waiting_goes_on_when_notifications_were_dropped(ns: NetNS, rtnl: RTNL) -> None:
    link.add_veth(rtnl, "veth0", "peer0", up=True)
    waiting, peer = (link.by_name(rtnl, name).index for name in ("veth0", "peer0"))

    def flood() -> None:
        for number in range(20):
            link.set_alias(rtnl, peer, f"alias {number}")
        link.set_up(rtnl, peer)

    with Meddling(ns) as meddling:
        meddling.meddle = flood

        found = link.wait_up(meddling, waiting, 5)

    assert found.operstate == k.IF_OPER_UP


def test_a_cancelled_hook_does_not_go_on_waiting(ns: NetNS, rtnl: RTNL) -> None:
    link.add_veth(rtnl, "veth0", "peer0", up=True)
    index = link.by_name(rtnl, "veth0").index
    token = cancel.Token()
    with Meddling(ns) as meddling, cancel.cancellable(token):
        meddling.meddle = lambda: token.cancel("SIGTERM")

        with pytest.raises(cancel.Cancelled):
            link.wait_up(meddling, index, 60)


def test_single_facts_of_a_link_are_those_of_its_description(rtnl: RTNL) -> None:
    link.add_ifb(rtnl, "d0", mtu=1400)
    described = link.by_name(rtnl, "d0")

    assert link.index_of(rtnl, "d0") == described.index
    assert link.mtu_of(rtnl, "d0") == described.mtu == 1400


def test_single_facts_are_of_the_namespace_of_the_socket(rtnl: RTNL, inner: RTNL) -> None:
    link.add_ifb(inner, "d0", mtu=1300)

    assert link.mtu_of(inner, "d0") == 1300
    with pytest.raises(NetlinkError, match="find link d0: No such device"):
        link.mtu_of(rtnl, "d0")


@pytest.mark.parametrize("name", ["nothing", "a-name-that-is-too-long"])
def test_a_link_that_is_not_there_has_no_index(rtnl: RTNL, name: str) -> None:
    link.add_ifb(rtnl, name[:15])
    link.delete(rtnl, link.index_of(rtnl, name[:15]))

    with pytest.raises(NetlinkError) as caught:
        link.index_of(rtnl, name)

    assert caught.value.errno == errno.ENODEV
