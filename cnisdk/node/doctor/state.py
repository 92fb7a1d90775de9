"""What is kept on disk for containers: what runtimes remember, what IPAM has given away.

A reservation is stale if nothing speaks for its container: no attachment that a runtime
remembers, no namespace of its name, no process in a cgroup of its name.  In the middle of an ADD
nothing does so yet: one is not looked at before any runtime would have given that up.
"""

import os
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from cnisdk.errors import CNIError
from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node
from cnisdk.runtime.cache import CachedAttachment
from cnisdk.runtime.defaults import NETNS_DIR
from cnisdk.types import _json

_HOST_LOCAL = "host-local"
NETNS_DIRS = (NETNS_DIR, "/run/docker/netns")
"""Where namespaces have names."""

PATIENCE = 300.0
"""Seconds, more than a runtime gives an ADD: kubelet gives up after four minutes."""

_SHOWN = 8  # of many


def check(node: Node, report: Report) -> None:
    """Look at the cache, at reservations, and at the DELs that wait for an agent."""
    for look in (_cache, _reservations, _queue):
        try:
            look(node, report)
        except CNIError as err:
            report.not_seen(f"what is kept in {node.cache_dir}", str(err))
        except OSError as err:
            report.not_seen(err.filename or node.cache_dir, err.strerror or str(err))


# -- cache ----------------------------------------------------------------------------------


def _cache(node: Node, report: Report) -> None:
    known = {attachment.path for attachment in node.attachments}
    results = node.cache.results
    for name in sorted(os.listdir(results)) if os.path.isdir(results) else ():
        path = os.path.join(results, name)
        if name.startswith(".") or path in known or os.path.isdir(path):
            continue
        if not os.access(path, os.R_OK):
            report.not_seen(path, "Permission denied")
            continue
        if node.cache.at(path) is not None or _is_bare_result(path):
            continue  # an ADD may have come since the attachments were read
        report.problem(
            Check.CACHE_BROKEN,
            f"{node.cache_dir}/results/{name}",
            "is no attachment: a runtime that reads it fails to detach the container",
            "remove it; if its container still runs, detach that without it: cnisdk del",
        )
    for attachment in node.attachments:
        if _is_gone(node, report, attachment):
            key = attachment.key
            report.warning(
                Check.ATTACHMENT_STALE,
                attachment.path,
                f"container {key.container_id}, interface {key.ifname}, network "
                f"{attachment.network}: {attachment.parameters.netns} is gone, and nobody said so",
                f"cnisdk del {attachment.network} --container-id {key.container_id} "
                f"--ifname {key.ifname}",
            )


def _is_bare_result(path: str) -> bool:
    """Say whether it is what libcni wrote before version 0.8: a result, and nothing of its ADD."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        wire = _json.loads(data)
    except ValueError:
        return False
    return isinstance(wire, dict) and "cniVersion" in wire and "kind" not in wire


def _is_gone(node: Node, report: Report, attachment: CachedAttachment) -> bool:
    path = attachment.parameters.netns
    if not path:
        return False
    if node.root.is_ours:
        from cnisdk.net.netns import NetNS, NotANamespaceError

        try:
            NetNS.open(path).close()
        except (FileNotFoundError, NotADirectoryError, NotANamespaceError):
            return True
        except OSError as err:
            report.not_seen(path, err.strerror or str(err))
        return False
    parent, name = os.path.split(path)
    if not node.root.is_dir(parent if not parent.startswith("/proc/") else "/proc/1"):
        report.not_seen(path, "not mounted here")
        return False
    return not os.path.lexists(os.path.join(node.root.locate(parent), name))


# -- reservations ---------------------------------------------------------------------------


class _Reservation(NamedTuple):
    network: str
    address: str
    container_id: str
    ifname: str


def _reservations(node: Node, report: Report) -> None:
    speaking = {attachment.key.container_id for attachment in node.attachments}
    processes: str | None = None
    stale: dict[tuple[str, str], list[_Reservation]] = {}
    for directory, found in _reserved(node):
        if found.container_id in speaking or _has_namespace(node, found.container_id):
            continue
        if processes is None:
            processes = _cgroups(node)
        if not _is_named(found.container_id, processes):
            stale.setdefault((directory, found.network), []).append(found)
    configured = {network.name for network in node.networks}
    for (directory, network), reservations in stale.items():
        shown = [f"{one.address} ({one.container_id})" for one in reservations[:_SHOWN]]
        more = f" and {len(reservations) - _SHOWN} more" if len(reservations) > _SHOWN else ""
        one = reservations[0]
        report.warning(
            Check.RESERVATION_STALE,
            f"{directory}/{network}",
            f"addresses of containers that nothing here speaks for: {', '.join(shown)}{more}",
            f"cnisdk del {network} --container-id {one.container_id} "
            f"--ifname {one.ifname or 'eth0'}, and so on"
            if network in configured
            else f"no network is called {network} any more: remove the files",
        )


def _reserved(node: Node) -> Iterator[tuple[str, _Reservation]]:
    """Yield what host-local has given away, and the directory that says so."""
    directories = {f"{node.cache_dir}/networks"}
    for config in node.networks:
        for plugin in config.plugins:
            ipam = plugin.raw.get("ipam")
            if plugin.ipam_type == _HOST_LOCAL and isinstance(ipam, dict):
                said = ipam.get("dataDir")
                if isinstance(said, str) and said.startswith("/"):
                    directories.add(os.path.normpath(said))
    for directory in sorted(directories):
        for network in node.root.listdir(directory):
            for name in node.root.listdir(f"{directory}/{network}"):
                if re.fullmatch(r"[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*", name):
                    owner = node.root.read(f"{directory}/{network}/{name}").decode(
                        "utf-8", "replace"
                    )
                    container_id, _, ifname = owner.strip().partition("\r\n")
                    if container_id and not _is_new(node, f"{directory}/{network}/{name}"):
                        yield directory, _Reservation(network, name, container_id, ifname)


def _is_new(node: Node, path: str) -> bool:
    """Say whether a file was written a moment ago; one of a clock that has jumped was not."""
    return abs(time.time() - os.stat(node.root.locate(path)).st_mtime) < PATIENCE


def _has_namespace(node: Node, container_id: str) -> bool:
    """Say whether a namespace has the container's name, or begins with it as Docker's do."""
    if "/" in container_id:
        return False
    return any(
        node.root.exists(f"{directory}/{name}")
        for directory in NETNS_DIRS
        for name in {container_id, container_id[:12]}
    )


def _cgroups(node: Node) -> str:
    """Return the cgroups of all processes."""
    found = set()
    for pid in node.root.listdir("/proc"):
        if pid.isdigit():
            try:
                found.add(node.root.read(f"/proc/{pid}/cgroup"))
            except OSError:
                continue  # ended meanwhile
    return b"".join(found).decode("utf-8", "replace")


def _is_named(container_id: str, text: str) -> bool:
    word = f"(?<![0-9A-Za-z]){re.escape(container_id)}(?![0-9A-Za-z])"
    return re.search(word, text) is not None


# -- queue ----------------------------------------------------------------------------------


def _queue(node: Node, report: Report) -> None:
    names = node.root.listdir(node.queue_dir)
    waiting = [name for name in names if not name.startswith(".")]
    bad = [name for name in names if name.startswith(".bad-")]
    if waiting:
        report.warning(
            Check.QUEUE_WAITING,
            node.queue_dir,
            f"{len(waiting)} DELs wait for an agent; what their containers had is still held",
            "start the agent: 'cnisdk agent', or its systemd unit",
        )
    if bad:
        report.warning(
            Check.QUEUE_WAITING,
            node.queue_dir,
            f"{len(bad)} DELs could not be read, and were set aside: {', '.join(bad[:_SHOWN])}",
            "remove them; 'cnisdk list' shows whether anything is left of their containers",
        )
