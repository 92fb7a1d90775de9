"""One call of a plugin: the variables and bytes that a runtime hands over, read once.

Hooks see an `Attachment`, GC also a `ValidAttachments`; the runner, the agent and delegation
share the `Call`.  Nothing here reads os.environ: the agent serves many callers in one process.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from cnisdk.errors import InvalidEnvironmentError

if TYPE_CHECKING:
    from cnisdk.net.netns import NetNS
    from cnisdk.types.result import Result

NETNS_BY_PATH = -1
"""`Call.netns_fd`: open the path that CNI_NETNS is."""

NETNS_GONE = -2
"""`Call.netns_fd`: the caller could not open CNI_NETNS, and nobody else should try."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where nft and iptables are looked for when the runtime passes no PATH, as podman may."""


HandOver = Callable[["Result"], object]
"""Takes the result of an ADD from a plugin in the same process."""

Served = Callable[[str, "Call", HandOver | None], bytes | None]
"""Runs a plugin by name inside this process and returns its stdout; see `Call.served`."""


# Not dataclasses: those import inspect, which takes longer than all of a call's system calls.


class Call(NamedTuple):
    """The environment of one call; SPEC section 2, "Parameters".

    Every parameter is the variable's text, ``""`` where it is unset or empty.
    """

    command: str
    """CNI_COMMAND."""
    container_id: str = ""
    """CNI_CONTAINERID."""
    netns: str = ""
    """CNI_NETNS: the path of the container's network namespace."""
    ifname: str = ""
    """CNI_IFNAME."""
    args: str = ""
    """CNI_ARGS, unparsed."""
    path: str = ""
    """CNI_PATH, directories separated by os.pathsep."""
    netns_override: bool = False
    """CNI_NETNS_OVERRIDE: the container's namespace may be the plugin's own."""
    environ: Mapping[str, str] = MappingProxyType({})
    """All variables the caller set; what a delegate inherits."""
    stdin: bytes = b""
    """The network configuration as it came; what a delegate is given."""
    document: "dict[str, Any] | None" = None
    """``stdin`` decoded, where somebody has done that already; nobody changes it."""
    stderr_fd: int = 2
    """Where the caller reads unstructured logs, and delegates write theirs."""
    netns_fd: int = NETNS_BY_PATH
    """CNI_NETNS already opened by the caller; owned by whoever made this Call."""
    host_fd: int = -1
    """The network namespace that the thread is in, where whoever made this Call has it open."""
    served: "Served | None" = None
    """Runs a plugin by name inside this process; returns None if it does not serve that one."""
    logger: "Callable[[Call, str], object] | None" = None
    """Takes the log instead of ``stderr_fd``: the agent must not block on a caller's stderr."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], **rest: Any) -> "Call":
        """Read the CNI variables of ``environ``; checks nothing.  ``rest``: the other fields."""
        return cls(
            command=environ.get("CNI_COMMAND", ""),
            container_id=environ.get("CNI_CONTAINERID", ""),
            netns=environ.get("CNI_NETNS", ""),
            ifname=environ.get("CNI_IFNAME", ""),
            args=environ.get("CNI_ARGS", ""),
            path=environ.get("CNI_PATH", ""),
            netns_override=environ.get("CNI_NETNS_OVERRIDE", "").lower() in ("1", "true"),
            environ=environ,
            **rest,
        )

    @property
    def plugin_dirs(self) -> list[str]:
        """CNI_PATH as a list of directories."""
        return self.path.split(os.pathsep) if self.path else []

    @property
    def search_path(self) -> str:
        """PATH for tools such as nft, never empty."""
        return self.environ.get("PATH") or DEFAULT_PATH

    def log(self, message: str) -> None:
        """Write ``message`` as whole lines to the caller's stderr; a closed one is no failure."""
        if self.logger is not None:
            self.logger(self, message)
            return
        try:
            os.write(self.stderr_fd, (message.rstrip("\n") + "\n").encode("utf-8", "replace"))
        except OSError:
            return  # nobody reads the log; the call itself is unharmed


class Attachment(NamedTuple):
    """A container's interface in a network: what ADD makes and DEL takes away."""

    network: str
    """Name of the network."""
    container_id: str
    ifname: str
    sandbox: str
    """CNI_NETNS as given: what a result's ``interfaces[].sandbox`` must repeat."""
    args: Mapping[str, str]
    """CNI_ARGS as pairs."""
    netns_or_none: "NetNS | None" = None
    """The container's network namespace; None when it is gone, as DEL must expect."""

    @property
    def netns(self) -> "NetNS":
        """The container's network namespace; the runner has opened it for ADD and CHECK."""
        if self.netns_or_none is None:
            raise InvalidEnvironmentError("CNI_NETNS names no network namespace", self.sandbox)
        return self.netns_or_none

    @property
    def key(self) -> "AttachmentKey":
        """What identifies the attachment within its network."""
        return AttachmentKey(self.container_id, self.ifname)


class AttachmentKey(NamedTuple):
    """What identifies an attachment within a network."""

    container_id: str
    ifname: str


class ValidAttachments(Collection[AttachmentKey]):
    """The attachments of a network that are still in use; SPEC section 2, GC.

    Contains `AttachmentKey` (a plain pair does too).  An empty collection means that nothing of
    this network is in use any more.
    """

    def __init__(self, network: str, keys: Collection[AttachmentKey]) -> None:
        self.network = network
        self._keys = frozenset(keys)
        self._containers = frozenset(key.container_id for key in self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[AttachmentKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def has_container(self, container_id: str) -> bool:
        """Say whether any valid attachment belongs to ``container_id``."""
        return container_id in self._containers
