"""What a runtime can fail with, beside what its plugins report.

CNIError
├── ExecutionError               a plugin's error: its code, which plugin of which network
├── GCError                      everything that a GC could not release
├── InvalidNetworkConfigError
│   ├── BrokenConfigError        a file that is no network configuration, with all its problems
│   └── NetworkNotFoundError     no file of the directory has that name
├── InvalidEnvironmentError
│   ├── AlreadyAttachedError     ADD twice without a DEL in between
│   └── PluginNotFoundError      no directory of CNI_PATH has the plugin
└── UnknownContainerError
    └── NotAttachedError         CHECK without an ADD
"""

from collections.abc import Sequence

from cnisdk.errors import (
    CNIError,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
    UnknownContainerError,
)


class ExecutionError(CNIError):
    """A plugin of a network failed; ``code`` and ``details`` are those it reported.

    ``rollback`` has what went wrong in the DEL that followed a failed ADD: those attachments
    may still hold something, and their DEL has to be repeated.
    """

    def __init__(
        self,
        command: str,
        network: str,
        plugin: str,
        cause: CNIError,
        rollback: Sequence[CNIError] = (),
    ) -> None:
        super().__init__(
            f"plugin {plugin!r} of network {network!r} failed {command}: {cause.msg}",
            cause.details,
        )
        self.code = cause.code
        self.command = command
        self.network = network
        self.plugin = plugin
        self.cause = cause
        self.rollback = tuple(rollback)

    def __str__(self) -> str:
        text = super().__str__()
        if self.rollback:
            text += "; undoing it failed too: " + "; ".join(str(err) for err in self.rollback)
        return text


class GCError(CNIError):
    """What a GC could not release; it went on after each of ``failures``."""

    def __init__(self, network: str, failures: Sequence[CNIError]) -> None:
        super().__init__(
            f"GC of network {network!r} failed in {len(failures)} of its steps",
            "; ".join(str(err) for err in failures),
        )
        self.code = failures[0].code
        self.network = network
        self.failures = tuple(failures)


class BrokenConfigError(InvalidNetworkConfigError):
    """A file that is no network configuration; ``problems`` has all that is wrong with it.

    ``name`` is the network's name as far as it can be read, else ``""``.
    """

    def __init__(self, path: str, problems: Sequence[str], name: str = "") -> None:
        super().__init__(
            f"invalid network configuration {path}" if path else "invalid network configuration",
            "; ".join(problems),
        )
        self.path = path
        self.problems = tuple(problems)
        self.name = name


class NetworkNotFoundError(InvalidNetworkConfigError):
    """No file of ``directory`` configures the network ``name``; ``names`` are those it has."""

    def __init__(
        self, name: str, directory: str, names: Sequence[str], broken: Sequence[BrokenConfigError]
    ) -> None:
        found = f"it has {', '.join(names)}" if names else "it has no network configuration"
        unread = "".join(f"; not read: {err}" for err in broken)
        super().__init__(f"no network {name!r} in {directory}", found + unread)
        self.name = name
        self.directory = directory
        self.names = tuple(names)
        self.broken = tuple(broken)


class PluginNotFoundError(InvalidEnvironmentError):
    """No directory of CNI_PATH has the executable of ``plugin``."""

    def __init__(self, plugin: str, msg: str, details: str = "") -> None:
        super().__init__(msg, details)
        self.plugin = plugin


class AlreadyAttachedError(InvalidEnvironmentError):
    """ADD for an attachment that exists; nothing was changed."""


class NotAttachedError(UnknownContainerError):
    """CHECK for an attachment without the result of an ADD; nothing was run."""
