"""MAC addresses as text: what an administrator writes, and what we choose."""

import os

_HEX = frozenset("0123456789abcdef")


def parse(text: object) -> str:
    """Return the MAC address ``text`` as the kernel writes it.

    Raises ValueError for what is none, and for one that no single interface can have: multicast
    or all zero.
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no MAC address")  # noqa: TRY004 - one kind of refusal
    octets = text.lower().replace("-", ":").split(":")
    if len(octets) != 6 or not all(len(o) == 2 and _HEX.issuperset(o) for o in octets):
        raise ValueError(f"{text!r} is no MAC address")
    address = bytes.fromhex("".join(octets))
    if address[0] & 1 or not any(address):
        raise ValueError(f"{text!r} is no MAC address of a single interface")
    return address.hex(":")


def choose() -> str:
    """Return a random, locally administered MAC address.

    A link that is given its address keeps it: the kernel lets a bridge follow its ports, and
    udev changes addresses, only while nobody has set one.
    """
    octets = bytearray(os.urandom(6))
    octets[0] = octets[0] & 0xFE | 0x02
    return octets.hex(":")
