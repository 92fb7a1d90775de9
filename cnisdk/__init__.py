"""Write CNI plugins and runtimes in Python."""

TYPE_CHECKING = False  # typing.TYPE_CHECKING without importing typing

if TYPE_CHECKING:
    from cnisdk import (
        cancel as cancel,
        ipam as ipam,
        names as names,
        net as net,
        versions as versions,
    )
    from cnisdk.call import (
        Attachment as Attachment,
        AttachmentKey as AttachmentKey,
        Call as Call,
        ValidAttachments as ValidAttachments,
    )
    from cnisdk.errors import (
        CNIError as CNIError,
        DecodingError as DecodingError,
        IncompatibleVersionError as IncompatibleVersionError,
        InternalError as InternalError,
        InvalidEnvironmentError as InvalidEnvironmentError,
        InvalidNetNSError as InvalidNetNSError,
        InvalidNetworkConfigError as InvalidNetworkConfigError,
        IOFailureError as IOFailureError,
        LimitedConnectivityError as LimitedConnectivityError,
        PluginError as PluginError,
        PluginNotAvailableError as PluginNotAvailableError,
        TryAgainLaterError as TryAgainLaterError,
        UnassignedError as UnassignedError,
        UnknownContainerError as UnknownContainerError,
        UnsupportedFieldError as UnsupportedFieldError,
    )
    from cnisdk.ipam import collect as collect
    from cnisdk.plugin import Plugin as Plugin
    from cnisdk.runner import main as main, run as run
    from cnisdk.types._wire import Field as Field, Parsed as Parsed, WireModel as WireModel
    from cnisdk.types.capabilities import (
        Bandwidth as Bandwidth,
        IPRange as IPRange,
        PortMapping as PortMapping,
        RuntimeConfig as RuntimeConfig,
        RuntimeDNS as RuntimeDNS,
    )
    from cnisdk.types.config import IPAMConfig as IPAMConfig, PluginConfig as PluginConfig
    from cnisdk.types.convert import from_wire as from_wire
    from cnisdk.types.result import (
        DNS as DNS,
        Interface as Interface,
        IPConfig as IPConfig,
        Result as Result,
        Route as Route,
    )
    from cnisdk.undo import Undo as Undo

# Exported names resolve on first use (PEP 562): a call pays for what it uses and no more.
_EXPORTS = {
    "cnisdk.call": ("Attachment", "AttachmentKey", "Call", "ValidAttachments"),
    "cnisdk.errors": (
        "CNIError",
        "DecodingError",
        "IOFailureError",
        "IncompatibleVersionError",
        "InternalError",
        "InvalidEnvironmentError",
        "InvalidNetNSError",
        "InvalidNetworkConfigError",
        "LimitedConnectivityError",
        "PluginError",
        "PluginNotAvailableError",
        "TryAgainLaterError",
        "UnassignedError",
        "UnknownContainerError",
        "UnsupportedFieldError",
    ),
    "cnisdk.ipam": ("collect",),
    "cnisdk.plugin": ("Plugin",),
    "cnisdk.runner": ("main", "run"),
    "cnisdk.types._wire": ("Field", "Parsed", "WireModel"),
    "cnisdk.types.capabilities": (
        "Bandwidth",
        "IPRange",
        "PortMapping",
        "RuntimeConfig",
        "RuntimeDNS",
    ),
    "cnisdk.types.config": ("IPAMConfig", "PluginConfig"),
    "cnisdk.types.convert": ("from_wire",),
    "cnisdk.types.result": ("DNS", "IPConfig", "Interface", "Result", "Route"),
    "cnisdk.undo": ("Undo",),
}
_HOME = {name: module for module, exported in _EXPORTS.items() for name in exported}
_MODULES = ("cancel", "ipam", "names", "net", "versions")

__all__ = sorted((*_HOME, *_MODULES))


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    try:
        module = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
