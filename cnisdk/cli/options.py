"""Options that several verbs share, and what they stand for.

Every one can be given as the variable that cnitool reads; what is typed wins.
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnisdk.console.common_options import (
    cache_dir_option,
    cni_path_option,
    config_dir_option,
    ifname_option,
)
from cnisdk.runtime.defaults import NETNS_DIR, PLUGIN_DIRS

if TYPE_CHECKING:
    from cnisdk.runtime.attachment import AttachmentParameters
    from cnisdk.runtime.cache import Cache
    from cnisdk.runtime.config import NetworkConfig
    from cnisdk.runtime.runtime import Runtime

Command = Callable[..., Any]


class Settings(NamedTuple):
    """Where configurations, plugins and the cache are."""

    config_dir: str
    plugin_dirs: tuple[str, ...]
    cache_dir: str

    def cache(self) -> "Cache":
        """Return what is remembered."""
        from cnisdk.runtime.cache import Cache

        return Cache(self.cache_dir)

    def runtime(self, *, timeout: float | None = None) -> "Runtime":
        """Return the runtime that these settings make."""
        from cnisdk.runtime.runtime import Runtime

        return Runtime(self.plugin_dirs, cache=self.cache(), timeout=timeout, log=warn)

    def network(self, name: str) -> "NetworkConfig":
        """Return a network of the directory; warn of files that cannot be read."""
        from cnisdk.runtime.directory import scan

        found = scan(self.config_dir)
        network = found.find(name)
        for broken in found.broken:
            warn(f"passed over: {broken}")
        return network


class Wanted(NamedTuple):
    """The attachment that was asked for, as far as it was typed."""

    container_id: str
    ifname: str
    netns: str
    args: tuple[tuple[str, str], ...]
    capability_args: Mapping[str, Any]

    def parameters(self, known: "AttachmentParameters | None" = None) -> "AttachmentParameters":
        """Return the parameters, with those of the ADD where nothing else was typed.

        The namespace of a process has to be typed again.
        """
        from cnisdk.runtime.attachment import AttachmentParameters

        known = known.later() if known else None
        return AttachmentParameters(
            container_id=self.container_id,
            ifname=self.ifname,
            netns=self.netns or (known.netns if known else ""),
            args=self.args or (known.args if known else ()),
            capability_args=self.capability_args or (known.capability_args if known else {}),
        )


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

plugin_dirs_option = cni_path_option(
    f"Directories of plugins, separated by {os.pathsep!r}.  "
    f"[default: those of {', '.join(PLUGIN_DIRS)} that exist]"
)
"""For a command that makes of it what `plugin_dirs` does."""


def warn(message: str) -> None:
    """Tell on stderr what is no failure."""
    click.echo(f"Warning: {message}", err=True)


def with_settings(command: Command) -> Command:
    """Add the options behind `Settings`; the command gets them as ``settings``."""

    @config_dir_option
    @plugin_dirs_option
    @cache_dir_option
    @functools.wraps(command)
    def wrapped(*args: Any, config_dir: str, cni_path: str, cache_dir: str, **kwargs: Any) -> Any:
        settings = Settings(config_dir, plugin_dirs(cni_path), cache_dir)
        return command(*args, settings=settings, **kwargs)

    return wrapped


def with_attachment(*, netns_required: bool) -> Callable[[Command], Command]:
    """Add NETNS and the options that say which attachment; the command gets ``wanted``."""

    def decorate(command: Command) -> Command:
        @click.argument("netns", required=netns_required)
        @ifname_option
        @click.option(
            "--container-id",
            metavar="ID",
            help="ID of the container.  [default: made of NETNS, as cnitool does]",
        )
        @click.option(
            "--args",
            "cni_args",
            metavar="K=V;...",
            envvar="CNI_ARGS",
            show_envvar=True,
            help="Arguments for all plugins.",
        )
        @click.option(
            "--capability-args",
            metavar="JSON",
            envvar="CAP_ARGS",
            show_envvar=True,
            help="What plugins get for the capabilities that they declare.",
        )
        @functools.wraps(command)
        def wrapped(
            *args: Any,
            netns: str | None,
            ifname: str,
            container_id: str | None,
            cni_args: str | None,
            capability_args: str | None,
            **kwargs: Any,
        ) -> Any:
            path = netns_path(netns) if netns else ""
            if not path and not container_id:
                raise click.UsageError("say which container: NETNS, --container-id, or both")
            wanted = Wanted(
                container_id=container_id or derived_container_id(path),
                ifname=ifname,
                netns=path,
                args=pairs(cni_args or ""),
                capability_args=json_object(capability_args or ""),
            )
            return command(*args, wanted=wanted, **kwargs)

        return wrapped

    return decorate


def plugin_dirs(cni_path: str) -> tuple[str, ...]:
    """Return CNI_PATH as directories; where it is empty, the usual ones that exist."""
    if cni_path:
        return tuple(cni_path.split(os.pathsep))
    return tuple(d for d in PLUGIN_DIRS if os.path.isdir(d)) or PLUGIN_DIRS


def netns_path(netns: str) -> str:
    """Return the path of a namespace: a name without ``/`` is one of ip-netns(8)."""
    return os.path.abspath(netns) if "/" in netns else os.path.join(NETNS_DIR, netns)


def derived_container_id(netns: str) -> str:
    """Return the ID that cnitool gives to the container of a namespace."""
    from hashlib import sha512

    return "cnitool-" + sha512(os.fsencode(netns)).digest()[:10].hex()


def pairs(cni_args: str) -> tuple[tuple[str, str], ...]:
    """Return the text of CNI_ARGS as pairs; click.UsageError for what is none."""
    from cnisdk.errors import CNIError
    from cnisdk.types.args import parse

    try:
        return tuple(parse(cni_args).items())
    except CNIError as err:
        raise click.UsageError(f"--args, CNI_ARGS: {err}") from err


def json_object(text: str) -> dict[str, Any]:
    """Return the text of CAP_ARGS as an object; click.UsageError for what is none."""
    if not text:
        return {}
    from cnisdk.types import _json

    try:
        value = _json.loads(text)
    except ValueError as err:
        raise click.UsageError(f"--capability-args, CAP_ARGS: not JSON: {err}") from err
    if not isinstance(value, dict):
        raise click.UsageError(f"--capability-args, CAP_ARGS: no JSON object: {text}")
    return value
