from ipaddress import IPv4Address

import pytest
from hypothesis import given, strategies as st

from cni_host_local.range import Range, RangeError
from cni_host_local.range_set import RangeSet


def of(*ranges: tuple[str, ...]) -> RangeSet:
    return RangeSet.of(Range.parse(*one) for one in ranges)


@pytest.mark.parametrize(
    ("ranges", "why"),
    [
        ([], "empty range set"),
        ([("10.1.0.0/24",), ("fd00::/64",)], "mixed address families"),
        (
            [("10.1.2.0/24",), ("10.1.2.0/24", "10.1.2.10")],
            "subnets 10.1.2.1-10.1.2.254 and 10.1.2.10-10.1.2.254 overlap",
        ),
    ],
)
def test_ranges_that_cannot_be_used_together_are_refused(
    ranges: list[tuple[str, ...]], why: str
) -> None:
    with pytest.raises(RangeError) as caught:
        of(*ranges)

    assert str(caught.value) == why


def test_sets_overlap_when_any_of_their_ranges_do() -> None:
    one = of(("10.1.0.0/24",), ("10.2.0.0/24",))

    assert one.overlaps(of(("10.3.0.0/24",), ("10.2.0.0/16",)))
    assert not one.overlaps(of(("10.3.0.0/24",), ("10.4.0.0/24",)))


def test_a_set_is_printed_as_its_ranges() -> None:
    assert str(of(("10.1.0.0/30",), ("10.2.0.0/30",))) == "10.1.0.1-10.1.0.2,10.2.0.1-10.2.0.2"


def test_the_gateway_of_one_range_is_not_given_away_by_another() -> None:
    shared = of(
        ("10.1.0.0/29", "10.1.0.2", "10.1.0.3", "10.1.0.6"),
        ("10.1.0.0/29", "10.1.0.5", "10.1.0.6"),
    )

    assert [str(a) for a in shared.candidates(None)] == ["10.1.0.2", "10.1.0.3", "10.1.0.5"]
    assert shared.size() == 3


def test_a_turn_starts_behind_the_last_and_ends_with_it() -> None:
    made = of(("10.1.0.0/29",), ("10.2.0.0/30",))

    turn = made.candidates(IPv4Address("10.1.0.4"))

    assert [str(a) for a in turn] == [
        *("10.1.0.5", "10.1.0.6"),
        "10.2.0.2",
        *("10.1.0.2", "10.1.0.3", "10.1.0.4"),
    ]


def test_a_last_of_elsewhere_means_the_beginning() -> None:
    made = of(("10.1.0.0/29",))

    assert str(next(made.candidates(IPv4Address("10.9.9.9")))) == "10.1.0.2"


@st.composite
def _sets(draw: st.DrawFn) -> RangeSet:
    made = []
    for number in range(draw(st.integers(1, 3))):
        hosts = sorted(draw(st.lists(st.integers(0, 15), min_size=2, max_size=2)))
        gateway = draw(st.integers(0, 15))
        start, end, router = (f"10.{number}.0.{host}" for host in (*hosts, gateway))
        made.append(Range.parse(f"10.{number}.0.0/28", start, end, router))
    return RangeSet.of(made)


@given(_sets(), st.data())
def test_a_turn_offers_every_address_once_and_no_gateway(
    made: RangeSet, data: st.DataObject
) -> None:
    everything = [a for one in made for a in one.subnet if a in one]
    offered = [a for a in everything if not made.is_gateway(a)]
    last = data.draw(st.none() | st.sampled_from(everything))

    turn = list(made.candidates(last))

    assert sorted(turn) == sorted(offered)
    assert made.size() == len(offered)
    if last is not None and not made.is_gateway(last):
        assert turn[-1] == last
