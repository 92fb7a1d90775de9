"""The directory of network configurations, /etc/cni/net.d.

``*.conflist`` files in the order of their paths, after them ``*.conf`` and ``*.json`` files of
one plugin each; the first that has a network's name configures it, as in the Go library.  A
list's plugins are followed by the drop-ins in ``<name>/*.conf`` beside it.

A file that cannot be read keeps nobody from using the others: the Go library gives up at the
first one, and a half-written file of one project then takes every network of a node down.  Here
it is reported in `Scan.broken` and raised only for the network whose name it has.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from cnisdk import names
from cnisdk.errors import IOFailureError
from cnisdk.runtime.config import NetworkConfig, PluginObject, parse_drop_in
from cnisdk.runtime.defaults import CONFIG_DIR
from cnisdk.runtime.errors import BrokenConfigError, NetworkNotFoundError

Locate = Callable[[str], str]


class Scan(NamedTuple):
    """What a directory holds, in the order in which it is searched."""

    directory: str
    entries: tuple[NetworkConfig | BrokenConfigError, ...]

    @property
    def networks(self) -> list[NetworkConfig]:
        """The networks that can be used, each name once."""
        found: dict[str, NetworkConfig | BrokenConfigError] = {}
        for entry in self.entries:
            found.setdefault(entry.name, entry)
        return [entry for entry in found.values() if isinstance(entry, NetworkConfig)]

    @property
    def broken(self) -> list[BrokenConfigError]:
        """The files that are no network configuration."""
        return [entry for entry in self.entries if isinstance(entry, BrokenConfigError)]

    @property
    def shadowed(self) -> list[NetworkConfig]:
        """The configurations that an earlier file of the same name keeps from being used."""
        seen: set[str] = set()
        shadowed = []
        for entry in self.entries:
            if isinstance(entry, NetworkConfig) and entry.name in seen:
                shadowed.append(entry)
            seen.add(entry.name)
        return shadowed

    def find(self, name: str) -> NetworkConfig:
        """Return the network ``name``.

        Raises BrokenConfigError if the file that comes first for it is broken: a later one may
        be a different network of the same name.
        """
        for entry in self.entries:
            if entry.name == name and name:
                if isinstance(entry, BrokenConfigError):
                    raise entry
                return entry
        listed = [network.name for network in self.networks]
        raise NetworkNotFoundError(name, self.directory, listed, self.broken)


def scan(directory: str = CONFIG_DIR, *, locate: Locate = str) -> Scan:
    """Read every configuration of ``directory``; one that does not exist holds none.

    ``locate`` says what to open in place of a path, where the directory is another machine's.
    """
    entries: list[NetworkConfig | BrokenConfigError] = []
    for path in _files(directory, ".conflist", locate=locate):
        entries.append(_attempt(_load_list, path, locate))
    for path in _files(directory, ".conf", ".json", locate=locate):
        entries.append(_attempt(_load_single, path, locate))
    return Scan(directory, tuple(entries))


def load(path: str) -> NetworkConfig:
    """Read one file: a list of plugins with its drop-ins, or a single plugin.

    A file of another name than ``*.conf`` and ``*.json`` is taken for a list.
    """
    return _load_single(path, str) if path.endswith((".conf", ".json")) else _load_list(path, str)


def _attempt(
    read: Callable[[str, Locate], NetworkConfig], path: str, locate: Locate
) -> NetworkConfig | BrokenConfigError:
    try:
        return read(path, locate)
    except BrokenConfigError as err:
        return err
    except IOFailureError as err:
        return BrokenConfigError(path, [err.details or err.msg])


def _load_single(path: str, locate: Locate) -> NetworkConfig:
    return NetworkConfig.parse_single(_read(path, locate), path)


def _load_list(path: str, locate: Locate) -> NetworkConfig:
    network = NetworkConfig.parse(_read(path, locate), path)
    if not network.load_only_inlined_plugins:
        network = network.with_drop_ins(_drop_ins(network, locate))
    if not network.plugins:
        raise BrokenConfigError(path, ["$.plugins: missing, and no drop-in"], network.name)
    return network


def _drop_ins(network: NetworkConfig, locate: Locate) -> list[PluginObject]:
    """Read the drop-ins of ``network``; a broken one is the network's problem.

    A name that SPEC refuses has none: it could lead out of the directory.
    """
    if names.network_name_problem(network.name):
        return []
    directory = os.path.join(os.path.dirname(network.path), network.name)
    drop_ins: list[PluginObject] = []
    problems: list[str] = []
    for path in _files(directory, ".conf", locate=locate):
        try:
            drop_ins.append(parse_drop_in(_read(path, locate), path))
        except BrokenConfigError as err:
            problems += [f"{path}: {problem}" for problem in err.problems]
    if problems:
        raise BrokenConfigError(network.path, problems, network.name)
    return drop_ins


def _files(directory: str, *extensions: str, locate: Locate) -> list[str]:
    try:
        listed = os.listdir(locate(directory))
    except FileNotFoundError:
        return []
    except OSError as err:
        raise IOFailureError(f"cannot read {directory}", str(err.strerror)) from err
    paths = [os.path.join(directory, name) for name in sorted(listed) if name.endswith(extensions)]
    return [path for path in paths if not os.path.isdir(locate(path))]


def _read(path: str, locate: Locate) -> bytes:
    try:
        with open(locate(path), "rb") as file:
            return file.read()
    except OSError as err:
        raise IOFailureError(f"cannot read {path}", str(err.strerror)) from err
