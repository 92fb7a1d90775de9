"""The bytes of rtnetlink: headers, attributes, acknowledgements.  No I/O; see rtnetlink(7).

A request is a family header (`IFINFOMSG`, `IFADDRMSG`, `RTMSG`, `NDMSG`) followed by attributes,
so it is built by adding bytes: ``IFINFOMSG.pack(...) + string(IFLA_IFNAME, "eth0")``.  An answer
is taken apart by `messages` and `attributes`.  Everything is in host byte order but what the
kernel calls ``__be``, and is aligned to four bytes.
"""

import errno as _errno
import struct
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple

from cnisdk.net import _uapi as k

NLMSGHDR = struct.Struct("=LHHLL")  # length, type, flags, seq, pid
IFINFOMSG = struct.Struct("=BxHiLL")  # family, type, index, flags, change
IFADDRMSG = struct.Struct("=BBBBL")  # family, prefixlen, flags, scope, index
RTMSG = struct.Struct("=BBBBBBBBL")  # family, dst_len, src_len, tos, table, proto, scope, type
RTNEXTHOP = struct.Struct("=HBBi")  # length, flags, hops, index
NDMSG = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
RTATTR = struct.Struct("=HH")  # length, type

_U8 = struct.Struct("=B")
_U16 = struct.Struct("=H")
_U32 = struct.Struct("=L")
_S32 = struct.Struct("=l")
_PAD = (b"", b"\0\0\0", b"\0\0", b"\0")
_ORDER: Literal["little", "big"] = sys.byteorder


class MalformedError(OSError):
    """Bytes that are no netlink message."""

    def __init__(self, text: str) -> None:
        super().__init__(_errno.EBADMSG, text)


class Message(NamedTuple):
    """One netlink message without its header."""

    type: int
    flags: int
    seq: int
    pid: int
    payload: bytes


class Ack(NamedTuple):
    """What NLMSG_ERROR or NLMSG_DONE says: ``errno`` 0 is success."""

    errno: int
    text: str = ""
    """The kernel's own words (NLMSGERR_ATTR_MSG), or what it says is missing; may be empty."""


def message(type: int, flags: int, seq: int, body: bytes) -> bytes:
    """Return ``body`` under a netlink header."""
    return NLMSGHDR.pack(16 + len(body), type, flags, seq, 0) + body


def messages(data: bytes) -> list[Message]:
    """Take a datagram apart."""
    found = []
    offset, end = 0, len(data)
    while offset + 16 <= end:
        length, type_, flags, seq, pid = NLMSGHDR.unpack_from(data, offset)
        if length < 16 or offset + length > end:
            raise MalformedError(f"netlink message of {length} bytes where {end - offset} are left")
        found.append(Message(type_, flags, seq, pid, data[offset + 16 : offset + length]))
        offset += (length + 3) & ~3
    return found


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes that begin at ``offset``, by type without flags; the last one wins."""
    return dict(items(data, offset))


def items(data: bytes, offset: int = 0) -> list[tuple[int, bytes]]:
    """Return type and payload of each attribute in turn: some lists repeat a type."""
    found = []
    end = len(data)
    last, mask, unpack = end - 4, k.NLA_TYPE_MASK, RTATTR.unpack_from  # a link has 40 and more
    while offset <= last:
        length, kind = unpack(data, offset)
        stop = offset + length
        if length < 4 or stop > end:
            raise MalformedError(f"attribute of {length} bytes where {end - offset} are left")
        found.append((kind & mask, data[offset + 4 : stop]))
        offset += (length + 3) & ~3
    return found


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded; ``payload`` may be attributes itself."""
    length = 4 + len(payload)
    return RTATTR.pack(length, kind) + payload + _PAD[length & 3]


def u8(kind: int, value: int) -> bytes:
    """Return an attribute of one byte."""
    return attribute(kind, _U8.pack(value))


def u16(kind: int, value: int) -> bytes:
    """Return an attribute of two bytes."""
    return attribute(kind, _U16.pack(value))


def u32(kind: int, value: int) -> bytes:
    """Return an attribute of four bytes."""
    return attribute(kind, _U32.pack(value))


def string(kind: int, value: str) -> bytes:
    """Return an attribute that holds a string and its NUL."""
    return attribute(kind, value.encode("utf-8", "surrogateescape") + b"\0")


def lladdr(kind: int, value: str) -> bytes:
    """Return an attribute that holds a link-layer address, such as ``02:00:00:00:00:01``."""
    try:
        return attribute(kind, bytes.fromhex(value.replace(":", "").replace("-", "")))
    except ValueError as err:
        raise OSError(_errno.EINVAL, f"not a link-layer address: {value!r}") from err


def to_int(payload: bytes | None, default: int = 0) -> int:
    """Read an unsigned integer of any width, ``default`` if the attribute is absent."""
    return default if payload is None else int.from_bytes(payload, _ORDER)


def to_signed(payload: bytes | None, default: int = 0) -> int:
    """Read a signed integer of any width, ``default`` if the attribute is absent."""
    return default if payload is None else int.from_bytes(payload, _ORDER, signed=True)


def to_string(payload: bytes | None) -> str:
    """Read a string up to its NUL, ``""`` if the attribute is absent."""
    return "" if payload is None else payload.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def to_lladdr(payload: bytes | None) -> str:
    """Read a link-layer address, ``""`` if the attribute is absent."""
    return "" if payload is None else payload.hex(":")


def to_ip(payload: bytes) -> IPv4Address | IPv6Address:
    """Read an IP address; its length says which family."""
    return IPv4Address(payload) if len(payload) == 4 else IPv6Address(payload)


def ack(reply: Message) -> Ack:
    """Read an NLMSG_ERROR or NLMSG_DONE; see "extended ACK" in the kernel's netlink intro."""
    payload = reply.payload
    if len(payload) < 4:
        return Ack(0)
    (error,) = _S32.unpack_from(payload)
    offset = 4
    if reply.type == k.NLMSG_ERROR:
        # The request's header follows, and its body unless the kernel capped it.
        quoted = 16
        if not reply.flags & k.NLM_F_CAPPED and len(payload) >= 8:
            quoted = to_int(payload[4:8])
        offset += (quoted + 3) & ~3
    if not reply.flags & k.NLM_F_ACK_TLVS or offset >= len(payload):
        return Ack(-error)
    said = attributes(payload, offset)
    text = to_string(said.get(k.NLMSGERR_ATTR_MSG))
    if not text and k.NLMSGERR_ATTR_MISS_TYPE in said:
        text = f"attribute {to_int(said[k.NLMSGERR_ATTR_MISS_TYPE])} is missing"
    elif not text and k.NLMSGERR_ATTR_OFFS in said:
        text = f"byte {to_int(said[k.NLMSGERR_ATTR_OFFS])} of the request is refused"
    return Ack(-error, text)
