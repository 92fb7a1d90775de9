"""What is to be put on a node, read and checked before anything there is touched."""

import os
import stat
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from cnisdk import names, versions
from cnisdk.agent import trailer
from cnisdk.node import directory
from cnisdk.node.errors import NodeError
from cnisdk.runtime.config import NetworkConfig
from cnisdk.runtime.errors import BrokenConfigError

CONFIG_EXTENSIONS = (".conflist", ".conf", ".json")
"""The names that runtimes look at."""

_KEPT = 0o755  # nobody but the owner may write, nothing is setuid


class Kind(StrEnum):
    """What a file is to a runtime."""

    EXECUTABLE = "executable"
    CONFIG = "config"


class Source(NamedTuple):
    """One file, as it was when it was read."""

    path: str
    name: str
    kind: Kind
    mode: int
    digest: str
    inode: tuple[int, int]
    """Sources with the same are links to one file."""
    versions: tuple[str, ...] = ()
    """Of the specification, as far as an executable says without being run."""
    network: NetworkConfig | None = None


def read(paths: Sequence[str]) -> list[Source]:
    """Read what a runtime's directories get: configurations by their names, else executables.

    Raises NodeError for what is no executable, and BrokenConfigError for what is no network.
    """
    found: dict[str, Source] = {}
    for path in paths:
        source = _config(path) if path.endswith(CONFIG_EXTENSIONS) else _executable(path)
        if source.name in found:
            raise NodeError(f"{path} and {found[source.name].path} have the same name")
        found[source.name] = source
    return list(found.values())


def _executable(path: str) -> Source:
    status, found = _open(path)
    if not status.st_mode & 0o111:
        raise NodeError(f"{path} is not executable", f"chmod +x {path}, or leave it out")
    end = trailer.read(path)
    speaks = end.versions if end else ()
    return _source(path, Kind.EXECUTABLE, status, found)._replace(versions=speaks)


def _config(path: str) -> Source:
    status, found = _open(path)
    with open(path, "rb") as file:
        data = file.read()
    parse = NetworkConfig.parse if path.endswith(".conflist") else NetworkConfig.parse_single
    network = parse(data, path)
    problems = []
    if problem := names.network_name_problem(network.name):
        problems.append(f"$.name: {network.name!r} {problem}")
    if network.cni_version not in versions.SUPPORTED:
        known = ", ".join(versions.SUPPORTED)
        problems.append(f"$.cniVersion: {network.cni_version!r} is not one of {known}")
    if problems:
        raise BrokenConfigError(path, problems, network.name)
    return _source(path, Kind.CONFIG, status, found)._replace(network=network)


def _open(path: str) -> tuple[os.stat_result, str]:
    """Return status and SHA-256 of a regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NodeError(f"{path} is no regular file")
        return status, directory.digest(fd)
    finally:
        os.close(fd)


def _source(path: str, kind: Kind, status: os.stat_result, found: str) -> Source:
    return Source(
        path=path,
        name=os.path.basename(path),
        kind=kind,
        mode=stat.S_IMODE(status.st_mode) & _KEPT,
        digest=found,
        inode=(status.st_dev, status.st_ino),
    )
