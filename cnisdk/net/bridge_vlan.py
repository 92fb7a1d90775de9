"""The VLANs of a bridge's ports, as ``bridge vlan`` shows them; see bridge(8).

They count once the bridge filters VLANs (`cnisdk.net.bridge.set_vlan_filtering`); the kernel
keeps them anyway.  A request may name thousands: what is alike and in sequence is one range.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cnisdk.net import _uapi as k
from cnisdk.net.rtnetlink import IFINFOMSG, attribute, attributes, items, u32
from cnisdk.net.rtnl import RTNL

MAX_VID = 4094

_VLAN_INFO = struct.Struct("=HH")  # struct bridge_vlan_info: flags, vid


class Entry(NamedTuple):
    """A VLAN that a port is in."""

    vid: int
    pvid: bool = False
    """Frames that come in without a tag belong to it."""
    untagged: bool = False
    """Its frames go out without their tag."""


def add(rtnl: RTNL, index: int, entries: Iterable[Entry]) -> None:
    """Put the port numbered ``index`` into VLANs, or change how it is in them."""
    _request(rtnl, k.RTM_SETLINK, "add", index, entries)


def delete(rtnl: RTNL, index: int, vids: Iterable[int]) -> None:
    """Take the port numbered ``index`` out of VLANs; of one that it is not in too."""
    _request(rtnl, k.RTM_DELLINK, "delete", index, map(Entry, vids))


def entries(rtnl: RTNL, index: int) -> list[Entry]:
    """Return the VLANs of the port numbered ``index``, none if it is no port."""
    body = IFINFOMSG.pack(k.AF_BRIDGE, 0, 0, 0, 0)
    body += u32(k.IFLA_EXT_MASK, k.RTEXT_FILTER_BRVLAN_COMPRESSED)
    for answer in rtnl.dump("list VLANs", k.RTM_GETLINK, body):
        if IFINFOMSG.unpack_from(answer)[2] == index:
            spec = attributes(answer, IFINFOMSG.size).get(k.IFLA_AF_SPEC, b"")
            return list(_unpacked(spec))
    return []


def _request(rtnl: RTNL, message: int, verb: str, index: int, wanted: Iterable[Entry]) -> None:
    ranges = list(_ranges(wanted))
    if not ranges:
        return
    body = IFINFOMSG.pack(k.AF_BRIDGE, 0, index, 0, 0)
    body += attribute(k.IFLA_AF_SPEC | k.NLA_F_NESTED, b"".join(map(_packed, ranges)))
    words = ", ".join(
        f"{first.vid}" + (f"-{last}" if last > first.vid else "") for first, last in ranges
    )
    rtnl.request(f"{verb} VLAN {words} of port {index}", message, body)


def _ranges(wanted: Iterable[Entry]) -> Iterator[tuple[Entry, int]]:
    """Yield the first entry of each range, and the range's last VID."""
    first: Entry | None = None
    last = 0
    for entry in sorted(wanted):
        # The kernel takes no range for the one VLAN of frames without a tag.
        if first is not None and not first.pvid and entry == first._replace(vid=last + 1):
            last = entry.vid
            continue
        if first is not None:
            yield first, last
        first, last = entry, entry.vid
    if first is not None:
        yield first, last


def _packed(between: tuple[Entry, int]) -> bytes:
    first, last = between
    flags = k.BRIDGE_VLAN_INFO_PVID if first.pvid else 0
    flags |= k.BRIDGE_VLAN_INFO_UNTAGGED if first.untagged else 0
    if first.vid == last:
        return _info(flags, last)
    begin = _info(flags | k.BRIDGE_VLAN_INFO_RANGE_BEGIN, first.vid)
    return begin + _info(flags | k.BRIDGE_VLAN_INFO_RANGE_END, last)


def _info(flags: int, vid: int) -> bytes:
    return attribute(k.IFLA_BRIDGE_VLAN_INFO, _VLAN_INFO.pack(flags, vid))


def _unpacked(spec: bytes) -> Iterator[Entry]:
    begin = 0
    for kind, payload in items(spec):
        if kind != k.IFLA_BRIDGE_VLAN_INFO:
            continue
        flags, vid = _VLAN_INFO.unpack_from(payload)
        if flags & k.BRIDGE_VLAN_INFO_RANGE_BEGIN:
            begin = vid
            continue
        first = begin if flags & k.BRIDGE_VLAN_INFO_RANGE_END else vid
        for number in range(first, vid + 1):
            yield Entry(
                number,
                bool(flags & k.BRIDGE_VLAN_INFO_PVID),
                bool(flags & k.BRIDGE_VLAN_INFO_UNTAGGED),
            )
