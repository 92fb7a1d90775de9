"""The configuration directory: what cannot be read, and what is not used."""

import os

from cnisdk import names, versions
from cnisdk.node import directory
from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node
from cnisdk.node.source import CONFIG_EXTENSIONS
from cnisdk.runtime.config import NetworkConfig
from cnisdk.runtime.errors import BrokenConfigError

_TAKE_THE_FIRST = ("k3s", "rke2", "microk8s", "crio", "containerd")


def check(node: Node, report: Report) -> None:
    """Look at every configuration."""
    conf_dir = node.places.conf_dir
    if not node.scan.entries:
        report.problem(
            Check.NO_NETWORK,
            conf_dir,
            "there is no network: a container gets none, a Kubernetes node is not ready",
            "put one there with cnisdk install, or say with --conf-dir where it is",
        )
    for entry in node.scan.entries:
        if isinstance(entry, BrokenConfigError):
            _broken(node, report, entry)
        else:
            _network(report, entry)
    for network in node.scan.shadowed:
        first = next(one for one in node.scan.entries if one.name == network.name)
        report.warning(
            Check.CONFIG_SHADOWED,
            network.path,
            f"is not used: {first.path} comes first, and has the network {network.name} too",
            f"remove the one that is not meant: {_base(first.path)} is sorted first",
        )
    _unused(node, report)
    _unfinished(node, report)


def _broken(node: Node, report: Report, broken: BrokenConfigError) -> None:
    located = node.root.locate(broken.path)
    if os.path.exists(located) and not os.access(located, os.R_OK):
        report.not_seen(broken.path, "Permission denied")
        return
    report.problem(
        Check.CONFIG_BROKEN,
        broken.path,
        "; ".join(broken.problems),
        "correct or remove it: many runtimes give up at the first file that they cannot read",
    )


def _network(report: Report, network: NetworkConfig) -> None:
    if problem := names.network_name_problem(network.name):
        report.problem(
            Check.CONFIG_BROKEN,
            network.path,
            f"$.name: {network.name!r} {problem}",
            "give the network another name",
        )
    if network.cni_version not in versions.SUPPORTED:
        report.problem(
            Check.CONFIG_VERSION,
            network.path,
            f"$.cniVersion: {network.cni_version!r} is not one of {', '.join(versions.SUPPORTED)}",
            "change cniVersion; 'cnisdk version' shows what the plugins speak",
        )


def _unused(node: Node, report: Report) -> None:
    """Say which are not for pods: theirs is the one whose file is sorted first, of any kind."""
    if node.places.runtime not in _TAKE_THE_FIRST:
        return
    paths = sorted(network.path for network in node.networks)
    shadowed = {network.path for network in node.scan.shadowed}
    for path in paths[1:]:
        if path not in shadowed:
            report.warning(
                Check.CONFIG_UNUSED,
                path,
                f"{node.places.runtime} attaches pods to {_base(paths[0])}, which is sorted first",
                f"if this is the one meant for pods, give it a name before {_base(paths[0])}",
            )


def _unfinished(node: Node, report: Report) -> None:
    for where in (node.places.conf_dir, *node.places.bin_dirs):
        drafts = [n for n in node.root.listdir(where) if n.startswith(directory.DRAFT)]
        if drafts:
            report.warning(
                Check.INSTALL_UNFINISHED,
                where,
                f"cnisdk install has left {', '.join(drafts)}: it was killed, or runs just now",
                "run cnisdk install again: it does the rest, and takes this away",
            )


def _base(path: str) -> str:
    name = os.path.basename(path)
    return name if name.endswith(CONFIG_EXTENSIONS) else path
