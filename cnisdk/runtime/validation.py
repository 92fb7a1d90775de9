"""Say everything that would keep a network from working, before it is used."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cnisdk import names, versions
from cnisdk.errors import CNIError
from cnisdk.runtime import declared
from cnisdk.runtime.config import NetworkConfig, PluginObject
from cnisdk.runtime.declared import Declared, Known
from cnisdk.runtime.errors import PluginNotFoundError
from cnisdk.runtime.request import derive, is_runtimes_own
from cnisdk.runtime.runtime import Runtime
from cnisdk.types import _json, _problems, examine
from cnisdk.types._keys import keys_of
from cnisdk.types.capabilities import RuntimeConfig
from cnisdk.types.schema import conflist_schema


class Finding(NamedTuple):
    """One thing that was found."""

    path: str
    """JSON path of its place; with the file before it where that is a drop-in."""
    text: str
    """Begins with the value, unless that is said by it."""
    value: Any = None
    """The value at ``path``."""
    suggestion: str = ""
    """What may have been meant instead."""

    def __str__(self) -> str:
        meant = f"; did you mean {_problems.value_text(self.suggestion)}?"
        return f"{self.path}: {self.text}{meant if self.suggestion else ''}"


class Validation(NamedTuple):
    """What was found out about a network configuration."""

    problems: tuple[Finding, ...]
    """Why an ADD would fail, or would not do as was meant."""
    notes: tuple[Finding, ...]
    """What works, but perhaps not as it was meant."""
    capabilities: frozenset[str]
    """What the plugins of the network want to be told by the runtime."""
    unexamined: tuple[str, ...] = ()
    """Plugins that say nothing about their configuration."""


def validate(
    network: NetworkConfig,
    runtime: Runtime,
    known: Known = declared.nothing,
    *,
    strict: bool = False,
) -> Validation:
    """Check names and version, find every plugin, ask which versions it speaks, look at its keys.

    ``known`` says what plugins declare: keys that they do not are problems where they are like
    one that they do, and with ``strict`` all of them.  Problems are collected, not raised: a
    person wants to see all of them at once.
    """
    found = _Found(network, runtime, known, strict=strict)
    found.look()
    capabilities = frozenset(name for p in network.plugins for name in p.capabilities)
    return Validation(
        _each_once(found.problems),
        _each_once(found.notes),
        capabilities,
        tuple(dict.fromkeys(found.unexamined)),
    )


class _Found:
    """What is found, while it is looked for."""

    def __init__(
        self, network: NetworkConfig, runtime: Runtime, known: Known, *, strict: bool
    ) -> None:
        self.network = network
        self.runtime = runtime
        self.known = known
        self.strict = strict
        self.problems: list[Finding] = []
        self.notes: list[Finding] = []
        self.unexamined: list[str] = []

    def look(self) -> None:
        """Look at all of it."""
        network = self.network
        if problem := names.network_name_problem(network.name):
            self.problem("$.name", f"{_problems.value_text(network.name)} {problem}", network.name)
        if network.cni_version not in versions.SUPPORTED:
            self.problem(
                "$.cniVersion",
                f"{network.cni_version!r} is not one of {', '.join(versions.SUPPORTED)}",
                network.cni_version,
            )
        elif not network.raw.get("cniVersion") and not network.raw.get("cniVersions"):
            self.note("$.cniVersion", f"missing, taken as {network.cni_version}")
        single = network.path.endswith((".conf", ".json"))
        if not single:
            self.keys(conflist_schema({}), {**network.raw, "plugins": []}, "$")
        for index, plugin in enumerate(network.plugins):
            where = f"{plugin.path}: $" if plugin.path else f"$.plugins[{index}]"
            self.plugin(plugin, "$" if single else where)

    def problem(self, path: str, text: str, value: Any = None, suggestion: str = "") -> None:
        """Note what is wrong."""
        self.problems.append(Finding(path, text, value, suggestion))

    def note(self, path: str, text: str, value: Any = None, suggestion: str = "") -> None:
        """Note what may be meant."""
        self.notes.append(Finding(path, text, value, suggestion))

    def plugin(self, plugin: PluginObject, where: str) -> None:
        """Look at one element of ``plugins``."""
        for key, value in plugin.raw.items():
            if _is_runtimes(key):
                self.note(f"{where}.{key}", "the runtime's to set, not passed to the plugin", value)
        for name in plugin.capabilities:
            self.capability(name, f"{where}.capabilities.{name}")
        own = {key: value for key, value in plugin.raw.items() if not _is_runtimes(key)}
        for type_, path in _executables(plugin, where):
            self.executable(type_, path)
            found = self.declared(type_, path)
            if found is None:
                self.unexamined.append(type_)
                continue
            self.keys(found.schema, own, where, type_)
            self.values(found, plugin, where)

    def declared(self, type_: str, path: str) -> Declared | None:
        """Return what a plugin declares, None if that is not known."""
        try:
            found = self.known(type_)
        except CNIError as err:
            self.note(path, str(err), type_)
            return None
        if found is not None and found.note:
            self.note(path, f"{type_}: {found.note}", type_)
        return found

    def executable(self, type_: str, path: str) -> None:
        """Find a plugin and ask it for its versions."""
        try:
            speaks = self.runtime.version(type_).supported_versions
        except PluginNotFoundError as err:
            meant = examine.similar(type_, sorted(_installed(self.runtime)))
            self.problem(path, str(err), type_, "" if meant == type_ else meant)
            return
        except CNIError as err:
            self.problem(path, str(err), type_)
            return
        version = self.network.cni_version
        if version in versions.SUPPORTED and version not in speaks:
            text = f"{type_} does not speak version {version}, only {', '.join(speaks)}"
            self.problem(path, text, type_)

    def capability(self, name: str, path: str) -> None:
        """Look at the name of a capability; runtimes may have others than the well-known ones."""
        known = keys_of(RuntimeConfig).below
        if name not in known and (meant := examine.similar(name, known)):
            self.problem(path, "no runtime has such a capability", True, meant)

    def keys(
        self, schema: Mapping[str, Any], raw: Mapping[str, Any], where: str, plugin: str = ""
    ) -> None:
        """Look at the names of keys: a plugin's, or the list's."""
        for key in examine.keys(schema, raw, exact=not plugin):
            path, value = _problems.locate(raw, key.path)
            at = where + _problems.path_text(path)[1:]
            text = f"{_problems.value_text(value)}: "
            if key.twice:
                self.note(at, text + f"there a second time, as {key.suggestion}", value)
                continue
            text += f"{plugin or 'a list'} {'refuses' if key.forbidden else 'ignores'} such a key"
            is_problem = key.forbidden or key.suggestion or self.strict
            (self.problem if is_problem else self.note)(at, text, value, key.suggestion)

    def values(self, found: Declared, plugin: PluginObject, where: str) -> None:
        """Look at the values that the plugin would be given."""
        given = _json.loads(derive(self.network, plugin))
        for problem in found.problems(given):
            if not problem.path:
                self.problem(where, problem.why)
                continue
            path, value = _problems.locate(given, problem.path)
            said = _problems.describe(given, [problem])
            if problem.kind == "missing":
                path, value = (*path, problem.path[-1]), None
            at = where + _problems.path_text(path)[1:]
            text = said.removeprefix(_problems.path_text(path)).removeprefix(":").strip()
            self.problem(at, text, value)


def _each_once(findings: list[Finding]) -> tuple[Finding, ...]:
    """Leave out what a plugin and its IPAM plugin both say."""
    return tuple({str(finding): finding for finding in findings}.values())


def _is_runtimes(key: str) -> bool:
    return is_runtimes_own(key) and key.lower() != "capabilities"


def _executables(plugin: PluginObject, where: str) -> Iterator[tuple[str, str]]:
    """Yield the plugins that an element runs, and the path of where it says so."""
    yield plugin.type, f"{where}.type"
    if plugin.ipam_type:
        yield plugin.ipam_type, f"{where}.ipam.type"


def _installed(runtime: Runtime) -> set[str]:
    """Return the names of the executables in CNI_PATH."""
    found: set[str] = set()
    for directory in runtime.plugin_dirs:
        if os.path.isdir(directory):
            found.update(os.listdir(directory))
    return found
