"""What a launcher and the agent say to each other; sans-I/O but for passing descriptors.

A launcher is the executable in CNI_PATH (launcher.c, or launcher.py which behaves the same); one
connection on an AF_UNIX stream socket is one call.

::

    launcher                                        agent
    request, with descriptors  ──────────────────►  reads, looks, decides
                               ◄──────────────────  'R' reason      refused, nothing was done
                               ◄──────────────────  'A'             accepted
                                                    has the launcher shut down?  then 'R' 'w'
                                                    the hook runs, writes to the descriptors
                               ◄──────────────────  'S' status      u32, the exit status

A request is a header (magic ``CNIA``, u32 version, u32 length of the payload, u32 `Descriptor`
mask; all integers little-endian) and a payload: u32 argc, argc arguments, then ``NAME=value``
of the whitelisted variables, each ended by NUL.  The descriptors travel by SCM_RIGHTS with the
first byte, in the order of their bits.  The streams are memfds, so no runtime can hold up the
agent, and a hanging agent holds none of the runtime's pipes: STDIN, at offset 0, is all of the
network configuration; what is written to STDOUT the launcher prints after 'S', what is written to
STDERR in any case.  One that is absent was closed: an ADD without STDOUT must fail.

**No call is done twice.**  A launcher that loses patience before the first byte shuts down its
sending side, *then* looks once more: nothing there, it runs the plugin in one call; 'A' there, it
waits on.  An agent sends 'A', *then* asks `withdrawn`, and begins only if the launcher has not
shut down.  Whichever comes second sees the other, so never both begin.  If both saw each other
neither begins by itself: 'R' may therefore follow 'A', and means that nothing was done.

**The caller is gone** when poll(2) says POLLHUP.  POLLRDHUP, or reading the end, is only a
launcher that lost patience too late and waits on.  A connection that ends between 'A' and 'S'
is to the launcher an agent that died: ADD fails with code 11 (the runtime then sends DEL), the
commands that may be repeated are done in one call.
"""

import enum
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

VERSION = 1
MAGIC = b"CNIA"
MAX_PAYLOAD = 1 << 20
"""A larger payload is never sent: the launcher makes that call without an agent."""

SOCKET = "/run/cnisdk/agent.sock"
SOCKET_VARIABLE = "CNISDK_SOCKET"

VARIABLES = ("TRACEPARENT", "TRACESTATE", "BAGGAGE", "PATH")
"""What is sent besides CNI_*; a runtime's environment may hold secrets, so nothing else is."""

_HEADER = struct.Struct("<4sIII")
_U32 = struct.Struct("<I")
_FD = struct.Struct("i")


class Descriptor(enum.IntFlag):
    """Which descriptors come with a request; they are in the order of their bits."""

    STDIN = 1
    STDOUT = 2
    STDERR = 4
    CALLER_NETNS = 8
    """The network namespace of whoever called: what a hook calls the host."""
    CNI_NETNS = 16
    """The container's; absent when CNI_NETNS is unset, gone, or no namespace."""


ALL_DESCRIPTORS = Descriptor(31)
MAX_DESCRIPTORS = len(ALL_DESCRIPTORS)


class Reason(enum.Enum):
    """Why the agent refuses; nothing has been done, and the launcher does without it."""

    VERSION = b"v"
    DRAINING = b"d"
    BUSY = b"b"
    UNKNOWN_PLUGIN = b"p"
    MALFORMED = b"m"
    FORBIDDEN = b"f"
    WITHDRAWN = b"w"
    """The launcher had lost patience; follows 'A'."""


class ProtocolError(ValueError):
    """Bytes that no launcher of ours sends; ``reason`` is what to answer."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(message)
        self.reason = reason


class Request(NamedTuple):
    """One call as a launcher hands it over."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    descriptors: Descriptor


class Header(NamedTuple):
    """The fixed part of a request."""

    length: int
    """Of the payload that follows."""
    descriptors: Descriptor


def is_passed(name: str) -> bool:
    """Say whether a launcher hands over the variable ``name``."""
    return name.startswith("CNI_") or name in VARIABLES


def encode_request(request: Request) -> bytes:
    """Return a whole request; variables that are not whitelisted are left out.

    Raises ProtocolError if it is larger than `MAX_PAYLOAD`.
    """
    payload = encode_payload(request.argv, request.environ)
    if len(payload) > MAX_PAYLOAD:
        raise ProtocolError(f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD} are allowed")
    return _HEADER.pack(MAGIC, VERSION, len(payload), request.descriptors) + payload


def decode_header(data: bytes) -> Header:
    """Return the header that ``data``, `HEADER_SIZE` bytes of it, is; ProtocolError if none."""
    magic, version, length, mask = _HEADER.unpack(data)
    if magic != MAGIC:
        raise ProtocolError(f"begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise ProtocolError(f"protocol version {version}, {VERSION} is spoken", Reason.VERSION)
    if length > MAX_PAYLOAD:
        raise ProtocolError(f"payload of {length} bytes, at most {MAX_PAYLOAD} are allowed")
    if mask >> MAX_DESCRIPTORS:
        raise ProtocolError(f"unknown descriptors in mask {mask:#x}")
    return Header(length, Descriptor(mask))


HEADER_SIZE = _HEADER.size

USUAL_SIZE = 4096
"""Bytes that nearly every request fits into, header and all."""


def encode_payload(argv: Sequence[str], environ: Mapping[str, str]) -> bytes:
    """Return arguments and whitelisted variables as in a request and in a queued DEL."""
    strings = [*argv, *(f"{name}={value}" for name, value in environ.items() if is_passed(name))]
    if any("\0" in string for string in strings):
        raise ProtocolError("NUL in an argument or a variable")
    return _U32.pack(len(argv)) + b"".join(os.fsencode(string) + b"\0" for string in strings)


def decode_payload(payload: bytes) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return argv and variables; of a variable given twice the first counts, as in getenv(3)."""
    if len(payload) < _U32.size or (len(payload) > _U32.size and payload[-1]):
        raise ProtocolError("payload does not end in NUL")
    (argc,) = _U32.unpack_from(payload)
    strings = os.fsdecode(payload[_U32.size :]).split("\0")[:-1]
    if argc > len(strings):
        raise ProtocolError(f"{argc} arguments announced, {len(strings)} strings follow")
    environ: dict[str, str] = {}
    for string in strings[argc:]:
        name, equals, value = string.partition("=")
        if not equals or not is_passed(name):
            raise ProtocolError(f"variable {name!r} is not handed over")
        environ.setdefault(name, value)
    return tuple(strings[:argc]), environ


class Decoder:
    """Takes a request in whatever pieces it comes; holds at most one, of bounded size."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._header: Header | None = None

    @property
    def wanted(self) -> int:
        """How many bytes to read next: those that are missing, or at first a usual request's."""
        if self._header is None:
            return USUAL_SIZE - len(self._data)
        return HEADER_SIZE + self._header.length - len(self._data)

    def feed(self, data: bytes) -> Request | None:
        """Take the next bytes; return the request once it is complete.

        Raises ProtocolError as soon as anything is wrong: other version, too large, garbage, or
        more than one request.
        """
        self._data += data
        if self._header is None:
            if len(self._data) < HEADER_SIZE:
                if not MAGIC.startswith(self._data[: len(MAGIC)]):
                    raise ProtocolError(f"begins with {bytes(self._data)!r}, not {MAGIC!r}")
                return None
            self._header = decode_header(bytes(self._data[:HEADER_SIZE]))
        if self.wanted > 0:
            return None
        if self.wanted < 0:
            raise ProtocolError(f"{-self.wanted} bytes after the request")
        argv, environ = decode_payload(bytes(self._data[HEADER_SIZE:]))
        return Request(argv, environ, self._header.descriptors)


# -- answers -------------------------------------------------------------------------------

ACCEPTED = b"A"
REFUSED = b"R"
STATUS = b"S"


def encode_refusal(reason: Reason) -> bytes:
    """Return the answer that nothing was done, and why."""
    return REFUSED + reason.value


def encode_status(status: int) -> bytes:
    """Return the answer that ends an accepted call; ``status`` is the exit status."""
    return STATUS + _U32.pack(status)


class Answer(NamedTuple):
    """What the agent has said so far."""

    accepted: bool = False
    status: int | None = None
    refused: bytes | None = None
    """The reason byte; may be one of a later version."""

    @property
    def complete(self) -> bool:
        """Nothing more will come."""
        return self.status is not None or self.refused is not None


def decode_answer(data: bytes) -> Answer:
    """Return what all that was received of an answer says; ProtocolError for anything else."""
    accepted = data.startswith(ACCEPTED)
    rest = data[1:] if accepted else data
    if not rest or rest == REFUSED:
        return Answer(accepted)
    if rest.startswith(REFUSED) and len(rest) == 2:
        return Answer(accepted, refused=rest[1:])
    if accepted and rest.startswith(STATUS) and len(rest) <= 1 + _U32.size:
        status = _U32.unpack_from(rest, 1)[0] if len(rest) == 1 + _U32.size else None
        return Answer(accepted, status)
    raise ProtocolError(f"answer {data!r}")


# -- descriptors and the one question that needs the socket --------------------------------


# socket.send_fds and recv_fds ignore their flags (CPython up to 3.13 at least).


def send_fds(sock: socket.socket, data: bytes, fds: Sequence[int]) -> int:
    """Send ``data`` with ``fds`` attached to its first byte; return how much of it was sent."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))
    return sock.sendmsg([data], [rights] if fds else [], socket.MSG_NOSIGNAL)


def recv_fds(sock: socket.socket, size: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive up to ``size`` bytes and the descriptors that came with them, close-on-exec.

    The caller owns the descriptors, which it has to match with `Descriptor` by their number.
    Raises ProtocolError, all of them closed, if there are more than a request can have.
    """
    space = socket.CMSG_LEN(MAX_DESCRIPTORS * _FD.size)
    data, ancillary, flags, _ = sock.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC | flags)
    fds = [
        fd
        for level, kind, rights in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _FD.iter_unpack(rights[: len(rights) // _FD.size * _FD.size])
    ]
    if flags & socket.MSG_CTRUNC or len(fds) > MAX_DESCRIPTORS:
        for fd in fds:
            os.close(fd)
        raise ProtocolError("too many descriptors")
    return data, fds


def match_fds(descriptors: Descriptor, fds: Sequence[int]) -> dict[Descriptor, int]:
    """Return which descriptor is which; ProtocolError if their number is not the mask's."""
    announced = _members(descriptors)
    if len(announced) != len(fds):
        raise ProtocolError(f"{len(fds)} descriptors came, {len(announced)} were announced")
    return dict(zip(announced, fds, strict=True))


@cache  # at most 32, and an enum takes its time over it
def _members(descriptors: Descriptor) -> tuple[Descriptor, ...]:
    return tuple(descriptors)


def withdrawn(sock: socket.socket) -> bool:
    """Say whether the launcher no longer waits; to be asked after sending 'A', before beginning.

    A launcher says nothing after its request, so anything else to read is as bad as the end.
    """
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True
