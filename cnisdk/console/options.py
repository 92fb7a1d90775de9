"""Options that several verbs share, and what they stand for.

What a runtime would have in a variable is read from it too; what is typed wins.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from cnisdk import names
from cnisdk.console import choice as choices, netns
from cnisdk.console.choice import Choice
from cnisdk.console.common_options import (
    cache_dir_option,
    cni_path_option,
    config_dir_option,
    ifname_option,
)
from cnisdk.console.subject import Subject
from cnisdk.errors import CNIError
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.cache import Cache
from cnisdk.runtime.defaults import PLUGIN_DIRS
from cnisdk.types import _json
from cnisdk.types.args import parse

Command = Callable[..., Any]


class Typed(NamedTuple):
    """Where things are, as the options say."""

    subject: Subject
    config: str
    config_dir: str
    cache: Cache

    def choose(self) -> Choice:
        """Return the configuration to use, and say which."""
        return choices.choose(self.subject, self.config, self.config_dir, self.say)

    def say(self, text: str) -> None:
        """Tell a person what is no result."""
        click.echo(f"{self.subject.name}: {text}", err=True)


def note(**known: Any) -> None:
    """Keep what an explanation of a failure needs, see `noted`."""
    click.get_current_context().meta.setdefault(__name__, {}).update(known)


def noted(ctx: click.Context) -> dict[str, Any]:
    """Return what the verb had noted when it failed."""
    found: dict[str, Any] = ctx.meta.get(__name__, {})
    return found


human_option = click.option("--human", is_flag=True, help="Print a table in place of JSON.")


def with_settings(command: Command) -> Command:
    """Add the options behind `Typed`."""

    @click.option(
        "--config",
        metavar="FILE",
        default="",
        help="A plugin's configuration, or a network's, of which this plugin's part is taken; "
        "- for stdin.",
    )
    @config_dir_option
    @cni_path_option(
        f"Directories of plugins to delegate to, separated by {os.pathsep!r}.  [default: this "
        f"executable's own, and those of {', '.join(PLUGIN_DIRS)} that exist]"
    )
    @cache_dir_option
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        config: str,
        config_dir: str,
        cni_path: str,
        cache_dir: str,
        **kwargs: Any,
    ) -> Any:
        subject: Subject = click.get_current_context().obj
        cache = Cache(cache_dir)
        typed = Typed(subject._replace(cni_path=cni_path), config, config_dir, cache)
        note(results=cache.results)
        return command(typed, *args, **kwargs)

    return wrapped


def with_attachment(command: Command) -> Command:
    """Add what names an attachment; the command gets ``wanted``, its namespace still as typed."""

    @click.argument("container_id", metavar="CID")
    @ifname_option
    @click.option(
        "--args", "cni_args", metavar="K=V;...", default="", help="CNI_ARGS for the plugin."
    )
    @click.option(
        "--capability",
        "capabilities",
        metavar="NAME=JSON",
        multiple=True,
        help="What the plugin is told for a capability, mac='\"0a:58:0a:01:00:02\"' for "
        "instance.  Repeat it.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        container_id: str,
        ifname: str,
        cni_args: str,
        capabilities: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        if problem := names.container_id_problem(container_id):
            raise click.BadParameter(f"{container_id!r} {problem}", param_hint="CID")
        if problem := names.ifname_problem(ifname):
            raise click.BadParameter(f"{ifname!r} {problem}", param_hint="--ifname")
        wanted = AttachmentParameters(
            container_id=container_id,
            ifname=ifname,
            args=_pairs(cni_args),
            capability_args=dict(_capability(text) for text in capabilities),
        )
        return command(*args, wanted=wanted, **kwargs)

    return wrapped


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(parse(text).items())
    except CNIError as err:
        raise click.BadParameter(str(err), param_hint="--args") from err


def _capability(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not NAME=JSON", param_hint="--capability")
    try:
        return name, _json.loads(value)
    except ValueError as err:
        raise click.BadParameter(
            f"{value!r} is no JSON, of which text needs its quotes: {err}",
            param_hint="--capability",
        ) from err


def netns_path(text: str) -> str:
    """Return the path of the namespace that was typed."""
    try:
        return netns.path_of(text)
    except ValueError as err:
        raise click.BadParameter(f"{text!r}: {err}", param_hint="NETNS") from err
