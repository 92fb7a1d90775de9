"""The configuration of a plugin; SPEC section 1, "Plugin configuration object".

Subclass `PluginConfig` and declare the keys the plugin understands.  `parse_config` is strict:
``"1500"`` is no int and 1 is no bool, in an author's fields as well; what JSON has no type for,
such as an address, is read from its text.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cnisdk import versions
from cnisdk.errors import InvalidNetworkConfigError, UnsupportedFieldError
from cnisdk.types import _checks, _json, _problems
from cnisdk.types._fields import Parsed, is_light
from cnisdk.types._keys import keys_of
from cnisdk.types._problems import InvalidError, Problem
from cnisdk.types._wire import Field, WireModel
from cnisdk.types.capabilities import RuntimeConfig
from cnisdk.types.result import DNS, Result

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo


def _prev_result(value: object, info: "ValidationInfo") -> Result | None:
    if value is None or isinstance(value, Result):
        return value
    if info.context is not None and "prevResult" in info.context:
        value = info.context["prevResult"]  # as it was before JSON made floats of its numbers
    from cnisdk.types.convert import read

    return read(value, info.data.get("cni_version", ""))  # type: ignore[arg-type]


_PREV_RESULT = Parsed(_prev_result, {"type": "object"}, with_info=True)


class IPAMConfig(WireModel):
    """What is for the IPAM plugin; its own keys are in ``model_extra``."""

    type: str = ""
    """The plugin's name, to be found in CNI_PATH."""


class PluginConfig(WireModel):
    """What every plugin's configuration has; subclass it and add your own.

    Give every field of yours a default that lets DEL release what there is to release: a DEL
    must do what it can under a configuration that is wrong.
    """

    cni_version: str = Field(default=versions.UNSTATED, alias="cniVersion")
    """Version of the specification that the runtime speaks, and its results are to have."""
    name: str
    """Name of the network."""
    type: str = ""
    """Name of the plugin; of the one that delegates, in a delegate's configuration."""
    ipam: IPAMConfig | None = None
    """None where no IPAM plugin is named."""
    dns: DNS = Field(default_factory=DNS)
    """Resolver settings for the container."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Optional information from the runtime; CONVENTIONS has it under ``cni``."""
    runtime_config: RuntimeConfig = Field(default_factory=RuntimeConfig, alias="runtimeConfig")
    prev_result: Annotated[Result | None, _PREV_RESULT] = Field(default=None, alias="prevResult")
    """What the plugins before this one did; on DEL and CHECK, what all of them did on ADD."""

    def require_prev_result(self) -> Result:
        """Return ``prev_result``; raise InvalidNetworkConfigError if there is none.

        For ``add`` of a plugin that has to follow another one, and for ``check``.  DEL has to do
        without: "a runtime … may not have" one (SPEC section 2), so ask ``prev_result`` there.
        """
        if self.prev_result is None:
            raise InvalidNetworkConfigError(
                "required prevResult missing",
                f"$.prevResult: {self.type or 'this plugin'} has to follow another on ADD, and "
                "needs the result of ADD on CHECK",
            )
        return self.prev_result


ConfigT = TypeVar("ConfigT", bound=PluginConfig)


def prepare(cls: type[PluginConfig]) -> None:
    """Do now what the first `parse_config` would do: for a process that serves many calls."""
    if not is_light(cls):
        cls.model_rebuild()
    keys_of(cls)


def parse_config(cls: type[ConfigT], raw: Mapping[str, Any]) -> ConfigT:
    """Return ``raw`` as a ``cls``.

    Raises InvalidNetworkConfigError, whose details name path and value of everything that is
    wrong, or UnsupportedFieldError, if ``cls`` forbids keys it does not declare.  A `CNIError`
    of a validator's own is raised as it is.
    """
    try:
        return _validated(cls, raw)
    except InvalidError as err:
        details = _problems.describe(raw, err.problems)
        for problem in err.problems:
            if problem.kind == "extra_forbidden":
                path, value = _problems.locate(raw, problem.path)
                raise UnsupportedFieldError(
                    "unsupported field", details, key=_problems.path_text(path)[2:], value=value
                ) from err
        raise InvalidNetworkConfigError("invalid network configuration", details) from err


def _validated(cls: type[ConfigT], raw: Mapping[str, Any]) -> ConfigT:
    """Return ``raw`` as a ``cls``; raise `InvalidError`, or a `CNIError` of a validator's own."""
    if not isinstance(raw, Mapping):
        raise InvalidError([Problem((), "is no JSON object")])
    keys = keys_of(cls)
    data: dict[str, Any] = keys.canonical(raw)
    if not data.get("cniVersion", "-"):
        del data["cniVersion"]
    ipam = data.get("ipam")
    if isinstance(ipam, Mapping) and not ipam.get("type") and "ipam" in keys.optional:
        del data["ipam"]
    if cls.model_config.get("extra") == "forbid":
        data = {key: value for key, value in data.items() if not _is_runtimes_own(key)}
    made = _checks.accept(cls, data)
    if made is not None:
        return made
    context = None
    try:
        text = _json.compact(data)
    except _json.InexactError:
        text = _json.dumps(data)
        context = {"prevResult": data.get("prevResult")}
    except (TypeError, ValueError) as err:
        raise InvalidError([Problem((), f"no JSON: {err}")]) from err
    from cnisdk.types import _pydantic

    return _pydantic.read_json(cls, text, data, context)


def _is_runtimes_own(key: str) -> bool:
    """Say whether a runtime may send ``key`` unasked, whatever the plugin knows."""
    return key == "capabilities" or key.startswith("cni.dev/")


def salvage_config(cls: type[ConfigT], raw: Mapping[str, Any]) -> ConfigT | None:
    """Return what can be used of a configuration that `parse_config` refuses; raises nothing.

    DEL has to release what it can.  What does not validate is left out, the smallest part of it
    first, so that its default takes its place; at the end ``name``, ``type``, ``cniVersion``
    and ``ipam.type`` remain.  None if ``cls`` cannot do even with those.
    """
    from cnisdk.types._salvage import salvage

    return salvage(lambda rest: _validated(cls, rest), raw)
