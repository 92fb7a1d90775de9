import pytest

from cni_host_local.range import Range, RangeError, parse_address


@pytest.mark.parametrize(
    ("subnet", "start", "end", "gateway"),
    [
        ("10.1.2.0/24", "10.1.2.1", "10.1.2.254", "10.1.2.1"),
        ("10.1.2.0/25", "10.1.2.1", "10.1.2.126", "10.1.2.1"),
        ("10.1.2.0/30", "10.1.2.1", "10.1.2.2", "10.1.2.1"),
        ("2001:db8:1::/64", "2001:db8:1::1", "2001:db8:1:0:ffff:ffff:ffff:ffff", "2001:db8:1::1"),
        ("2001:db8::/126", "2001:db8::1", "2001:db8::3", "2001:db8::1"),
    ],
)
def test_what_is_not_said_gets_its_default(subnet: str, start: str, end: str, gateway: str) -> None:
    made = Range.parse(subnet)

    assert (str(made.subnet), str(made.start), str(made.end), str(made.gateway)) == (
        subnet,
        start,
        end,
        gateway,
    )


def test_what_is_said_is_kept() -> None:
    made = Range.parse("10.1.2.0/24", "10.1.2.40", "10.1.2.50", "10.1.2.254")

    assert str(made) == "10.1.2.40-10.1.2.50"
    assert str(made.gateway) == "10.1.2.254"


def test_gateway_may_be_anywhere() -> None:
    assert str(Range.parse("10.1.2.0/24", gateway="2001::1").gateway) == "2001::1"


@pytest.mark.parametrize(
    ("subnet", "why"),
    [
        ("", "IP <nil> not v4 nor v6"),
        ("foo", "invalid CIDR address: foo"),
        ("10.1.2.0", "invalid CIDR address: 10.1.2.0"),
        ("10.1.2.0/255.255.255.0", "invalid CIDR address: 10.1.2.0/255.255.255.0"),
        ("10.1.2.0/33", "invalid CIDR address: 10.1.2.0/33"),
        ("10.1.2.0/-1", "invalid CIDR address: 10.1.2.0/-1"),
        ("fe80::%eth0/64", "invalid CIDR address: fe80::%eth0/64"),
        ("10.1.2.0/31", "Network 10.1.2.0/31 too small to allocate from"),
        ("10.1.2.0/32", "Network 10.1.2.0/32 too small to allocate from"),
        ("fd00::/127", "Network fd00::/127 too small to allocate from"),
        ("::ffff:10.1.2.0/120", "IPNet IP and Mask version mismatch"),
        (
            "10.1.2.1/24",
            "Network has host bits set. For a subnet mask of length 24 "
            "the network address is 10.1.2.0",
        ),
        (
            "2001:db8:1::24:19ff/64",
            "Network has host bits set. For a subnet mask of length 64 "
            "the network address is 2001:db8:1::",
        ),
    ],
)
def test_a_wrong_subnet_is_refused(subnet: str, why: str) -> None:
    with pytest.raises(RangeError) as caught:
        Range.parse(subnet)

    assert str(caught.value) == why
    assert caught.value.key == "subnet"


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        ("10.1.3.1", "", "RangeStart 10.1.3.1 not in network 10.1.2.0/24"),
        ("", "10.1.4.5", "RangeEnd 10.1.4.5 not in network 10.1.2.0/24"),
        ("10.1.2.50", "10.1.2.40", "RangeStart 10.1.2.50 not in network 10.1.2.0/24"),
        ("", "10.1.2.0", "RangeEnd 10.1.2.0 not in network 10.1.2.0/24"),
        ("10.1.2.255", "", "RangeStart 10.1.2.255 not in network 10.1.2.0/24"),
        ("fd00::1", "", "RangeStart fd00::1 not in network 10.1.2.0/24"),
        ("10.1.2.300", "", "invalid IP address 10.1.2.300"),
    ],
)
def test_ends_outside_the_subnet_are_refused(start: str, end: str, why: str) -> None:
    with pytest.raises(RangeError) as caught:
        Range.parse("10.1.2.0/24", start, end)

    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.39", False),
        ("10.1.2.40", True),
        ("10.1.2.50", True),
        ("10.1.2.51", False),
        ("10.1.3.45", False),
        ("::ffff:10.1.2.45", True),
        ("fd00::1", False),
    ],
)
def test_both_ends_belong_to_the_range(address: str, inside: bool) -> None:
    made = Range.parse("10.1.2.0/24", "10.1.2.40", "10.1.2.50")

    assert (parse_address(address) in made) is inside


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (("10.1.0.0/24",), ("10.1.0.0/24",), True),
        (("10.1.0.0/20",), ("10.1.1.0/24",), True),
        (("10.1.0.0/24", "10.1.0.1", "10.1.0.9"), ("10.1.0.0/24", "10.1.0.10"), False),
        (("10.1.0.0/24", "10.1.0.1", "10.1.0.9"), ("10.1.0.0/24", "10.1.0.9"), True),
        (("2001:db8::/64",), ("2001:db8::/65",), True),
        (("10.1.0.0/24",), ("2001:db8::/64",), False),
    ],
)
def test_overlap_is_mutual(one: tuple[str, ...], other: tuple[str, ...], overlap: bool) -> None:
    first, second = Range.parse(*one), Range.parse(*other)

    assert first.overlaps(second) is overlap
    assert second.overlaps(first) is overlap
