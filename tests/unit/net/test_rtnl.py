"""How the socket takes answers, from datagrams that are already waiting for it."""

import errno
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from cnisdk import cancel
from cnisdk.net import _uapi as k
from cnisdk.net.rtnetlink import NLMSGHDR, string
from cnisdk.net.rtnl import RTNL, NetlinkError

PID = 77
DONE_OK = bytes(4)


class Wire:
    """The far end of a socket, where the kernel would be."""

    def __init__(self, rtnl: RTNL) -> None:
        near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 20_000))
        rtnl.close()
        rtnl._socket = near
        rtnl._pid = PID

    def deliver(self, *parts: bytes) -> None:
        self.far.send(b"".join(parts))

    def requests(self) -> int:
        self.far.setblocking(False)
        count = 0
        while True:
            try:
                self.far.recv(65536)
            except BlockingIOError:
                return count
            count += 1


def reply(seq: int, kind: int, payload: bytes, flags: int = 0, pid: int = PID) -> bytes:
    return NLMSGHDR.pack(16 + len(payload), kind, flags, seq, pid) + payload


def entry(seq: int, payload: bytes, flags: int = 0) -> bytes:
    return reply(seq, k.RTM_NEWADDR, payload, k.NLM_F_MULTI | flags)


def done(seq: int, flags: int = 0) -> bytes:
    return reply(seq, k.NLMSG_DONE, DONE_OK, k.NLM_F_MULTI | flags)


def error(seq: int, code: int, text: str = "") -> bytes:
    payload = struct.pack("=l", -code) + bytes(16)
    flags = k.NLM_F_CAPPED
    if text:
        payload += string(k.NLMSGERR_ATTR_MSG, text)
        flags |= k.NLM_F_ACK_TLVS
    return reply(seq, k.NLMSG_ERROR, payload, flags)


@pytest.fixture
def rtnl() -> Iterator[RTNL]:
    with RTNL() as opened:
        yield opened


@pytest.fixture
def wire(rtnl: RTNL) -> Iterator[Wire]:
    wire = Wire(rtnl)
    yield wire
    wire.far.close()


def test_a_query_ignores_answers_to_another_request(rtnl: RTNL, wire: Wire) -> None:
    wire.deliver(reply(9, k.RTM_NEWLINK, b"late"))
    wire.deliver(reply(1, k.RTM_NEWLINK, b"mine"))

    assert rtnl.query("find link x", k.RTM_GETLINK, b"") == b"mine"


def test_a_query_ignores_notifications_of_another_sockets_request(rtnl: RTNL, wire: Wire) -> None:
    wire.deliver(reply(1, k.RTM_NEWLINK, b"his ", pid=PID + 1), reply(1, k.RTM_NEWLINK, b"mine"))

    assert rtnl.query("find link x", k.RTM_GETLINK, b"") == b"mine"


def test_a_request_ends_with_its_acknowledgement_only(rtnl: RTNL, wire: Wire) -> None:
    wire.deliver(error(9, errno.EEXIST))
    wire.deliver(reply(1, k.RTM_NEWLINK, b"an echo"))
    wire.deliver(error(1, errno.EPERM, "not you"))

    with pytest.raises(NetlinkError) as caught:
        rtnl.request("add link x", k.RTM_NEWLINK, b"")

    assert caught.value.errno == errno.EPERM


def test_an_error_says_what_was_asked_and_what_the_kernel_said() -> None:
    err = NetlinkError(errno.EOPNOTSUPP, "add link v0 type vlan", "Unknown device type")

    assert str(err) == "add link v0 type vlan: Operation not supported: Unknown device type"
    assert (err.errno, err.text) == (errno.EOPNOTSUPP, "Unknown device type")


def test_an_error_without_the_kernels_words_ends_after_the_errno_text() -> None:
    assert str(NetlinkError(errno.EEXIST, "add link eth0")) == "add link eth0: File exists"


def test_a_dump_gathers_all_parts(rtnl: RTNL, wire: Wire) -> None:
    wire.deliver(entry(1, b"1111"), entry(1, b"2222"))
    wire.deliver(entry(8, b"late"))
    wire.deliver(entry(1, b"3333"))
    wire.deliver(done(1))

    assert rtnl.dump("list", k.RTM_GETADDR, b"") == [b"1111", b"2222", b"3333"]


@pytest.mark.parametrize("where", ["entry", "done"])
def test_an_interrupted_dump_is_repeated(rtnl: RTNL, wire: Wire, where: str) -> None:
    marks = {"entry": (k.NLM_F_DUMP_INTR, 0), "done": (0, k.NLM_F_DUMP_INTR)}[where]
    wire.deliver(entry(1, b"torn", marks[0]))
    wire.deliver(done(1, marks[1]))
    wire.deliver(entry(2, b"good"), done(2))

    assert rtnl.dump("list", k.RTM_GETADDR, b"") == [b"good"]


def test_a_dump_that_is_always_interrupted_gives_up(rtnl: RTNL, wire: Wire) -> None:
    for seq in range(1, 100):
        wire.deliver(done(seq, k.NLM_F_DUMP_INTR))

    with pytest.raises(NetlinkError, match=r"list: .* it changed during each of") as caught:
        rtnl.dump("list", k.RTM_GETADDR, b"")

    assert caught.value.errno == errno.EAGAIN
    assert wire.requests() == 30


def test_a_dump_that_the_kernel_refuses_raises(rtnl: RTNL, wire: Wire) -> None:
    wire.deliver(error(1, errno.ENOENT, "ipv4: FIB table does not exist"))

    with pytest.raises(NetlinkError, match="FIB table does not exist"):
        rtnl.dump("list", k.RTM_GETROUTE, b"")


def test_an_error_at_the_end_of_a_dump_raises(rtnl: RTNL, wire: Wire) -> None:
    ended = reply(1, k.NLMSG_DONE, struct.pack("=l", -errno.ENOMEM), k.NLM_F_MULTI)
    wire.deliver(entry(1, b"1111"), ended)

    with pytest.raises(NetlinkError) as caught:
        rtnl.dump("list", k.RTM_GETADDR, b"")

    assert caught.value.errno == errno.ENOMEM


def test_no_answer_is_an_error_after_the_timeout(rtnl: RTNL, wire: Wire) -> None:
    before = time.monotonic()

    with pytest.raises(NetlinkError, match=r"find link x: .*no answer") as caught:
        rtnl.query("find link x", k.RTM_GETLINK, b"")

    assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - before < 1
    assert wire.requests() == 1


def test_other_messages_do_not_put_the_timeout_off(rtnl: RTNL, wire: Wire) -> None:
    rtnl.timeout = 0
    wire.deliver(reply(9, k.RTM_NEWLINK, b"late"))

    with pytest.raises(NetlinkError, match="no answer among other messages"):
        rtnl.query("find link x", k.RTM_GETLINK, b"")


def test_a_cancelled_hook_sends_no_change(rtnl: RTNL, wire: Wire) -> None:
    token = cancel.Token()
    with cancel.cancellable(token):
        token.cancel("SIGTERM")

        with pytest.raises(cancel.Cancelled):
            rtnl.request("add link x", k.RTM_NEWLINK, b"")

    assert wire.requests() == 0


def test_undoing_sends_changes_although_the_hook_is_cancelled(rtnl: RTNL, wire: Wire) -> None:
    wire.deliver(error(1, 0))
    token = cancel.Token()
    with cancel.cancellable(token), cancel.shielded():
        token.cancel("SIGTERM")

        rtnl.request("delete link x", k.RTM_DELLINK, b"")

    assert wire.requests() == 1
