"""Which plugins a network wants, and whether a node has them."""

import os
from collections.abc import Callable, Iterator, Sequence

from cnisdk.agent import trailer
from cnisdk.node.errors import NodeError
from cnisdk.node.places import Places
from cnisdk.node.root import Root
from cnisdk.node.source import Kind, Source
from cnisdk.runtime.config import NetworkConfig, PluginObject


def wanted(network: NetworkConfig) -> Iterator[tuple[str, str]]:
    """Yield each plugin that a network executes, and where its configuration says so."""
    for index, plugin in enumerate(network.plugins):
        where = plugin.path or f"$.plugins[{index}]"
        yield plugin.type, f"{where}.type"
        if plugin.ipam_type:
            yield plugin.ipam_type, f"{where}.ipam.type"


def families(plugin: PluginObject) -> set[int]:
    """Return the IP versions of the addresses that a configuration hands out, as far as it says."""
    ipam = plugin.raw.get("ipam")
    if not isinstance(ipam, dict):
        return set()
    sets = ipam.get("ranges")
    ranges = (
        [one for some in sets if isinstance(some, list) for one in some]
        if isinstance(sets, list)
        else []
    )
    subnets = [one.get("subnet") for one in [ipam, *ranges] if isinstance(one, dict)]
    addresses = ipam.get("addresses")
    if isinstance(addresses, list):
        subnets += [one.get("address") for one in addresses if isinstance(one, dict)]
    return {6 if ":" in text else 4 for text in subnets if isinstance(text, str) and text}


def check_plugins(
    root: Root, places: Places, sources: Sequence[Source], *, goes: Callable[[str], bool]
) -> None:
    """Refuse networks that no container could be attached to; NodeError.

    No plugin is run: it may be made for the node, and not for where we are.  ``goes`` says
    of a path whether it will be taken away.
    """
    new = {one.name: one for one in sources if one.kind is Kind.EXECUTABLE}
    problems: list[str] = []
    for one in sources:
        network = one.network
        for plugin, where in wanted(network) if network else ():
            if plugin in new:
                speaks = new[plugin].versions
            elif (path := find(root, places, plugin)) and not goes(path):
                speaks = versions(root, path)
            else:
                problems.append(f"{one.path}: {where}: there is no plugin {plugin}")
                continue
            if network and speaks and network.cni_version not in speaks:
                problems.append(
                    f"{one.path}: {where}: {plugin} does not speak version "
                    f"{network.cni_version}, only {', '.join(speaks)}"
                )
    if problems:
        raise NodeError(
            "; ".join(problems), "install the plugins with it, or --force if they come later"
        )


def find(root: Root, places: Places, plugin: str) -> str:
    """Return the path of a plugin on the node, ``""`` for none."""
    for directory in places.bin_dirs:
        path = f"{directory}/{plugin}"
        if "/" not in plugin and os.path.isfile(root.locate(path)):
            return path
    return ""


def versions(root: Root, path: str) -> tuple[str, ...]:
    """Return which versions an executable on the node says it speaks, without running it."""
    end = trailer.read(root.locate(path))
    return end.versions if end else ()
