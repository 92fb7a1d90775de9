"""The socket against the real kernel: where it is, and tables that change while they are read."""

import errno
from collections.abc import Callable
from ipaddress import IPv4Interface

import pytest

from cnisdk.net import addr, link
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL, NetlinkError
from tests.host import Container, Host

MANY = 1500


class Meddling(RTNL):
    """Has something happen to the kernel after each datagram it reads."""

    meddle: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self, netns: NetNS) -> None:
        super().__init__(netns)
        self.passes: list[str] = []

    def _read(self) -> bytes:
        data = super()._read()
        self.meddle()
        return data

    def _dump_once(self, what: str, type: int, body: bytes, deadline: float) -> list[bytes] | None:
        entries = super()._dump_once(what, type, body, deadline)
        self.passes.append("interrupted" if entries is None else "whole")
        return entries


@pytest.fixture
def many(rtnl: RTNL) -> int:
    """Put so many addresses on a link that a dump takes several datagrams."""
    link.add_ifb(rtnl, "ifb7")
    index = link.by_name(rtnl, "ifb7").index
    for number in range(MANY):
        addr.add(rtnl, index, IPv4Interface(f"10.{number >> 8}.{number & 255}.1/24"))
    return index


def test_a_dump_of_several_datagrams_is_complete(rtnl: RTNL, many: int) -> None:
    assert len(addr.dump(rtnl, many)) == MANY


def test_a_dump_that_a_change_interrupts_is_repeated(ns: NetNS, rtnl: RTNL, many: int) -> None:
    left = [IPv4Interface("10.99.0.1/24")]

    def change_once() -> None:
        if left:
            addr.add(rtnl, many, left.pop())

    with Meddling(ns) as meddling:
        meddling.meddle = change_once

        found = addr.dump(meddling)

    assert len({entry.address for entry in found if entry.index == many}) == MANY + 1
    assert meddling.passes == ["interrupted", "whole"]


def test_a_table_that_never_stays_the_same_is_given_up(ns: NetNS, rtnl: RTNL, many: int) -> None:
    toggled = IPv4Interface("10.99.0.1/24")
    there: list[bool] = []

    def toggle() -> None:
        if there:
            addr.delete(rtnl, many, toggled)
            there.clear()
        else:
            addr.add(rtnl, many, toggled)
            there.append(True)

    with Meddling(ns) as meddling:
        meddling.meddle = toggle

        with pytest.raises(NetlinkError, match=r"list addresses: .*it changed during") as caught:
            addr.dump(meddling, many)

        assert caught.value.errno == errno.EAGAIN
        meddling.meddle = lambda: None
        assert link.by_name(meddling, "lo").name == "lo"  # the socket is usable still


def test_a_socket_stays_in_its_namespace(host: Host, ns: NetNS, inner_ns: NetNS) -> None:
    with RTNL(ns) as rtnl, inner_ns.enter():
        link.add_ifb(rtnl, "ifb7")

    assert [entry["ifname"] for entry in host.json("ip", "link")] == ["lo", "ifb7"]


def test_a_socket_without_a_namespace_is_in_the_threads(
    container: Container, inner_ns: NetNS
) -> None:
    with inner_ns.enter():
        rtnl = RTNL()

    with rtnl:
        link.add_ifb(rtnl, "ifb7")

    assert [entry["ifname"] for entry in container.json("ip", "link")] == ["lo", "ifb7"]


def test_a_closed_socket_says_what_was_asked(ns: NetNS) -> None:
    rtnl = RTNL(ns)
    rtnl.close()
    rtnl.close()

    with pytest.raises(NetlinkError, match="find link lo: Bad file descriptor"):
        link.by_name(rtnl, "lo")
