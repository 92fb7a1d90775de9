"""Say everything that would keep a network from working, before it is used."""

from typing import NamedTuple

from cnisdk import names, versions
from cnisdk.errors import CNIError
from cnisdk.runtime.config import NetworkConfig, PluginObject
from cnisdk.runtime.request import is_runtimes_own
from cnisdk.runtime.runtime import Runtime


class Validation(NamedTuple):
    """What was found out about a network configuration."""

    problems: tuple[str, ...]
    """Why an ADD would fail; each names its place in the configuration."""
    notes: tuple[str, ...]
    """What works, but perhaps not as it was meant."""
    capabilities: frozenset[str]
    """What the plugins of the network want to be told by the runtime."""


def validate(network: NetworkConfig, runtime: Runtime) -> Validation:
    """Check names and version, find every plugin, and ask each which versions it speaks.

    Problems are collected, not raised: a person wants to see all of them at once.
    """
    problems: list[str] = []
    notes: list[str] = []
    if problem := names.network_name_problem(network.name):
        problems.append(f"$.name: {network.name!r} {problem}")
    known = network.cni_version in versions.SUPPORTED
    if not known:
        problems.append(
            f"$.cniVersion: {network.cni_version!r} is not one of {', '.join(versions.SUPPORTED)}"
        )
    elif not network.raw.get("cniVersion") and not network.raw.get("cniVersions"):
        notes.append(f"$.cniVersion: missing, taken as {network.cni_version}")
    for index, plugin in enumerate(network.plugins):
        where = plugin.path or f"$.plugins[{index}]"
        problems += _plugin_problems(network, plugin, where, runtime, known=known)
        notes += _plugin_notes(plugin, where, runtime)
    capabilities = frozenset(name for p in network.plugins for name in p.capabilities)
    return Validation(tuple(problems), tuple(notes), capabilities)


def _plugin_problems(
    network: NetworkConfig, plugin: PluginObject, where: str, runtime: Runtime, *, known: bool
) -> list[str]:
    try:
        speaks = runtime.version(plugin.type).supported_versions
    except CNIError as err:
        return [f"{where}.type: {err}"]
    if known and network.cni_version not in speaks:
        return [
            f"{where}.type: {plugin.type} does not speak version {network.cni_version}, "
            f"only {', '.join(speaks)}"
        ]
    return []


def _plugin_notes(plugin: PluginObject, where: str, runtime: Runtime) -> list[str]:
    notes = [
        f"{where}.{key}: the runtime's to set, not passed to the plugin"
        for key in plugin.raw
        if is_runtimes_own(key) and key != "capabilities"
    ]
    if plugin.ipam_type:
        try:
            runtime.find(plugin.ipam_type)
        except CNIError as err:
            notes.append(f"{where}.ipam.type: {err}")
    return notes
