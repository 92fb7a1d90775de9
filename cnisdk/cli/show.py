"""Verbs that only look: ``list``, ``version``."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cnisdk.cli.options import Settings, json_option, warn, with_settings
from cnisdk.console.table import table

if TYPE_CHECKING:
    from cnisdk.runtime.cache import CachedAttachment
    from cnisdk.runtime.config import NetworkConfig
    from cnisdk.runtime.runtime import Runtime

# A plugin that does not answer VERSION by then does not keep the others from being shown.
_PATIENCE = 5.0

_NETWORKS = ("NETWORK", "VERSION", "PLUGINS", "FILE")
_ATTACHMENTS = ("NETWORK", "CONTAINER", "INTERFACE", "ADDRESSES")


@click.command("list")
@click.argument("network", required=False)
@json_option
@with_settings
def list_(network: str | None, settings: Settings, *, as_json: bool) -> None:
    """Show the networks of the directory, and what is attached to them.

    With NETWORK only that one, and its attachments.
    """
    from cnisdk.runtime.directory import scan

    found = scan(settings.config_dir)
    networks = [n for n in found.networks if network in (None, n.name)]
    attachments = settings.cache().attachments(network=network or "")
    if network and not networks and not attachments:
        found.find(network)
    if as_json:
        _print_json(
            {
                "networks": [_network_object(n) for n in networks],
                "attachments": [_attachment_object(a) for a in attachments],
                "broken": [{"file": b.path, "problems": list(b.problems)} for b in found.broken],
            }
        )
        return
    for broken in found.broken:
        warn(f"passed over: {broken}")
    rows = [(n.name, n.cni_version, " ".join(p.type for p in n.plugins), n.path) for n in networks]
    click.echo(_table_or(f"no network in {settings.config_dir}", _NETWORKS, rows))
    click.echo()
    rows = [
        (a.network, a.key.container_id, a.key.ifname, " ".join(_addresses(a)) or "-")
        for a in attachments
    ]
    click.echo(_table_or("nothing is attached", _ATTACHMENTS, rows))


def _network_object(network: "NetworkConfig") -> dict[str, Any]:
    return {
        "name": network.name,
        "cniVersion": network.cni_version,
        "plugins": [plugin.type for plugin in network.plugins],
        "file": network.path,
    }


def _attachment_object(attachment: "CachedAttachment") -> dict[str, Any]:
    return {
        "network": attachment.network,
        "containerID": attachment.key.container_id,
        "ifname": attachment.key.ifname,
        "netns": attachment.parameters.netns,
        "result": attachment.result,
    }


def _addresses(attachment: "CachedAttachment") -> list[str]:
    from cnisdk.errors import CNIError
    from cnisdk.types.convert import from_wire

    try:
        return [str(ip.address) for ip in from_wire(attachment.result).ips]
    except CNIError:
        return ["?"]


@click.command()
@click.argument("plugins", metavar="[PLUGIN]...", nargs=-1)
@json_option
@with_settings
def version(plugins: tuple[str, ...], settings: Settings, *, as_json: bool) -> None:
    """Show the version of cnisdk, and which versions of the specification plugins speak.

    Without PLUGIN every executable of CNI_PATH is asked.
    """
    from importlib.metadata import version as version_of

    from cnisdk import versions

    runtime = settings.runtime(timeout=_PATIENCE)
    answers = {name: _ask(runtime, name) for name in plugins or _executables(settings.plugin_dirs)}
    if as_json:
        ours: dict[str, Any] = {"version": version_of("cnisdk"), "cniVersions": versions.SUPPORTED}
        _print_json({"cnisdk": ours, "plugins": answers})
    else:
        click.echo(f"cnisdk {version_of('cnisdk')}, CNI {', '.join(versions.SUPPORTED)}")
        rows = [
            (name, " ".join(a.get("supportedVersions", ())) or a["error"], a.get("file", "-"))
            for name, a in answers.items()
        ]
        click.echo()
        click.echo(table(("PLUGIN", "VERSIONS", "FILE"), rows))
    if plugins and any("error" in answer for answer in answers.values()):
        raise click.exceptions.Exit(1)


def _ask(runtime: "Runtime", plugin: str) -> dict[str, Any]:
    from cnisdk.errors import CNIError

    answer: dict[str, Any] = {}
    try:
        answer["file"] = runtime.find(plugin)
        answer["supportedVersions"] = list(runtime.version(plugin).supported_versions)
    except CNIError as err:
        answer["error"] = str(err)
    return answer


def _executables(dirs: Sequence[str]) -> list[str]:
    names = set()
    for directory in dirs:
        try:
            with os.scandir(directory or ".") as entries:
                names |= {e.name for e in entries if e.is_file() and os.access(e.path, os.X_OK)}
        except OSError as err:
            warn(f"cannot read {directory}: {err.strerror}")
    return sorted(names)


def _print_json(value: Mapping[str, Any]) -> None:
    from cnisdk.types import _json

    click.echo(_json.dumps(value, indent=4))


def _table_or(nothing: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(head, rows) if rows else nothing
