"""The node that is looked at: where things are, and what several checks want to know of it."""

import functools
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from cnisdk.agent import trailer
from cnisdk.errors import CNIError
from cnisdk.node import wants
from cnisdk.node.places import Places
from cnisdk.node.root import Root
from cnisdk.runtime.cache import Cache, CachedAttachment
from cnisdk.runtime.config import NetworkConfig
from cnisdk.runtime.directory import Scan, scan

_OVERFLOW_UID = 65534  # whoever our user namespace does not know


class Installed(NamedTuple):
    """A plugin that some network wants, where it is on the node."""

    name: str
    path: str
    trailer: trailer.Trailer | None
    """How it runs, where it was built by us."""


class Node:
    """A node as it is now."""

    def __init__(
        self, root: Root, places: Places, *, cache_dir: str, socket: str, queue_dir: str
    ) -> None:
        self.root = root
        self.places = places
        self.cache_dir = cache_dir
        self.socket = socket
        """Where an agent listens; ``""``: where the plugins say."""
        self.queue_dir = queue_dir

    @functools.cached_property
    def scan(self) -> Scan:
        """The configurations of the node; IOFailureError where they may not be listed."""
        return scan(self.places.conf_dir, locate=self.root.locate)

    @property
    def networks(self) -> list[NetworkConfig]:
        """Every configuration that can be read, used or not."""
        return [entry for entry in self.scan.entries if isinstance(entry, NetworkConfig)]

    @functools.cached_property
    def cache(self) -> Cache:
        """What runtimes remember."""
        return Cache(self.root.locate(self.cache_dir))

    @functools.cached_property
    def attachments(self) -> list[CachedAttachment]:
        """The attachments that runtimes remember; IOFailureError where they may not be listed."""
        return self.cache.attachments()

    def refresh(self) -> bool:
        """Read anew what runtimes remember, and say whether that has changed."""
        before: list[CachedAttachment] | None = self.__dict__.pop("attachments", None)
        try:
            return self.attachments != before
        except CNIError:
            return before is not None

    def anew(self) -> "Node":
        """Return the same node, of which nothing has been read yet."""
        return Node(
            self.root,
            self.places,
            cache_dir=self.cache_dir,
            socket=self.socket,
            queue_dir=self.queue_dir,
        )

    @functools.cached_property
    def plugins(self) -> dict[str, Installed | None]:
        """The plugins that networks want; None for one that is nowhere."""
        names = {name for network in self.networks for name, _ in wants.wanted(network)}
        return {name: self._installed(name) for name in sorted(names)}

    def _installed(self, name: str) -> Installed | None:
        path = wants.find(self.root, self.places, name)
        if not path:
            return None
        try:
            end = trailer.read(self.root.locate(path))
        except PermissionError:
            end = None  # one may execute what one may not read
        return Installed(name, path, end)

    def distrust(self, path: str) -> tuple[str, str] | None:
        """Return which of a path and its parents others can write to, and who; None if nobody.

        What does not exist has its parents alone.
        """
        while True:
            try:
                status = os.stat(self.root.locate(path))
            except (FileNotFoundError, NotADirectoryError):
                status = None
            if status is not None and (who := _writers(status)):
                return path, who
            if path in ("", "/"):
                return None
            path = os.path.dirname(path)

    def shares_network(self) -> bool:
        """Say whether this process is in the node's network namespace."""
        if self.root.is_ours:
            return True
        try:
            its = os.stat(self.root.join("/proc/1/ns/net"))
        except OSError:
            return False
        ours = os.stat("/proc/self/ns/net")
        return (its.st_dev, its.st_ino) == (ours.st_dev, ours.st_ino)

    def files(self) -> Iterator[str]:
        """Yield every path whose writers decide what root executes here."""
        yield self.places.conf_dir
        yield from (entry.path for entry in self.scan.entries)
        yield from (directory for directory in self.places.bin_dirs)
        yield from (one.path for one in self.plugins.values() if one)


def _writers(status: os.stat_result) -> str:
    """Return who besides root and us can write there, ``""`` for nobody."""
    mode = status.st_mode
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    if mode & 0o002 and not sticky:
        return "everybody"
    if mode & 0o020 and status.st_gid not in (0, _OVERFLOW_UID) and not sticky:
        return f"group {status.st_gid}"
    if status.st_uid not in (0, os.geteuid(), _OVERFLOW_UID):
        return f"uid {status.st_uid}"
    return ""
