"""DEL calls that nobody could serve, kept on disk until the agent does them.

A launcher without an agent and without Python beside it answers DEL with success after it has
written the call into a directory of root's own (mode 0700), one file a call.  The launchers write
(launcher.c and launcher.py, which this page is the reference for), the agent reads.

*Name*: ``<time>-<attachment>-<pid>``.  Time is CLOCK_REALTIME in nanoseconds, 20 digits, so names
sort as the calls came; attachment is `attachment_hash`, 16 hexadecimal digits.  A name that
begins with a dot is a file still being written, or what a killed launcher left.

*Content*: magic ``CNIQ``, u32 version, u32 length of the payload, u32 length of stdin, then both;
integers and payload as in `cnisdk.agent.protocol`.

*Written* to a dotted name, fsync, rename, fsync of the directory: after a power cut a file is
there whole or not at all.  *Bounded*: a launcher that finds `MAX_ENTRIES`, or whose call is larger
than `MAX_SIZE`, fails with code 11 and leaves the DEL to the runtime.

*Drained* before the agent serves.  A launcher that saw no agent may write while the agent starts,
so the agent also asks `Queue.waiting` before each ADD: a DEL of a container that is attached again
must not be done after that ADD.
"""

import os
import re
import struct
import time
from collections.abc import Mapping
from typing import NamedTuple

from cnisdk.agent import owned, protocol

DIRECTORY = "/var/lib/cnisdk/queue"
MAX_ENTRIES = 4096
MAX_SIZE = 256 << 10
MAGIC = b"CNIQ"
VERSION = 1

_HEADER = struct.Struct("<4sIII")
_NAME = re.compile(r"([0-9]{20})-([0-9a-f]{16})-([0-9]+)")
_STALE = 3600.0  # seconds
_TICK = 50_000_000  # nanoseconds, more than any kernel's


class QueueError(Exception):
    """A directory that is not root's own, or a file that is not a queued call."""


class QueuedCall(NamedTuple):
    """A call as it would have come from a launcher."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    stdin: bytes


class Entry(NamedTuple):
    """One file of a queue."""

    path: str
    attachment: str
    """`attachment_hash` of the call."""

    def load(self) -> QueuedCall:
        """Return the call; QueueError if the file is no whole call."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "rb") as file:
            try:
                return decode(file.read(MAX_SIZE + 1))
            except ValueError as err:
                raise QueueError(f"{self.path}: {err}") from err

    def remove(self) -> None:
        """Forget the call, which has been done."""
        os.unlink(self.path)

    def set_aside(self) -> str:
        """Take a file that does not load out of the queue, keep it, and return its new path."""
        directory, name = os.path.split(self.path)
        path = os.path.join(directory, f".bad-{name}")
        os.rename(self.path, path)
        return path


def attachment_hash(container_id: str, ifname: str) -> str:
    """Return FNV-1a, 64 bits, of both with NUL in between; what names in the queue carry."""
    value = 0xCBF29CE484222325
    for byte in os.fsencode(f"{container_id}\0{ifname}"):
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"


def encode(call: QueuedCall) -> bytes:
    """Return the content of the file that keeps ``call``."""
    payload = protocol.encode_payload(call.argv, call.environ)
    header = _HEADER.pack(MAGIC, VERSION, len(payload), len(call.stdin))
    return header + payload + call.stdin


def decode(data: bytes) -> QueuedCall:
    """Return the call in the content of a file; ValueError if it is none."""
    if len(data) < _HEADER.size:
        raise ValueError("shorter than its header")
    magic, version, payload, stdin = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise ValueError(f"begins with {magic!r} version {version}")
    if len(data) > MAX_SIZE or len(data) != _HEADER.size + payload + stdin:
        raise ValueError(f"{len(data)} bytes are not what its header says")
    start = _HEADER.size + payload
    argv, environ = protocol.decode_payload(data[_HEADER.size : start])
    return QueuedCall(argv, environ, data[start:])


class Queue:
    """The directory of queued calls, as the agent sees it."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self.directory = directory
        self._seen = -1, False
        """When `entries` last returned all: the directory's time, and whether it was empty."""

    def changed(self) -> bool:
        """Say whether there may be more than when `entries` last returned all; one stat(2)."""
        try:
            return self._modified() != self._seen[0]
        except OSError:
            return True  # who asks for them learns why

    def waiting(self) -> bool:
        """Say whether anything may wait, what was tried and stayed too; one stat(2)."""
        return not self._seen[1] or self.changed()

    def entries(self, attachment: str = "") -> list[Entry]:
        """Return what waits, oldest first, or only the calls for one `attachment_hash`.

        A directory that does not exist is empty.  Raises QueueError if others could have
        written to it.
        """
        modified = self._modified()
        # Two writes within one tick of the clock leave the same time: do not trust a fresh one.
        seen = modified if time.time_ns() - modified > _TICK else -1
        if modified and (problem := owned.problem(self.directory)):
            raise QueueError(problem)
        names = sorted(os.listdir(self.directory)) if modified else []
        matches = [match for name in names if (match := _NAME.fullmatch(name))]
        if not attachment:
            self._seen = seen, not matches
            self._sweep(names)
        return [
            Entry(os.path.join(self.directory, match[0]), match[2])
            for match in matches
            if attachment in ("", match[2])
        ]

    def _modified(self) -> int:
        try:
            return os.stat(self.directory).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def _sweep(self, names: list[str]) -> None:
        """Remove what launchers that were killed while writing have left."""
        for name in names:
            path = os.path.join(self.directory, name)
            try:
                if name.startswith(".tmp-") and time.time() - os.lstat(path).st_mtime > _STALE:
                    os.unlink(path)
            except FileNotFoundError:
                continue  # renamed or removed meanwhile
