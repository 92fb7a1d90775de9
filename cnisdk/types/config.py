"""What a plugin is told: its configuration, what the runtime adds, what came before.

SPEC section 1 ("Plugin configuration objects"), section 3 ("Deriving execution configuration from
plugin configuration") and CONVENTIONS.md.  An author subclasses `PluginConfig` with the plugin's
own keys.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from cnisdk import versions
from cnisdk.errors import CNIError, InvalidNetworkConfigError, UnsupportedFieldError
from cnisdk.types import _fold, _invalid, _json
from cnisdk.types._wire import WireModel
from cnisdk.types.convert import from_wire
from cnisdk.types.result import DNS, Result

ConfigT = TypeVar("ConfigT", bound="PluginConfig")


class IPAMConfig(WireModel):
    """The ``ipam`` object: which plugin hands out addresses; its keys are that plugin's own."""

    type: str = ""


class PortMapping(WireModel):
    """One element of the capability ``portMappings``."""

    host_port: int = Field(alias="hostPort")
    container_port: int = Field(alias="containerPort")
    protocol: str = "tcp"
    host_ip: str = Field(default="", alias="hostIP")


class IPRange(WireModel):
    """One range of the capability ``ipRanges``; as text, since a plugin says what it takes."""

    subnet: str = ""
    range_start: str = Field(default="", alias="rangeStart")
    range_end: str = Field(default="", alias="rangeEnd")
    gateway: str = ""


class Bandwidth(WireModel):
    """The capability ``bandwidth``: bits per second, and bits."""

    ingress_rate: int = Field(default=0, alias="ingressRate")
    ingress_burst: int = Field(default=0, alias="ingressBurst")
    egress_rate: int = Field(default=0, alias="egressRate")
    egress_burst: int = Field(default=0, alias="egressBurst")


class DNSCapability(WireModel):
    """The capability ``dns``, whose names differ from those of a result's ``dns``."""

    searches: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class RuntimeConfig(WireModel):
    """What the runtime knows of this attachment; CONVENTIONS.md, "Dynamic Plugin specific fields".

    A plugin gets what its configuration asks for in ``capabilities``.
    """

    port_mappings: tuple[PortMapping, ...] = Field(default=(), alias="portMappings")
    ip_ranges: tuple[tuple[IPRange, ...], ...] = Field(default=(), alias="ipRanges")
    """One address of each outer element, from one of its ranges."""
    bandwidth: Bandwidth | None = None
    dns: DNSCapability | None = None
    ips: tuple[str, ...] = ()
    """Addresses asked for, with or without prefix length."""
    mac: str = ""
    infiniband_guid: str = Field(default="", alias="infinibandGUID")
    device_id: str = Field(default="", alias="deviceID")
    aliases: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    """Names for the container; podman gives them by network."""
    cgroup_path: str = Field(default="", alias="cgroupPath")

    @field_validator("port_mappings", "ip_ranges", "ips", "aliases", mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return () if value is None else value


class PluginConfig(WireModel):
    """A plugin's configuration as the runtime derived it; subclass it with the plugin's own keys.

    A field's alias is the JSON key.  Keys match in any case of letters, as in Go.  Values are not
    converted: ``"1500"`` is no integer.  Keys without a field are kept in ``model_extra``, unless
    the class forbids them (``extra="forbid"``).
    """

    cni_version: str = Field(default=versions.UNSTATED, alias="cniVersion")
    name: str
    """Name of the network."""
    type: str = ""
    """Name of the plugin."""
    ipam: IPAMConfig | None = None
    """None where no IPAM plugin is named."""
    dns: DNS = DNS.model_construct()
    args: dict[str, Any] = Field(default_factory=dict)
    """Optional metadata, ``args.cni`` by convention; may be ignored."""
    runtime_config: RuntimeConfig = Field(
        default_factory=RuntimeConfig.model_construct, alias="runtimeConfig"
    )
    prev_result: Result | None = Field(default=None, alias="prevResult")
    """Result of the plugin before this one on ADD, of the whole ADD otherwise."""

    @field_validator("ipam", mode="before")
    @classmethod
    def _no_ipam(cls, value: Any) -> Any:
        """``"ipam": {}`` and an empty type are no IPAM, as in the reference plugins."""
        if isinstance(value, Mapping) and value.get("type", "") == "":
            return None
        return value

    @field_validator("dns", "args", "runtime_config", mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("prev_result", mode="before")
    @classmethod
    def _convert(cls, value: Any, info: ValidationInfo) -> Any:
        """Read a result of any version it states, else of the configuration's."""
        if not isinstance(value, Mapping):
            return value
        try:
            return from_wire(value, info.data.get("cni_version", ""))
        except CNIError as err:
            raise ValueError(f"{err.msg}: {err.details}") from err


def parse_config(cls: type[ConfigT], raw: Mapping[str, Any]) -> ConfigT:
    """Return the configuration ``raw`` as ``cls``.

    Raises InvalidNetworkConfigError whose details name path and value of every problem, or
    UnsupportedFieldError where ``cls`` forbids a key; a `CNIError` raised by a validator of
    ``cls`` passes through.
    """
    folded = _fold.fold(cls, raw)
    try:
        return cls.model_validate_json(_json.dumps(folded), strict=True)
    except ValidationError as err:
        for problem in err.errors(include_url=False):
            if problem["type"] == "extra_forbidden":
                keys = _invalid.steps(problem, folded)
                raise UnsupportedFieldError(
                    "unsupported field", key=_invalid.path(keys), value=problem["input"]
                ) from err
        raise InvalidNetworkConfigError(
            "invalid network configuration", _invalid.describe(err, folded)
        ) from err


def salvage_config(cls: type[ConfigT], raw: Mapping[str, Any]) -> ConfigT | None:
    """Return as much of ``raw`` as validates, for a DEL that has to release nevertheless.

    What does not validate is left out, the innermost key first, so that its default stands in;
    None if even the network's name is not to be had.
    """
    rest = _fold.fold(cls, raw)
    for _ in range(_MOST_REPAIRS):
        try:
            return cls.model_validate_json(_json.dumps(rest), strict=True)
        except ValidationError as err:
            if not _drop(rest, err):
                break
        except Exception:  # noqa: BLE001 - a validator of the author's, whose field is unknown
            break
    identity = {key: raw[key] for key in ("cniVersion", "name", "type", "ipam") if key in raw}
    for kept in (identity, {k: v for k, v in identity.items() if k != "ipam"}):
        try:
            return cls.model_validate_json(_json.dumps(_fold.fold(cls, kept)), strict=True)
        except (ValidationError, CNIError, ValueError, TypeError):
            continue
    return None


_MOST_REPAIRS = 50


def _drop(rest: dict[str, Any], err: ValidationError) -> bool:
    """Remove from ``rest`` what ``err`` is about; False if nothing of it can be removed."""
    dropped = False
    for problem in err.errors(include_url=False):
        keys = _invalid.steps(problem, rest)
        while keys and not _pop(rest, keys):
            keys.pop()
        dropped = dropped or bool(keys)
    return dropped


def _pop(rest: Any, keys: list[str | int]) -> bool:
    """Remove the innermost object member on the way ``keys``; the network's name stays."""
    *way, last = keys
    if not isinstance(last, str) or keys == ["name"]:
        return False
    for key in way:
        rest = rest[key]
    return rest.pop(last, _MISSING) is not _MISSING


_MISSING = object()
