"""Errors as the CNI specification numbers them.

CNIError
├── IncompatibleVersionError        1
├── UnsupportedFieldError           2
├── UnknownContainerError           3
├── InvalidEnvironmentError         4
├── IOFailureError                  5
├── DecodingError                   6
├── InvalidNetworkConfigError       7
├── InvalidNetNSError               8   not in SPEC: the namespace is the plugin's own
├── TryAgainLaterError             11
├── PluginNotAvailableError        50
├── LimitedConnectivityError       51
├── PluginError                  100+   a plugin's own codes
├── InternalError                 999   what escaped; used by the runner alone
└── UnassignedError                 *   a code below 100 without a meaning in SPEC, from elsewhere

SPEC section 5, "Error".  Nothing here knows JSON beyond the four keys of the error object.
"""

from typing import Any, ClassVar


class CNIError(Exception):
    """An error a runtime can read: ``code``, ``msg`` and ``details``.

    Raise a subclass with a short, stable ``msg``; put the offending key and value, the path or
    the errno text in ``details``.
    """

    code: int
    _by_code: ClassVar[dict[int, type["CNIError"]]] = {}

    def __init__(self, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.msg = msg
        self.details = details

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in cls.__dict__ and cls.__module__ == __name__:
            CNIError._by_code[cls.code] = cls

    def __str__(self) -> str:
        return f"{self.msg}; {self.details}" if self.details else self.msg

    def to_wire(self, cni_version: str) -> dict[str, Any]:
        """Return the error object of SPEC section 5; ``cni_version`` is the version in use."""
        wire: dict[str, Any] = {"cniVersion": cni_version, "code": self.code, "msg": self.msg}
        if self.details:
            wire["details"] = self.details
        return wire

    @staticmethod
    def of(code: int, msg: str, details: str = "") -> "CNIError":
        """Return the error that ``code`` names, as a delegate or an invoked plugin reported it."""
        if cls := CNIError._by_code.get(code):
            return cls(msg, details)
        if code >= PluginError.FIRST:
            return PluginError(msg, details, code=code)
        return UnassignedError(msg, details, code=code)


class IncompatibleVersionError(CNIError):
    """The configuration asks for a version that the plugin does not speak."""

    code = 1


class UnsupportedFieldError(CNIError):
    """A field of the configuration is not supported; ``msg`` names the key and the value."""

    code = 2

    def __init__(self, msg: str, details: str = "", *, key: str = "", value: object = None) -> None:
        super().__init__(f"{msg}: {key}={value!r}" if key else msg, details)


class UnknownContainerError(CNIError):
    """The container does not exist; the runtime need not call DEL."""

    code = 3


class InvalidEnvironmentError(CNIError):
    """Variables are missing or malformed; ``msg`` names them."""

    code = 4


class IOFailureError(CNIError):
    """Reading, writing or a kernel request failed."""

    code = 5


class DecodingError(CNIError):
    """Bytes that should have been JSON, or a JSON value of the wrong type."""

    code = 6


class InvalidNetworkConfigError(CNIError):
    """The network configuration does not validate; ``details`` names JSON path and value."""

    code = 7


class InvalidNetNSError(CNIError):
    """CNI_NETNS is the network namespace of the plugin itself (the Go library's code 8)."""

    code = 8


class TryAgainLaterError(CNIError):
    """A passing condition; the runtime should retry."""

    code = 11


class PluginNotAvailableError(CNIError):
    """STATUS: the plugin cannot serve ADD."""

    code = 50


class LimitedConnectivityError(CNIError):
    """STATUS: the plugin cannot serve ADD, and existing containers may have lost connectivity."""

    code = 51


class PluginError(CNIError):
    """An error of the plugin's own; ``code`` is 100 or more (SPEC reserves what is below)."""

    FIRST: ClassVar[int] = 100

    def __init__(self, msg: str, details: str = "", *, code: int = FIRST) -> None:
        if code < self.FIRST:
            raise ValueError(f"codes below {self.FIRST} are the specification's, not {code}")
        super().__init__(msg, details)
        self.code = code


class InternalError(CNIError):
    """An exception no hook meant to raise (the Go library's code 999)."""

    code = 999


class UnassignedError(CNIError):
    """A code below 100 without a meaning in SPEC, as another's plugin reported it."""

    def __init__(self, msg: str, details: str = "", *, code: int) -> None:
        super().__init__(msg, details)
        self.code = code
