"""One ICMP echo and its reply; RFC 792, RFC 4443.  The machine may have no ping program."""

import os
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnisdk.net.netns import NetNS


_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number

_TRIES = 3
_PATIENCE = 1.0  # seconds for each


def ping(netns: "NetNS", address: IPv4Address | IPv6Address) -> float:
    """Return the seconds until ``address`` answered from inside ``netns``; TimeoutError if never.

    Needs CAP_NET_RAW there.
    """
    if address.version == 4:
        family, protocol, request, reply = socket.AF_INET, socket.IPPROTO_ICMP, 8, 0
    else:
        family, protocol, request, reply = socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129
    identifier = os.getpid() & 0xFFFF
    with netns.enter():
        sock = socket.socket(family, socket.SOCK_RAW, protocol)
    with sock:
        for sequence in range(_TRIES):
            start = time.perf_counter()
            sock.sendto(_echo(request, identifier, sequence), (str(address), 0))
            expected = (reply, identifier, sequence)
            while (left := start + _PATIENCE - time.perf_counter()) > 0:
                sock.settimeout(left)
                try:
                    packet, sender = sock.recvfrom(2048)
                except TimeoutError:
                    break
                if sender[0] == str(address) and _read(packet, address.version) == expected:
                    return time.perf_counter() - start
    raise TimeoutError(f"{address} did not answer {_TRIES} echo requests")


def _echo(kind: int, identifier: int, sequence: int) -> bytes:
    body = b"cnisdk"
    header = _HEADER.pack(kind, 0, 0, identifier, sequence)
    return _HEADER.pack(kind, 0, _checksum(header + body), identifier, sequence) + body


def _checksum(data: bytes) -> int:
    """Return the ones' complement sum of RFC 1071; the kernel makes ICMPv6's own."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _read(packet: bytes, version: int) -> tuple[int, int, int]:
    """Return type, identifier and sequence number; an IPv4 raw socket delivers the IP header."""
    offset = (packet[0] & 0xF) * 4 if version == 4 else 0
    kind, _, _, identifier, sequence = _HEADER.unpack_from(packet, offset)
    return kind, identifier, sequence
