"""What people call containers: by what engines keep, without executing any of them.

Kubernetes' runtimes say the pod with every ADD (`pod`).  podman and CRI-O keep their names in
containers/storage, nerdctl keeps links by name, and docker's daemon is asked over its socket: it
answers in a moment, or is not waited for.
"""

import glob
import http.client
import json
import os
import socket
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

STORAGE = "/var/lib/containers/storage"
STORAGE_CONF = "/etc/containers/storage.conf"
NERDCTL = "/var/lib/nerdctl"
DOCKER = "/run/docker.sock"

_PATIENCE = 0.4  # seconds that docker's daemon has
_LIMIT = 32 << 20


def pod(args: Mapping[str, str]) -> str:
    """Return the pod that CNI_ARGS name, ``""`` for none."""
    name = args.get("K8S_POD_NAME", "")
    space = args.get("K8S_POD_NAMESPACE", "")
    return f"{space}/{name}" if name and space else name


class Names:
    """The containers of the node's engines."""

    def __init__(self) -> None:
        self._by_id: dict[str, str] = {}
        for source in (_storage, _nerdctl, _docker):
            self._by_id.update(source())

    def of(self, container: str) -> str:
        """Return the name of the container with this ID, or with one that begins so."""
        if found := self._by_id.get(container):
            return found
        if len(container) < 12:
            return ""
        return next((n for id_, n in self._by_id.items() if id_.startswith(container)), "")


def _storage() -> Iterator[tuple[str, str]]:
    """Yield what containers/storage has, the library of podman and CRI-O."""
    root = STORAGE
    with suppress(OSError, ValueError, AttributeError):  # else the default holds
        said = tomllib.loads(_read(STORAGE_CONF).decode()).get("storage", {}).get("graphroot")
        root = said if isinstance(said, str) and said else root
    try:
        drivers = [name for name in os.listdir(root) if name.endswith("-containers")]
    except OSError:
        return
    for driver in drivers:
        for one in _list(_read(f"{root}/{driver}/containers.json")):
            listed = one.get("names")
            if isinstance(listed, list) and listed:
                yield str(one.get("id")), str(listed[0])


def _nerdctl() -> Iterator[tuple[str, str]]:
    """Yield ``<hash>/names/<namespace>/<name>``, files that hold an ID."""
    for path in glob.iglob(f"{NERDCTL}/*/names/*/*"):
        yield _read(path).decode("utf-8", "replace").strip(), os.path.basename(path)


def _docker() -> Iterator[tuple[str, str]]:
    if not os.path.exists(DOCKER):
        return
    connection = _Unix("docker")
    try:
        connection.request("GET", "/containers/json?all=1")
        answer = connection.getresponse()
        data = answer.read(_LIMIT) if answer.status == http.client.OK else b""
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()
    for one in _list(data):
        listed = one.get("Names")
        if isinstance(listed, list) and listed:
            yield str(one.get("Id")), str(listed[0]).removeprefix("/")


class _Unix(http.client.HTTPConnection):
    """HTTP over docker's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(DOCKER)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LIMIT)
    except OSError:
        return b""


def _list(data: bytes) -> list[dict[str, Any]]:
    """Return the objects of a JSON array, none where it is anything else."""
    try:
        value = json.loads(data)
    except ValueError:
        return []
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
