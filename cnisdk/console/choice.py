"""Which configuration a typed command uses: a file's, the node's, the plugin's documented one.

A network usually chains several plugins, and one executable was typed, so of a network only the
part for this plugin is taken.  For a plugin that others delegate to, as IPAM plugins are, that is
the object of the plugin which would delegate.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from cnisdk.console.subject import Subject, listed
from cnisdk.errors import InvalidNetworkConfigError, IOFailureError
from cnisdk.runtime import directory
from cnisdk.runtime.config import NetworkConfig, PluginObject
from cnisdk.runtime.errors import BrokenConfigError
from cnisdk.types import _json

Say = Callable[[str], object]


class Choice(NamedTuple):
    """A network of this plugin alone."""

    network: NetworkConfig
    where: str
    """What to correct if it is wrong: a file, or what else it is from."""
    others: tuple[str, ...] = ()
    """The plugins of the network that are not called."""

    @property
    def part(self) -> PluginObject:
        """The plugin configuration object of this plugin."""
        return self.network.plugins[0]


class NoConfigError(InvalidNetworkConfigError):
    """Nothing says how the plugin is to be configured."""


def choose(subject: Subject, file: str, config_dir: str, say: Say) -> Choice:
    """Return the configuration to use, and tell ``say`` which it is.

    ``file`` is what was typed, ``-`` for stdin, ``""`` if nothing was.
    """
    choice = _of_file(subject, file) if file else _of_node(subject, config_dir, say)
    say(f"configuration: network {choice.network.name!r}, {choice.where}")
    if choice.others:
        say(
            f"network {choice.network.name!r} has other plugins too, which are not called: "
            + ", ".join(choice.others)
        )
    return choice


def narrowed(subject: Subject, network: NetworkConfig, where: str) -> Choice | None:
    """Return the part of a network that is for this plugin, None if there is none."""
    for part in network.plugins:
        if subject.runs(part):
            break
    else:
        return None
    others = [other for other in network.plugins if other is not part]
    if part.type != subject.name:  # what delegates is not called either
        others.insert(0, part)
        part = PluginObject({**part.raw, "type": subject.name}, part.path)
    return Choice(alone(network, [part]), where, tuple(other.type for other in others))


def alone(network: NetworkConfig, parts: Iterable[PluginObject]) -> NetworkConfig:
    """Return a network with no other plugins than ``parts``."""
    parts = tuple(parts)
    raw = {**network.raw, "plugins": [part.raw for part in parts], "loadOnlyInlinedPlugins": True}
    return replace(network, plugins=parts, raw=raw, load_only_inlined_plugins=True)


def _of_file(subject: Subject, file: str) -> Choice:
    where = "stdin" if file == "-" else file
    network = _read(subject, file, where)
    choice = narrowed(subject, network, where)
    if choice is None:
        raise InvalidNetworkConfigError(
            f"{where} is no configuration for {subject.name}",
            f"it is for {listed(network.plugins)}",
        )
    return choice


def _read(subject: Subject, file: str, where: str) -> NetworkConfig:
    """Read a list of plugins, or one plugin; what it leaves to its network has defaults."""
    if file.endswith(".conflist"):
        return directory.load(file)  # with its drop-ins
    data = _bytes(file)
    try:
        raw = _json.loads(data)
    except ValueError as err:
        raise BrokenConfigError(where, [f"not JSON: {err}"]) from err
    if not isinstance(raw, dict):
        raise BrokenConfigError(where, ["$: not an object"])
    if "plugins" in raw:
        return NetworkConfig.parse(data, where)
    return NetworkConfig.parse_single(_json.dumps({**_usual(subject), **raw}).encode(), where)


def _bytes(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read()
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as err:
        raise IOFailureError(f"cannot read {file}", str(err.strerror)) from err


def _of_node(subject: Subject, config_dir: str, say: Say) -> Choice:
    """Return the part of the first network that has one, else the plugin's default."""
    found = directory.scan(config_dir)
    for broken in found.broken:
        say(f"passed over: {broken}")
    for network in found.networks:
        if choice := narrowed(subject, network, network.path):
            return choice
    default = subject.plugin.default_config
    if default is None:
        raise NoConfigError(
            f"no configuration for {subject.name}",
            f"no network of {config_dir} uses it, and it has no default of its own",
        )
    say(f"no network of {config_dir} uses {subject.name}")
    raw = {**_usual(subject), **default}
    made = NetworkConfig.parse_single(_json.dumps(raw).encode())
    return Choice(made, f"the default of {subject.name}")


def _usual(subject: Subject) -> dict[str, str]:
    """Return what a plugin configuration object takes from its network."""
    return {
        "cniVersion": subject.plugin.versions[-1],
        "name": f"cnisdk-{subject.name}",
        "type": subject.name,
    }
