"""Explain a failure: what happened, the details, and what to do next."""

import os

from cnisdk.errors import (
    CNIError,
    IncompatibleVersionError,
    LimitedConnectivityError,
    PluginNotAvailableError,
    TryAgainLaterError,
)
from cnisdk.runtime.errors import (
    AlreadyAttachedError,
    BrokenConfigError,
    ExecutionError,
    GCError,
    NetworkNotFoundError,
    NotAttachedError,
    PluginNotFoundError,
)


def explain(err: CNIError) -> str:
    """Return the lines that a person is shown for ``err``."""
    lines = [f"Error: {err.msg} (code {err.code})"]
    lines += [f"  {line}" for detail in _details(err) for line in detail.splitlines()]
    if step := next_step(err):
        lines.append(f"Next: {step}")
    return "\n".join(lines)


def _details(err: CNIError) -> list[str]:
    match err:
        case BrokenConfigError():
            return list(err.problems)
        case GCError():
            return [str(failure) for failure in err.failures]
        case ExecutionError():
            undone = [f"undoing it failed too: {failure}" for failure in err.rollback]
            return [err.details, *undone]
    return [err.details]


def next_step(err: CNIError) -> str:
    """Return what to do about ``err``, ``""`` if there is nothing to say but the error."""
    cause = _cause(err)
    if step := _by_kind(cause):
        return step
    if os.geteuid() != 0 and _is_refused(cause):
        return "networks of the machine are changed by root: run it again with sudo"
    if isinstance(err, ExecutionError) and err.rollback:
        return "run 'cnisdk del' with the same arguments: something may be left"
    if isinstance(err, ExecutionError) and err.command == "DEL":
        return "run it again when that is mended: an attachment is remembered until then"
    if isinstance(err, GCError):
        return "run it again when that is mended; everything else was released"
    return ""


def _by_kind(err: CNIError) -> str:
    match err:
        case NetworkNotFoundError():
            return "'cnisdk list' shows networks; --config-dir or NETCONFPATH names a directory"
        case BrokenConfigError():
            return f"correct {err.path or 'the configuration'}; 'cnisdk validate' checks it"
        case PluginNotFoundError():
            return f"install {err.plugin}, or say where it is with --cni-path or CNI_PATH"
        case AlreadyAttachedError():
            return "run 'cnisdk del' first, or choose another --ifname"
        case NotAttachedError():
            return "'cnisdk list' shows what is attached"
        case IncompatibleVersionError():
            return "change cniVersion; 'cnisdk version PLUGIN' shows what a plugin speaks"
        case TryAgainLaterError():
            return "run it again in a moment"
        case PluginNotAvailableError() | LimitedConnectivityError():
            return "the network takes no container for now; see the log of its plugin"
    return ""


def _cause(err: CNIError) -> CNIError:
    while isinstance(err, ExecutionError):
        err = err.cause
    return err


def _is_refused(err: CNIError) -> bool:
    text = str(err).lower()
    return "permission denied" in text or "operation not permitted" in text
