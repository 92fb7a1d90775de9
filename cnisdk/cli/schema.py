"""The verb ``schema``: what may be written, for editors."""

import os
from collections.abc import Mapping
from typing import Any

import click

from cnisdk.cli.options import plugin_dirs, plugin_dirs_option, warn


@click.command()
@click.argument("plugin", required=False)
@click.option("--conflist", is_flag=True, help="Of a network, with every plugin that is known.")
@click.option(
    "--strict", is_flag=True, help="Forbid keys that no plugin declares: editors show typos."
)
@plugin_dirs_option
def schema(plugin: str | None, cni_path: str, *, conflist: bool, strict: bool) -> None:
    """Print the JSON Schema (2020-12) of a plugin's configuration, or of a whole network's.

    PLUGIN is the name of a plugin that is installed here or in CNI_PATH, or the path of an
    executable; it has to be made with this SDK.  A network's schema tells its plugins by their
    type, and takes those that are not known as they are.

    Keys that are not declared are allowed, as the specification wants it, unless --strict.
    """
    from cnisdk.types import _json
    from cnisdk.types.schema import closed, conflist_schema

    if conflist == bool(plugin):
        raise click.UsageError("say of what: a plugin, or --conflist of a network")
    if plugin:
        found = dict(_of_plugin(plugin, cni_path))
        made = closed(found) if strict else found
    else:
        made = conflist_schema(_all(cni_path), strict=strict)
    click.echo(_json.dumps(made, indent=2))


def _of_plugin(plugin: str, cni_path: str) -> Mapping[str, Any]:
    from cnisdk import invoke
    from cnisdk.cli.plugins import Plugins, is_ours, schema_of
    from cnisdk.errors import InvalidEnvironmentError

    if "/" in plugin:
        path = plugin
    else:
        dirs = plugin_dirs(cni_path)
        declared = Plugins(dirs).declared(plugin)
        if declared is not None:
            return declared.schema
        path = invoke.find(plugin, dirs)
    if not is_ours(path):
        raise InvalidEnvironmentError(
            f"the configuration of {os.path.basename(path)} is not known",
            f"{path} is no executable made with this SDK: it was not asked",
        )
    return schema_of(path)


def _all(cni_path: str) -> dict[str, dict[str, Any]]:
    from cnisdk.cli.plugins import Plugins
    from cnisdk.errors import CNIError

    plugins = Plugins(plugin_dirs(cni_path))
    found: dict[str, dict[str, Any]] = {}
    for name in plugins.names():
        try:
            declared = plugins.declared(name)
        except CNIError as err:
            warn(f"left out: {err}")
            continue
        if declared is not None:
            found[name] = dict(declared.schema)
    return found
