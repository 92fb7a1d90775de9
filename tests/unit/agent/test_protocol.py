"""The wire protocol, on bytes alone and on a socket pair."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from cnisdk.agent import protocol
from cnisdk.agent.protocol import Answer, Decoder, Descriptor, ProtocolError, Reason, Request

# As a launcher sent it: argv of one, CNI_COMMAND, descriptors 0 to 3.
CAPTURED = (
    b"CNIA\x01\x00\x00\x00\x1e\x00\x00\x00\x0f\x00\x00\x00"
    b"\x01\x00\x00\x00/x/bridge\x00CNI_COMMAND=ADD\x00"
)

text = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.sampled_from([os.fsdecode(bytes([byte])) for byte in (0x80, 0xC3, 0xFF)]),
    max_size=40,
).map(lambda string: os.fsdecode(os.fsencode(string)))
names = st.sampled_from(protocol.VARIABLES) | text.map(lambda s: "CNI_" + s.replace("=", ""))
requests = st.builds(
    Request,
    argv=st.lists(text, max_size=5).map(tuple),
    environ=st.dictionaries(names, text, max_size=8),
    descriptors=st.integers(0, 31).map(Descriptor),
)


@given(requests, st.lists(st.integers(1, 50)))
def test_a_request_survives_the_wire_in_whatever_pieces(request_: Request, cuts: list[int]) -> None:
    data = protocol.encode_request(request_)
    decoder = Decoder()
    for cut in cuts:
        if cut >= len(data):
            break
        assert decoder.feed(data[:cut]) is None
        data = data[cut:]

    assert decoder.feed(data) == request_


@given(st.binary(max_size=200), st.booleans())
def test_garbage_raises_a_protocol_error_and_nothing_else(garbage: bytes, framed: bool) -> None:
    header = struct.pack("<4sIII", b"CNIA", 1, len(garbage), 0) if framed else b""
    try:
        Decoder().feed(header + garbage)
    except ProtocolError:
        return


@given(requests, st.data())
def test_a_truncated_request_is_never_complete(request_: Request, data: st.DataObject) -> None:
    encoded = protocol.encode_request(request_)
    cut = data.draw(st.integers(0, len(encoded) - 1))

    assert Decoder().feed(encoded[:cut]) is None


def test_a_captured_request_decodes() -> None:
    assert Decoder().feed(CAPTURED) == Request(
        ("/x/bridge",), {"CNI_COMMAND": "ADD"}, Descriptor(15)
    )


def test_encoding_gives_the_captured_bytes() -> None:
    request = Request(("/x/bridge",), {"CNI_COMMAND": "ADD"}, Descriptor(15))

    assert protocol.encode_request(request) == CAPTURED


def test_only_whitelisted_variables_are_encoded() -> None:
    environ = {"CNI_IFNAME": "eth0", "CNISDK_SOCKET": "/s", "SECRET": "x", "PATH": "/bin"}
    request = Decoder().feed(protocol.encode_request(Request((), environ, Descriptor(0))))

    assert request is not None
    assert request.environ == {"CNI_IFNAME": "eth0", "PATH": "/bin"}


@pytest.mark.parametrize("offset", range(4))
def test_a_wrong_magic_is_refused_at_its_first_wrong_byte(offset: int) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(b"CNIA"[:offset] + b"?")


def test_another_version_is_refused_as_that() -> None:
    with pytest.raises(ProtocolError) as raised:
        Decoder().feed(struct.pack("<4sIII", b"CNIA", 2, 0, 0))

    assert raised.value.reason is Reason.VERSION


def test_an_oversized_payload_is_refused_before_it_comes() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        Decoder().feed(struct.pack("<4sIII", b"CNIA", 1, protocol.MAX_PAYLOAD + 1, 0))


def test_an_oversized_request_is_not_encoded() -> None:
    environ = {"CNI_ARGS": "x" * protocol.MAX_PAYLOAD}

    with pytest.raises(ProtocolError, match="at most"):
        protocol.encode_request(Request((), environ, Descriptor(0)))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\1\0\0",
        b"\1\0\0\0",
        b"\1\0\0\0no end",
        b"\377\377\377\377a\0",
        b"\0\0\0\0LD_PRELOAD=x\0",
        b"\0\0\0\0CNI_NOTHING\0",
        b"\0\0\0\0\0",
    ],
)
def test_a_malformed_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode_payload(payload)


def test_unknown_descriptors_are_refused() -> None:
    with pytest.raises(ProtocolError, match="0x20"):
        Decoder().feed(struct.pack("<4sIII", b"CNIA", 1, 4, 32))


def test_bytes_after_the_request_are_refused() -> None:
    with pytest.raises(ProtocolError, match="1 bytes after"):
        Decoder().feed(CAPTURED + b"x")


def test_the_decoder_says_how_much_it_wants() -> None:
    decoder = Decoder()
    before = decoder.wanted
    decoder.feed(CAPTURED[:16])

    assert (before, decoder.wanted) == (protocol.USUAL_SIZE, len(CAPTURED) - 16)


def test_the_first_of_two_values_counts() -> None:
    _, environ = protocol.decode_payload(b"\0\0\0\0CNI_ARGS=a\0CNI_ARGS=b\0")

    assert environ == {"CNI_ARGS": "a"}


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", Answer()),
        (b"A", Answer(accepted=True)),
        (b"AS\1\0", Answer(accepted=True)),
        (b"A" + protocol.encode_status(7), Answer(accepted=True, status=7)),
        (protocol.encode_refusal(Reason.DRAINING), Answer(refused=b"d")),
        (b"A" + protocol.encode_refusal(Reason.WITHDRAWN), Answer(accepted=True, refused=b"w")),
    ],
)
def test_an_answer_is_read_as_far_as_it_came(data: bytes, answer: Answer) -> None:
    assert protocol.decode_answer(data) == answer


@pytest.mark.parametrize("data", [b"x", b"S\0\0\0\0", b"AA", b"Rdd", b"AS\0\0\0\0\0"])
def test_a_wrong_answer_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode_answer(data)


# -- on a socket ---------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_descriptors_arrive_close_on_exec(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    protocol.send_fds(ours, b"data", [0, 1])
    data, fds = protocol.recv_fds(theirs, 100)
    inheritable = [os.get_inheritable(fd) for fd in fds]
    for fd in fds:
        os.close(fd)

    assert data == b"data"
    assert inheritable == [False, False]


def test_too_many_descriptors_are_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    protocol.send_fds(ours, b"data", [0] * 9)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(ProtocolError, match="too many"):
        protocol.recv_fds(theirs, 100)

    assert sorted(os.listdir("/proc/self/fd")) == before


def test_descriptors_are_matched_in_the_order_of_their_bits() -> None:
    mask = Descriptor.STDOUT | Descriptor.CNI_NETNS | Descriptor.STDIN

    assert protocol.match_fds(mask, [7, 8, 9]) == {
        Descriptor.STDIN: 7,
        Descriptor.STDOUT: 8,
        Descriptor.CNI_NETNS: 9,
    }


@pytest.mark.parametrize("fds", [[], [7], [7, 8, 9]])
def test_descriptors_that_were_not_announced_are_refused(fds: list[int]) -> None:
    with pytest.raises(ProtocolError):
        protocol.match_fds(Descriptor.STDIN | Descriptor.STDOUT, fds)


def test_a_launcher_that_waits_has_not_withdrawn(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    assert not protocol.withdrawn(pair[0])


def test_a_launcher_that_shut_down_has_withdrawn(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].shutdown(socket.SHUT_WR)

    assert protocol.withdrawn(pair[0])


def test_a_launcher_that_is_gone_has_withdrawn(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(b"unread")
    pair[1].close()

    assert protocol.withdrawn(pair[0])
