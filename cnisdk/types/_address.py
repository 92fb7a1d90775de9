"""IP addresses as the specification writes them, into `ipaddress` and back."""

from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)


class IPv4NetworkAsWritten(IPv4Network):
    """A network written with host bits, ``10.1.2.3/24``: it prints that, and is 10.1.2.0/24."""

    def __init__(self, written: str) -> None:
        super().__init__(written, strict=False)
        self.written = str(IPv4Interface(written))

    def __str__(self) -> str:
        return self.written


class IPv6NetworkAsWritten(IPv6Network):
    """A network written with host bits, ``fd00::1/64``: it prints that, and is fd00::/64."""

    def __init__(self, written: str) -> None:
        super().__init__(written, strict=False)
        self.written = str(IPv6Interface(written))

    def __str__(self) -> str:
        return self.written


def interface(value: object) -> IPv4Interface | IPv6Interface:
    """Return an address with its prefix length; ValueError for any other notation."""
    if isinstance(value, IPv4Interface | IPv6Interface):
        return value
    text = _cidr(value)
    try:
        return IPv6Interface(text) if ":" in text else IPv4Interface(text)
    except ValueError:
        raise ValueError("is no address with a prefix length") from None


def network(value: object) -> IPv4Network | IPv6Network:
    """Return a destination; host bits, if there are any, are printed but not used."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    return _network(_cidr(value))


@lru_cache(maxsize=256)  # the same few destinations, call after call
def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return IPv6Network(text) if ":" in text else IPv4Network(text)
    except ValueError:
        pass
    try:
        return IPv6NetworkAsWritten(text) if ":" in text else IPv4NetworkAsWritten(text)
    except ValueError:
        raise ValueError("is no network with a prefix length") from None


def address(value: object) -> IPv4Address | IPv6Address | None:
    """Return an address without prefix length; None for none, also written as ``""``."""
    # an interface is an address to isinstance, but prints with its prefix length
    if type(value) in (IPv4Address, IPv6Address):
        return value  # type: ignore[return-value]
    if value is None or value == "":
        return None
    if isinstance(value, str) and "%" not in value:
        try:
            return IPv6Address(value) if ":" in value else IPv4Address(value)
        except ValueError:
            pass
    raise ValueError("is no IP address")


def _cidr(value: object) -> str:
    """Return ``value`` if it is text of the form address/number; no netmask, no zone."""
    if isinstance(value, str) and "%" not in value:
        _, slash, prefix = value.partition("/")
        if slash and prefix.isascii() and prefix.isdigit():
            return value
    raise ValueError("is no address with a prefix length")
