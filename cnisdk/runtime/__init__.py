"""The runtime's side of CNI: load network configurations, run plugins, remember attachments.

What the Go library calls libcni; SPEC section 3.  Names resolve on first use (PEP 562).
"""

TYPE_CHECKING = False  # typing.TYPE_CHECKING without importing typing

if TYPE_CHECKING:
    from cnisdk.runtime.attachment import AttachmentParameters as AttachmentParameters
    from cnisdk.runtime.cache import Cache as Cache, CachedAttachment as CachedAttachment
    from cnisdk.runtime.config import NetworkConfig as NetworkConfig, PluginObject as PluginObject
    from cnisdk.runtime.directory import Scan as Scan, load as load, scan as scan
    from cnisdk.runtime.errors import (
        AlreadyAttachedError as AlreadyAttachedError,
        BrokenConfigError as BrokenConfigError,
        ExecutionError as ExecutionError,
        GCError as GCError,
        NetworkNotFoundError as NetworkNotFoundError,
        NotAttachedError as NotAttachedError,
        PluginNotFoundError as PluginNotFoundError,
    )
    from cnisdk.runtime.runtime import Runtime as Runtime
    from cnisdk.runtime.validation import Validation as Validation, validate as validate

_EXPORTS = {
    "attachment": ("AttachmentParameters",),
    "cache": ("Cache", "CachedAttachment"),
    "config": ("NetworkConfig", "PluginObject"),
    "directory": ("Scan", "load", "scan"),
    "errors": (
        "AlreadyAttachedError",
        "BrokenConfigError",
        "ExecutionError",
        "GCError",
        "NetworkNotFoundError",
        "NotAttachedError",
        "PluginNotFoundError",
    ),
    "runtime": ("Runtime",),
    "validation": ("Validation", "validate"),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    try:
        module = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
