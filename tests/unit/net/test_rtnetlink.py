"""The codec: captured bytes both ways, and what was encoded is what is decoded."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from cnisdk.net import _uapi as k
from cnisdk.net.rtnetlink import (
    Ack,
    MalformedError,
    Message,
    ack,
    attribute,
    attributes,
    lladdr,
    message,
    messages,
    string,
    to_int,
    to_ip,
    to_lladdr,
    to_signed,
    to_string,
    u8,
    u16,
    u32,
)
from tests.unit.net import captured

quick = settings(deadline=None, max_examples=60)

kinds = st.integers(0, k.NLA_TYPE_MASK)
payloads = st.binary(max_size=64)


@quick
@given(st.dictionaries(kinds, payloads))
def test_attributes_round_trip(wanted: dict[int, bytes]) -> None:
    data = b"".join(attribute(kind, payload) for kind, payload in wanted.items())

    assert len(data) % 4 == 0
    assert attributes(data) == wanted


@quick
@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), payloads)))
def test_messages_round_trip(wanted: list[tuple[int, int, bytes]]) -> None:
    data = b""
    for seq, (kind, flags, payload) in enumerate(wanted):
        data += message(kind, flags, seq, payload)
        data += bytes(-len(data) % 4)

    expected = [
        Message(kind, flags, seq, 0, payload) for seq, (kind, flags, payload) in enumerate(wanted)
    ]
    assert messages(data) == expected


@pytest.mark.parametrize("parse", [messages, attributes])
@quick
@given(data=st.binary(max_size=80))
def test_arbitrary_bytes_are_parsed_or_malformed(
    parse: Callable[[bytes], object], data: bytes
) -> None:
    with suppress(MalformedError):
        parse(data)


@quick
@given(st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_integers_round_trip_in_their_width(small: int, medium: int, large: int) -> None:
    got = attributes(u8(1, small) + u16(2, medium) + u32(3, large))

    assert [len(got[kind]) for kind in (1, 2, 3)] == [1, 2, 4]
    assert [to_int(got[kind]) for kind in (1, 2, 3)] == [small, medium, large]


@quick
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=15))
def test_strings_round_trip_with_one_nul(text: str) -> None:
    payload = attributes(string(3, text))[3]

    assert payload.endswith(b"\0")
    assert to_string(payload) == text


@quick
@given(st.binary(min_size=6, max_size=6))
def test_link_layer_addresses_round_trip(octets: bytes) -> None:
    text = octets.hex(":")

    assert attributes(lladdr(1, text)) == {1: octets}
    assert to_lladdr(octets) == text


def test_a_text_that_is_no_link_layer_address_is_named() -> None:
    with pytest.raises(OSError, match="not a link-layer address: '02:zz'"):
        lladdr(1, "02:zz")


def test_absent_attributes_have_their_defaults() -> None:
    assert (to_int(None, 7), to_signed(None, -1), to_string(None), to_lladdr(None)) == (
        7,
        -1,
        "",
        "",
    )


def test_flags_are_no_part_of_an_attribute_type() -> None:
    assert attributes(u8(k.IFLA_PROTINFO | k.NLA_F_NESTED, 1)) == {k.IFLA_PROTINFO: b"\1"}


@pytest.mark.parametrize("text", ["10.0.0.1", "fd00::1"])
def test_an_address_has_the_family_of_its_length(text: str) -> None:
    packed = {"10.0.0.1": b"\x0a\0\0\1", "fd00::1": b"\xfd" + bytes(14) + b"\1"}[text]

    assert str(to_ip(packed)) == text


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (captured.ACK, Ack(0)),
        (captured.ERROR_NO_DEVICE, Ack(19)),
        (captured.ERROR_UNKNOWN_KIND, Ack(95, "Unknown device type")),
        (captured.ERROR_UNCAPPED, Ack(95, "Unknown device type")),
        (captured.ERROR_NO_ADDRESS, Ack(22, "ipv4: Local address is not supplied")),
    ],
)
def test_a_captured_acknowledgement_is_read(data: bytes, wanted: Ack) -> None:
    (reply,) = messages(data)

    assert ack(reply) == wanted


@pytest.mark.parametrize(
    ("attrs", "text"),
    [
        (u32(k.NLMSGERR_ATTR_MISS_TYPE, 4), "attribute 4 is missing"),
        (u32(k.NLMSGERR_ATTR_OFFS, 36), "byte 36 of the request is refused"),
        (b"", ""),
    ],
)
def test_a_refusal_without_words_says_what_it_is_about(attrs: bytes, text: str) -> None:
    quoted = (-22).to_bytes(4, "little", signed=True) + bytes(16)
    flags = k.NLM_F_CAPPED | k.NLM_F_ACK_TLVS

    assert ack(Message(k.NLMSG_ERROR, flags, 1, 1, quoted + attrs)) == Ack(22, text)


def test_the_end_of_a_dump_may_carry_an_error() -> None:
    payload = (-2).to_bytes(4, "little", signed=True) + string(k.NLMSGERR_ATTR_MSG, "no such table")
    reply = Message(k.NLMSG_DONE, k.NLM_F_MULTI | k.NLM_F_ACK_TLVS, 1, 1, payload)

    assert ack(reply) == Ack(2, "no such table")
