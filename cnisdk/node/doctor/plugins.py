"""The executables that networks want: there, runnable, and of the version that is asked of them."""

import os

from cnisdk import invoke, versions
from cnisdk.agent import trailer
from cnisdk.call import DEFAULT_PATH
from cnisdk.errors import CNIError
from cnisdk.node import wants
from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Installed, Node

PATIENCE = 10.0
"""Seconds for an answer to VERSION; a node may be busy."""


def check(node: Node, report: Report) -> None:
    """Look for every plugin, and ask each once which versions it speaks."""
    speaks = {name: _look(node, report, name) for name in node.plugins}
    for network in node.networks:
        if network.cni_version not in versions.SUPPORTED:
            continue
        for plugin, where in wants.wanted(network):
            known = speaks[plugin]
            if known and network.cni_version not in known:
                report.problem(
                    Check.PLUGIN_VERSION,
                    network.path,
                    f"{where}: {plugin} does not speak version {network.cni_version}, "
                    f"only {', '.join(known)}",
                    f"change cniVersion to one that all its plugins speak, or install a {plugin} "
                    "that speaks it",
                )


def _look(node: Node, report: Report, name: str) -> tuple[str, ...]:
    """Return what a plugin speaks; nothing where it cannot be asked."""
    installed = node.plugins[name]
    if installed is None:
        report.problem(
            Check.PLUGIN_MISSING,
            name,
            f"{_wanted_by(node, name)}; it is not in {', '.join(node.places.bin_dirs)}",
            "install it there, or take it out of the network; --bin-dir says where else to look",
        )
        return ()
    if not os.stat(node.root.locate(installed.path)).st_mode & 0o111:
        report.problem(
            Check.PLUGIN_NOT_EXECUTABLE,
            installed.path,
            "is not executable",
            f"chmod 755 {installed.path}",
        )
        return ()
    if not _can_start(node, report, installed):
        return ()
    said = installed.trailer.versions if installed.trailer else ()
    return said or _ask(node, report, installed)


def _ask(node: Node, report: Report, installed: Installed) -> tuple[str, ...]:
    what = f"which versions {installed.path} speaks"
    if not node.root.is_ours:
        report.not_seen(what, "the plugins of a mounted root are not executed")
        return ()
    if node.distrust(installed.path):
        report.not_seen(what, "what others can write is not executed")
        return ()
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        return invoke.version_info(
            installed.path,
            environ={"PATH": DEFAULT_PATH},
            cni_version=versions.CURRENT,
            stderr_fd=null,
            timeout=PATIENCE,
        ).supported_versions
    except CNIError as err:
        if not os.access(installed.path, os.R_OK | os.X_OK):
            report.not_seen(what, "Permission denied")
        else:
            report.problem(
                Check.PLUGIN_FAILS,
                installed.path,
                f"does not answer VERSION: {err}",
                f"run 'CNI_COMMAND=VERSION {installed.path} </dev/null' to see what it says; "
                "install one that is made for this machine",
            )
    finally:
        os.close(null)
    return ()


# -- what an executable needs to start ------------------------------------------------------


def _can_start(node: Node, report: Report, installed: Installed) -> bool:
    """Look for what a call needs, which VERSION may not."""
    interpreter = _interpreter(node, installed)
    if interpreter and not _is_executable(node, interpreter):
        report.problem(
            Check.PLUGIN_INTERPRETER,
            installed.path,
            f"runs on {interpreter}, which is not there",
            f"install {interpreter}, or build the plugin with --standalone",
        )
        return False
    if installed.trailer and installed.trailer.value("payload-id"):
        _payload(node, report, installed)
    return True


def _interpreter(node: Node, installed: Installed) -> str:
    """Return what has to execute it, ``""`` for nothing or what it brings along."""
    if installed.trailer is not None and installed.trailer.value("mode") == "exec":
        program = installed.trailer.value("exec")
        if not program.startswith("%"):
            return program.replace("%%", "%")
    try:
        with open(node.root.locate(installed.path), "rb") as file:
            first = file.readline(256)
    except PermissionError:
        return ""
    words = first[2:].split() if first.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""


def _is_executable(node: Node, path: str) -> bool:
    located = node.root.locate(path)
    return os.path.isfile(located) and bool(os.stat(located).st_mode & 0o111)


def _payload(node: Node, report: Report, installed: Installed) -> None:
    """Look at where it unpacks to, as the launcher does."""
    if installed.trailer is None:
        return
    directories = installed.trailer.values("unpack-dir") or trailer.UNPACK_DIRS
    brings_interpreter = installed.trailer.value("exec").startswith("%")
    reasons = []
    for directory in directories:
        if found := node.distrust(directory):
            reasons.append(f"{found[0]} can be written to by {found[1]}")
        elif brings_interpreter and _is_noexec(node, directory):
            reasons.append(f"{directory} is on a file system that nothing is executed from")
        else:
            return
    report.problem(
        Check.PLUGIN_PAYLOAD,
        installed.path,
        f"has nowhere to unpack to: {'; '.join(reasons)}",
        "mend one of these directories, or build the plugin with another --unpack-dir",
    )


def _is_noexec(node: Node, path: str) -> bool:
    while path not in ("", "/") and not node.root.exists(path):
        path = os.path.dirname(path)
    return bool(os.statvfs(node.root.locate(path)).f_flag & os.ST_NOEXEC)


def _wanted_by(node: Node, name: str) -> str:
    places = [
        f"{network.path} ({where})"
        for network in node.networks
        for plugin, where in wants.wanted(network)
        if plugin == name
    ]
    return f"wanted by {', '.join(places)}"
