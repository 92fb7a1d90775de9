"""Network configurations as an administrator writes them; SPEC section 1.

Reading only: no file is opened here and no plugin is asked.  A configuration's keys and numbers
are kept as they are, since "runtimes must preserve unknown fields unchanged"; what a plugin is
given is made of them in `cnisdk.runtime.request`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cnisdk import versions
from cnisdk.runtime.errors import BrokenConfigError
from cnisdk.types import _json


@dataclass(frozen=True, slots=True)
class PluginObject:
    """A plugin configuration object: one element of ``plugins``, or one drop-in file."""

    raw: Mapping[str, Any]
    """The object as it was read."""
    path: str = ""
    """Where a drop-in comes from; ``""`` for an inlined one."""

    @property
    def type(self) -> str:
        """Name of the plugin's executable."""
        type_: str = self.raw["type"]
        return type_

    @property
    def capabilities(self) -> list[str]:
        """The capabilities that the object declares."""
        declared = self.raw.get("capabilities") or {}
        return [name for name, wanted in declared.items() if wanted]

    @property
    def ipam_type(self) -> str:
        """Name of the IPAM plugin's executable, ``""`` for none."""
        ipam = self.raw.get("ipam")
        type_ = ipam.get("type") if isinstance(ipam, dict) else None
        return type_ if isinstance(type_, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """A network configuration; its plugins in the order of ADD."""

    name: str
    """Not yet checked for its characters: `Runtime.add` and `validate` do."""
    cni_version: str
    """The version in use: the newest of ``cniVersion`` and ``cniVersions`` spoken here.

    `versions.UNSTATED` where the file has none; a version from the future stays as it is.
    """
    plugins: tuple[PluginObject, ...]
    disable_check: bool = False
    disable_gc: bool = False
    load_only_inlined_plugins: bool = False
    raw: Mapping[str, Any]
    """The object as it was read, drop-ins not among its ``plugins``."""
    path: str = ""
    """The file it was read from, if any."""

    @classmethod
    def parse(cls, data: bytes, path: str = "") -> "NetworkConfig":
        """Read what a ``.conflist`` file holds; BrokenConfigError names all its problems.

        A list without ``plugins`` is taken: its plugins may be drop-ins.
        """
        problems: list[str] = []
        raw = _object(data, path)
        name = _name(raw, problems)
        version = _version(raw, problems)
        flags = {key: _flag(raw, key, problems) for key in _FLAGS}
        plugins: list[PluginObject] = []
        if "plugins" in raw:
            _plugins(raw["plugins"], plugins, problems)
        elif flags["loadOnlyInlinedPlugins"]:
            problems.append("$.plugins: missing, and loadOnlyInlinedPlugins is true")
        elif "type" in raw:
            problems.append("$.type: a single plugin belongs into a file named *.conf")
        if problems:
            raise BrokenConfigError(path, problems, name)
        return cls(
            name=name,
            cni_version=version,
            plugins=tuple(plugins),
            disable_check=flags["disableCheck"],
            disable_gc=flags["disableGC"],
            load_only_inlined_plugins=flags["loadOnlyInlinedPlugins"],
            raw=raw,
            path=path,
        )

    @classmethod
    def parse_single(cls, data: bytes, path: str = "") -> "NetworkConfig":
        """Read what a ``.conf`` or ``.json`` file holds: one plugin, as before version 0.3.0."""
        problems: list[str] = []
        raw = _object(data, path)
        name = _name(raw, problems)
        version = _version(raw, problems)
        if "plugins" in raw and "type" not in raw:
            problems.append("$.plugins: a list of plugins belongs into a file named *.conflist")
        else:
            _plugin(raw, "$", problems)
        if problems:
            raise BrokenConfigError(path, problems, name)
        listed = {"name": name, "cniVersion": version, "plugins": [raw]}
        plugins = (PluginObject(raw),)
        return cls(name=name, cni_version=version, plugins=plugins, raw=listed, path=path)

    def with_drop_ins(self, drop_ins: list[PluginObject]) -> "NetworkConfig":
        """Append plugins from other files; SPEC: "must be appended to ``plugins``"."""
        return replace(self, plugins=(*self.plugins, *drop_ins))

    def with_drop_ins_of(self, present: "NetworkConfig") -> "NetworkConfig":
        """Return a remembered configuration with the drop-ins that the network has at present.

        The Go library remembers a list as its file has it, although it runs the drop-ins too; for
        DEL, one that did not take part does no harm.  What `dumps` made has them in it.
        """
        if self.load_only_inlined_plugins or any(plugin.path for plugin in self.plugins):
            return self
        return self.with_drop_ins([plugin for plugin in present.plugins if plugin.path])

    def dumps(self) -> str:
        """Return the whole configuration as the text of one ``.conflist`` file, drop-ins too."""
        if len(self.plugins) == len(self.raw.get("plugins", ())):
            return _json.dumps(self.raw)
        plugins = [plugin.raw for plugin in self.plugins]
        return _json.dumps({**self.raw, "plugins": plugins, "loadOnlyInlinedPlugins": True})

    def at_least(self, version: str) -> bool:
        """Say whether the version in use is ``version`` or newer."""
        return versions.at_least(self.cni_version, version)


def parse_drop_in(data: bytes, path: str) -> PluginObject:
    """Read what a drop-in file ``<name>/*.conf`` holds; it needs no name and no version."""
    raw = _object(data, path)
    problems: list[str] = []
    _plugin(raw, "$", problems)
    if problems:
        raise BrokenConfigError(path, problems)
    return PluginObject(raw, path)


_FLAGS = ("disableCheck", "disableGC", "loadOnlyInlinedPlugins")


def _object(data: bytes, path: str) -> dict[str, Any]:
    if not data.strip():
        raise BrokenConfigError(path, ["the file is empty"])
    try:
        raw = _json.loads(data)
    except ValueError as err:
        raise BrokenConfigError(path, [f"not JSON: {err}"]) from err
    if not isinstance(raw, dict):
        raise BrokenConfigError(path, [f"$: {_kind(raw)}, not an object"])
    return raw


def _name(raw: Mapping[str, Any], problems: list[str]) -> str:
    name = raw.get("name")
    if isinstance(name, str) and name:
        return name
    problems.append(
        "$.name: missing" if name in (None, "") else f"$.name: {_kind(name)}, not a string"
    )
    return ""


def _version(raw: Mapping[str, Any], problems: list[str]) -> str:
    """SPEC section 1: "the runtime must select the highest" it supports of both keys."""
    stated = raw.get("cniVersion", "")
    if not isinstance(stated, str):
        problems.append(f"$.cniVersion: {_kind(stated)}, not a string")
        return ""
    listed = raw.get("cniVersions", [])
    if not isinstance(listed, list) or not all(isinstance(v, str) for v in listed):
        problems.append("$.cniVersions: not a list of strings")
        return stated
    texts = {"$.cniVersion": stated}
    texts |= {f"$.cniVersions[{i}]": version for i, version in enumerate(listed)}
    good = True
    for where, version in texts.items():
        try:
            versions.parse(version)
        except ValueError:
            problems.append(f"{where}: {version!r} is no version")
            good = False
    return (versions.select(stated, listed) if good else stated) or versions.UNSTATED


def _flag(raw: Mapping[str, Any], key: str, problems: list[str]) -> bool:
    """Read a bool, or its name as the text of 0.4.0 had it."""
    value = raw.get(key, False)
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    problems.append(f"$.{key}: {value!r} is neither true nor false")
    return False


def _plugins(listed: Any, plugins: list[PluginObject], problems: list[str]) -> None:
    if not isinstance(listed, list):
        problems.append(f"$.plugins: {_kind(listed)}, not a list")
    elif not listed:
        problems.append("$.plugins: empty")
    else:
        for index, raw in enumerate(listed):
            if _plugin(raw, f"$.plugins[{index}]", problems):
                plugins.append(PluginObject(raw))


def _plugin(raw: Any, where: str, problems: list[str]) -> bool:
    """Note what is wrong with a plugin configuration object; say whether nothing is."""
    before = len(problems)
    if not isinstance(raw, dict):
        problems.append(f"{where}: {_kind(raw)}, not an object")
        return False
    type_ = raw.get("type")
    if not isinstance(type_, str) or not type_:
        why = "missing" if type_ in (None, "") else f"{_kind(type_)}, not a string"
        problems.append(f"{where}.type: {why}")
    capabilities = raw.get("capabilities")
    if capabilities is not None and not isinstance(capabilities, dict):
        problems.append(f"{where}.capabilities: {_kind(capabilities)}, not an object")
    for name, wanted in capabilities.items() if isinstance(capabilities, dict) else ():
        if not isinstance(wanted, bool):
            problems.append(f"{where}.capabilities.{name}: {_kind(wanted)}, not true or false")
    return len(problems) == before


def _kind(value: Any) -> str:
    """Return what JSON calls ``value``."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
    return "a number"
