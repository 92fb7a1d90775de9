"""What the commands of the conformance kit share: the plugin to test, and a place to do it."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cnisdk.console.common_options import cni_path_option
from cnisdk.runtime.defaults import PLUGIN_DIRS

if TYPE_CHECKING:
    from cnisdk.conformance.subject import Subject

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

KINDS = ("interface", "chained", "ipam")

_CONFIG = (
    "Configuration to test with: a plugin configuration, or a network's, of which the first "
    "plugin of this type is taken.  [default: one made for the kind]"
)


def subject_options(
    kinds: Sequence[str], *, config: str = _CONFIG
) -> Callable[[CommandT], CommandT]:
    """Give a command the options that `subject_of` reads; ``config`` is the help of one."""
    made = (
        click.option(
            "--config",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help=config,
        ),
        click.option(
            "--kind",
            type=click.Choice(kinds),
            help="What the plugin is for.  [default: guessed from its name and configuration]",
        ),
        click.option(
            "--cni-version", metavar="VERSION", help="Test with no newer version than this."
        ),
        cni_path_option("Directories of plugins that it delegates to, beside its own."),
    )

    def decorate(command: CommandT) -> CommandT:
        for option in reversed(made):
            command = option(command)
        return command

    return decorate


def enter(what: str = "The conformance kit") -> None:
    """Go on in a private host; starts the command anew unless it is in one.

    ``what`` needs it, says the message where there can be none.
    """
    from cnisdk.conformance import private

    if not private.inside():
        start = "from cnisdk.cli import main; main()"
        try:
            private.enter(["-P", "-c", start, *sys.argv[1:]], what=what)
        except private.RefusedError as err:
            click.echo(f"Error: {err}", err=True)
            raise click.exceptions.Exit(2) from err
    private.prepare()


def subject_of(executable: str, options: dict[str, Any]) -> "Subject":
    """Return the plugin that a command was given, by its argument and `subject_options`."""
    from cnisdk.conformance.check import Kind
    from cnisdk.conformance.subject import Subject, guess_kind

    path = os.path.abspath(executable)
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise click.UsageError(f"{executable} is no executable file.")
    config = _config(options["config"], os.path.basename(path))
    kind = Kind(options["kind"]) if options["kind"] else guess_kind(path, config)
    cni_path = options["cni_path"]
    return Subject(
        executable=path,
        kind=kind,
        config=config,
        cni_path=tuple(cni_path.split(os.pathsep)) if cni_path else PLUGIN_DIRS,
        cni_version=options["cni_version"] or "",
    )


def save(path: Path, data: bytes) -> None:
    """Write what was found; click.UsageError where that cannot be."""
    try:
        path.write_bytes(data)
    except OSError as err:
        raise click.UsageError(f"cannot write {path}: {err.strerror}") from err


def _config(path: Path | None, name: str) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as err:
        raise click.UsageError(f"--config {path}: {err}") from err
    if not isinstance(found, dict):
        raise click.UsageError(f"--config {path}: no JSON object")
    for plugin in found.get("plugins") or ():
        if isinstance(plugin, dict) and plugin.get("type") == name:
            return {"name": found.get("name"), **plugin}
    if "plugins" in found:
        raise click.UsageError(f"--config {path}: no plugin of the type {name}")
    return {key: value for key, value in found.items() if key not in ("cniVersion", "prevResult")}
