"""MAC addresses as text: what an administrator writes, and what we choose."""

import os

from cnisdk.net import sysctl

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


def choose_for_port() -> str:
    """Return a random, locally administered MAC address of the highest there are.

    The kernel lets a bridge whose address nobody has set follow the lowest of its ports', and
    containers that know it must not lose it to a later container's.
    """
    return f"fe:{os.urandom(5).hex(':')}"


def of_link(index: int) -> str:
    """Return the same address to all who ask, in this boot, for this link of this namespace."""
    boot = int(sysctl.read("kernel/random/boot_id").replace("-", ""), 16)
    namespace = os.stat("/proc/thread-self/ns/net").st_ino
    number = (boot ^ namespace << 16 ^ index) & 0xFFFF_FFFF_FFFF
    octets = bytearray(number.to_bytes(6, "big"))
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")
