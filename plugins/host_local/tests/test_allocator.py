from ipaddress import IPv4Address, ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cni_host_local.allocator import Allocator
from cni_host_local.errors import DUPLICATE, EXHAUSTED, UNAVAILABLE
from cni_host_local.range import Range
from cni_host_local.range_set import RangeSet
from cni_host_local.store import Store
from cnisdk import AttachmentKey, PluginError

ME = AttachmentKey("me", "eth0")


def _set(*ranges: str) -> RangeSet:
    return RangeSet.of(Range.parse(*one.split()) for one in ranges)


def _store(directory: str | Path) -> Store:
    store = Store(str(directory), "net")
    with store.locked():
        pass
    return store


def _occupy(store: Store, addresses: str) -> None:
    for number, address in enumerate(addresses.split()):
        assert store.reserve([ip_address(address)], AttachmentKey(f"c{number}", "eth0"))


@pytest.mark.parametrize(
    ("ranges", "taken", "last", "expected"),
    [
        (["10.0.0.0/29"], "", "", "10.0.0.2"),
        (["2001:db8:1::/64"], "", "", "2001:db8:1::2"),
        (["10.0.0.0/30"], "", "", "10.0.0.2"),
        (["10.0.0.0/29"], "10.0.0.2", "", "10.0.0.3"),
        (["10.0.0.0/29"], "", "10.0.0.4", "10.0.0.5"),
        (["10.0.0.0/29"], "10.0.0.4 10.0.0.5", "10.0.0.3", "10.0.0.6"),
        (["10.0.0.0/29"], "10.0.0.5", "10.0.0.6", "10.0.0.2"),
        (["10.0.0.0/29"], "10.0.0.2 10.0.0.4 10.0.0.5 10.0.0.6", "10.0.0.3", "10.0.0.3"),
        (["10.0.0.0/29"], "10.0.0.2", "10.0.0.128", "10.0.0.3"),
        (["10.0.0.0/29"], "10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5", "10.0.0.2", "10.0.0.6"),
        (["10.0.0.0/30", "10.0.1.0/30"], "", "10.0.0.2", "10.0.1.2"),
        (["10.0.0.0/30", "10.0.1.0/30"], "10.0.0.2", "10.0.0.1", "10.0.1.2"),
        (["10.0.0.0/30", "10.0.1.0/30"], "", "10.0.1.2", "10.0.0.2"),
        (["10.0.0.0/29 10.0.0.4"], "", "", "10.0.0.4"),
    ],
)
def test_addresses_are_given_away_in_turn(
    tmp_path: Path, ranges: list[str], taken: str, last: str, expected: str
) -> None:
    store = _store(tmp_path)
    _occupy(store, taken)
    if last:
        store.set_last_reserved(0, ip_address(last))

    got = Allocator(_set(*ranges), store, 0).allocate(ME)

    assert str(got.address) == expected
    assert store.last_reserved(0) == got.address


def test_a_released_address_rests_until_its_turn(tmp_path: Path) -> None:
    store = _store(tmp_path)
    allocator = Allocator(_set("10.0.0.0/29"), store, 0)

    first = allocator.allocate(ME).address
    store.release(ME)

    assert allocator.allocate(ME).address == first + 1


def test_a_requested_address_is_given(tmp_path: Path) -> None:
    store = _store(tmp_path)

    got = Allocator(_set("10.0.0.0/29", "10.1.0.0/16"), store, 3).allocate(
        ME, IPv4Address("10.1.7.7")
    )

    assert str(got.address) == "10.1.7.7"
    assert str(got.range.gateway) == "10.1.0.1"
    assert store.last_reserved(3) == IPv4Address("10.1.7.7")


@pytest.mark.parametrize(
    ("requested", "why"),
    [
        ("10.0.0.1", "requested ip 10.0.0.1 is subnet's gateway"),
        ("10.0.0.9", "10.0.0.9 not in range set 10.0.0.1-10.0.0.6"),
        (
            "10.0.0.2",
            "requested IP address 10.0.0.2 is not available in range set 10.0.0.1-10.0.0.6",
        ),
    ],
)
def test_a_requested_address_that_cannot_be_had_is_an_error(
    tmp_path: Path, requested: str, why: str
) -> None:
    store = _store(tmp_path)
    _occupy(store, "10.0.0.2")

    with pytest.raises(PluginError) as caught:
        Allocator(_set("10.0.0.0/29"), store, 0).allocate(ME, ip_address(requested))

    assert (caught.value.msg, caught.value.code) == (why, UNAVAILABLE)
    assert store.owned(ME) == []


def test_a_set_without_a_free_address_is_an_error(tmp_path: Path) -> None:
    store = _store(tmp_path)
    _occupy(store, "10.0.0.2")

    with pytest.raises(PluginError) as caught:
        Allocator(_set("10.0.0.0/30"), store, 0).allocate(ME)

    assert caught.value.msg == "no IP addresses available in range set: 10.0.0.1-10.0.0.2"
    assert caught.value.code == EXHAUSTED


@pytest.mark.parametrize("requested", [None, IPv4Address("10.0.0.5")])
def test_a_second_address_of_a_set_is_refused(
    tmp_path: Path, requested: IPv4Address | None
) -> None:
    store = _store(tmp_path)
    allocator = Allocator(_set("10.0.0.0/29"), store, 0)
    allocator.allocate(ME)

    with pytest.raises(PluginError) as caught:
        allocator.allocate(ME, requested)

    assert caught.value.msg == (
        "10.0.0.2 has been allocated to me, duplicate allocation is not allowed"
    )
    assert caught.value.code == DUPLICATE
    assert store.owned(ME) == [IPv4Address("10.0.0.2")]


def test_the_way_back_is_known_before_anything_can_fail(tmp_path: Path) -> None:
    store = _store(tmp_path)
    (tmp_path / "net" / "last_reserved_ip.0").mkdir()  # cannot be replaced by a file
    reserved: list[object] = []

    with pytest.raises(OSError, match="directory"):
        Allocator(_set("10.0.0.0/29"), store, 0).allocate(ME, on_reserved=reserved.append)

    assert reserved == [IPv4Address("10.0.0.2")]


class AgainstAModel(RuleBasedStateMachine):
    """The allocator, and what a person would do with a pencil and a list of addresses."""

    OFFERED = ("10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.1.0.2")

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory(dir="/run")  # in memory
        self.store = _store(self.directory.name)
        self.allocator = Allocator(_set("10.0.0.0/29", "10.1.0.0/30"), self.store, 0)
        self.owners: dict[str, str] = {}
        self.next = 0

    def teardown(self) -> None:
        self.directory.cleanup()

    def _expected(self, who: str, requested: str | None) -> str | int:
        if who in self.owners.values():
            return DUPLICATE
        if requested is not None:
            return UNAVAILABLE if requested in self.owners else requested
        turn = self.OFFERED[self.next :] + self.OFFERED[: self.next]
        return next((a for a in turn if a not in self.owners), EXHAUSTED)

    @rule(who=st.sampled_from("abcdefgh"), requested=st.none() | st.sampled_from(OFFERED))
    def add(self, who: str, requested: str | None) -> None:
        expected = self._expected(who, requested)
        got: str | int
        try:
            asked = None if requested is None else IPv4Address(requested)
            with self.store.locked():
                got = str(self.allocator.allocate(AttachmentKey(who, "eth0"), asked).address)
            self.owners[got] = who
            self.next = self.OFFERED.index(got) + 1
        except PluginError as err:
            got = err.code
        assert got == expected

    @rule(who=st.sampled_from("abcdefgh"))
    def delete(self, who: str) -> None:
        with self.store.locked():
            self.store.release(AttachmentKey(who, "eth0"))
        self.owners = {a: owner for a, owner in self.owners.items() if owner != who}

    @rule(address=st.sampled_from(OFFERED))
    def crash_of_the_go_plugin(self, address: str) -> None:
        if address not in self.owners:
            Path(self.store.path, address).touch()

    @invariant()
    def every_reservation_has_its_owner(self) -> None:
        for who in "abcdefgh":
            with self.store.locked():
                owned = {str(a) for a in self.store.owned(AttachmentKey(who, "eth0"))}
            assert owned == {a for a, owner in self.owners.items() if owner == who}


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=40, deadline=None)
