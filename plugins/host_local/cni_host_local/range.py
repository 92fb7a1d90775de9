"""A range of addresses within one subnet, as an administrator writes it."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class RangeError(ValueError):
    """Why a range cannot be used; ``key`` is the JSON key at fault, ``""`` for all of it."""

    def __init__(self, why: str, *, key: str = "") -> None:
        super().__init__(why)
        self.key = key


class MalformedError(RangeError):
    """What should have been an address or a subnet is none."""


class Range(NamedTuple):
    """Addresses ``start`` to ``end``, both included, of ``subnet``.

    ``gateway`` is what containers are told to use; it need not lie in the range, nor in the
    subnet.
    """

    subnet: Network
    start: Address
    end: Address
    gateway: Address

    @classmethod
    @lru_cache(maxsize=256)  # an agent meets the same ones in every call
    def parse(cls, subnet: str, start: str = "", end: str = "", gateway: str = "") -> "Range":
        """Complete a range: whatever is ``""`` gets its default.

        By default the first address of the subnet is the gateway's and the range ends before the
        broadcast address; IPv6 has none.  Raises `RangeError`.
        """
        network = _parse_subnet(subnet)
        first = network.network_address + 1
        last = network[-1] if network.version == 6 else network[-2]
        begin = _parse("rangeStart", start) if start else first
        stop = _parse("rangeEnd", end) if end else last
        router = _parse("gateway", gateway) if gateway else first
        # A range the wrong way round is reported by one end, as the Go plugin does.
        inverted = begin.version == stop.version and int(begin) > int(stop)
        if start and (begin not in network or inverted):
            raise RangeError(f"RangeStart {begin} not in network {network}", key="rangeStart")
        if stop not in network or inverted:
            raise RangeError(f"RangeEnd {stop} not in network {network}", key="rangeEnd")
        return cls(network, begin, stop, router)

    def __contains__(self, address: object) -> bool:
        """Say whether ``address`` is one of the range's, gateway or not."""
        return (
            isinstance(address, IPv4Address | IPv6Address)
            and address.version == self.start.version
            and int(self.start) <= int(address) <= int(self.end)
        )

    def overlaps(self, other: "Range") -> bool:
        """Say whether any address belongs to both; families never overlap."""
        return other.start in self or self.start in other

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"


def parse_address(text: str) -> Address:
    """Return an address of either family; an IPv4 address in IPv6 clothes is an IPv4 address.

    Raises ValueError; a scope (``%eth0``) means nothing here and is refused.
    """
    try:
        if ":" not in text:
            return IPv4Address(text)
        address = IPv6Address(text)
    except ValueError:
        raise ValueError(f"invalid IP address {text}") from None
    if address.scope_id is not None:
        raise ValueError(f"invalid IP address {text}")
    return address.ipv4_mapped or address


def _parse(key: str, text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as err:
        raise MalformedError(str(err), key=key) from None


def _parse_subnet(text: str) -> Network:
    if not text:
        raise RangeError("IP <nil> not v4 nor v6", key="subnet")
    host, _, prefix = text.partition("/")
    bits = 128 if ":" in host else 32
    try:
        address = parse_address(host)
    except ValueError:
        raise MalformedError(f"invalid CIDR address: {text}", key="subnet") from None
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) < 4 and int(prefix) <= bits):
        raise MalformedError(f"invalid CIDR address: {text}", key="subnet")
    length = int(prefix)
    if length > bits - 2:
        raise RangeError(f"Network {text} too small to allocate from", key="subnet")
    if address.max_prefixlen != bits:
        raise RangeError("IPNet IP and Mask version mismatch", key="subnet")
    kind = IPv4Network if bits == 32 else IPv6Network
    network = kind((int(address), length), strict=False)
    if network.network_address != address:
        raise RangeError(
            f"Network has host bits set. For a subnet mask of length {length} "
            f"the network address is {network.network_address}",
            key="subnet",
        )
    return network
