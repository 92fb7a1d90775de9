"""What `cnisdk install` has put on a node: how it knows what it may take away again.

``/var/lib/cnisdk/install/<name>.json`` has, for each file, its path and the SHA-256 of what we put
there.  A file with another content is not ours, or not any more, and stays.  While an installation
is under way a file has both the old and the new SHA-256, written before the first file changes:
whenever it is killed, the receipt has all that may be there.

The directory is also the lock, flock(2): one installation at a time on a node.
"""

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from cnisdk.node.directory import Directory
from cnisdk.node.errors import NodeError
from cnisdk.node.root import Root
from cnisdk.node.source import Kind
from cnisdk.types import _json

if sys.platform == "linux":
    import fcntl

DIRECTORY = "/var/lib/cnisdk/install"

_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
_SUFFIX = ".json"


class Entry(NamedTuple):
    """A file that we put on the node."""

    path: str
    kind: Kind
    digests: tuple[str, ...]
    """What we may have put there."""


Receipt = Mapping[str, Entry]
"""Entries by their path."""


class Receipts:
    """All receipts of a node, for whoever has the lock."""

    def __init__(self, directory: Directory | None) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """Return the names under which something is installed."""
        listed = self._directory.names() if self._directory else []
        return [n.removesuffix(_SUFFIX) for n in listed if n.endswith(_SUFFIX)]

    def read(self, name: str) -> Receipt:
        """Return what is installed as ``name``; nothing where there is no receipt."""
        if self._directory is None or name not in self.names():
            return {}
        path = f"{DIRECTORY}/{name}{_SUFFIX}"
        try:
            entries = _entries(_json.loads(self._directory.read(name + _SUFFIX)))
        except ValueError as err:
            raise NodeError(
                f"{path} is no receipt: {err}", f"remove {path}, and what is installed by hand"
            ) from err
        return {entry.path: entry for entry in entries}

    def others(self, name: str) -> dict[str, str]:
        """Return the paths in all receipts but that of ``name``, and whose they are."""
        return {path: n for n in self.names() if n != name for path in self.read(n)}

    def write(self, name: str, entries: Sequence[Entry]) -> None:
        """Say what is installed as ``name``; on disk when this returns."""
        if self._directory is None:
            raise NodeError(f"{DIRECTORY} is not there")
        ordered = sorted(entries)
        files = [{"path": e.path, "kind": e.kind, "sha256": list(e.digests)} for e in ordered]
        text = _json.dumps({"cnisdkInstall": _FORMAT, "files": files}, indent=2)
        self._directory.draft_bytes(name + _SUFFIX, f"{text}\n".encode(), 0o644)
        self._directory.place()

    def remove(self, name: str) -> None:
        """Say that nothing is installed as ``name``."""
        if self._directory is not None:
            self._directory.remove(name + _SUFFIX)
            self._directory.sync()


@contextmanager
def locked(root: Root, *, create: bool) -> Iterator[Receipts]:
    """Keep every other installation away from the node, and yield its receipts.

    Without ``create`` a node where nothing was ever installed stays as it is.
    """
    try:
        directory = Directory(root, DIRECTORY, create=create)
    except FileNotFoundError:
        yield Receipts(None)
        return
    try:
        _check_owner(directory)
        fcntl.flock(directory.fd, fcntl.LOCK_EX)
        if create:
            directory.sweep()
        yield Receipts(directory)
    finally:
        directory.close()


def check_name(name: str) -> str:
    """Return ``name`` if a receipt can have it."""
    if not _NAME.fullmatch(name):
        raise NodeError(
            f"{name!r} is no name for an installation", "--name may have letters, digits, - _ ."
        )
    return name


def _check_owner(directory: Directory) -> None:
    """Whoever can write a receipt says what is removed."""
    status = os.fstat(directory.fd)
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise NodeError(
            f"{DIRECTORY} can be written to by others: uid {status.st_uid}, "
            f"mode {stat.S_IMODE(status.st_mode):04o}",
            f"chown root {DIRECTORY} && chmod go-w {DIRECTORY}, and look at what is in it",
        )


def _entries(wire: Any) -> list[Entry]:
    if not isinstance(wire, dict) or wire.get("cnisdkInstall") != _FORMAT:
        raise ValueError("it is of no version known here")
    entries = []
    for file in wire.get("files", ()):
        if not isinstance(file, dict):
            raise ValueError("a file that is no object")  # noqa: TRY004 - of the content
        path, digests = file.get("path"), file.get("sha256")
        if not isinstance(path, str) or not path.startswith("/") or not isinstance(digests, list):
            raise ValueError("a file without path or sha256")
        entries.append(Entry(path, Kind(str(file.get("kind"))), tuple(map(str, digests))))
    return entries
