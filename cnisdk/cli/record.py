"""``cnisdk record``: keep the calls that a runtime makes of a plugin."""

import os

import click

from cnisdk.cli.failure import tell, told
from cnisdk.cli.node import bin_dirs_option
from cnisdk.node.errors import NodeError
from cnisdk.recorder.wrapping import (
    CALLS,
    Limits,
    Recorded,
    State,
    record as record_plugin,
    recorded,
    stop as stop_plugin,
)

_TEXT = {
    State.RECORDED: "recorded",
    State.REPLACED: "replaced since, calls are not recorded: record it again, or --stop",
    State.REMOVED: "removed since: --stop takes away what is left of recording it",
    State.UNTOUCHED: "not recorded, an interrupted run left something: --stop takes it away",
    State.LOST: "a recorder without its plugin: install the plugin again",
}


@click.command()
@click.argument("plugins", metavar="[PLUGIN]...", nargs=-1)
@click.option("--stop", is_flag=True, help="Put the plugins back in their places.")
@bin_dirs_option
@click.option(
    "--calls",
    metavar="DIR",
    default=CALLS,
    show_default=True,
    help="Where to keep the calls; on a disk with room.",
)
@click.option(
    "--variable",
    "variables",
    metavar="NAME",
    multiple=True,
    help="Keep this variable too, beside CNI_* and a few that are no secrets; may be repeated.",
)
@click.option(
    "--most",
    metavar="N",
    type=click.IntRange(min=1),
    default=Limits().calls,
    show_default=True,
    help="Keep so many calls, and a tenth as many of VERSION; the oldest ones go.",
)
@click.option(
    "--megabytes",
    metavar="N",
    type=click.IntRange(min=1),
    default=Limits().bytes >> 20,
    show_default=True,
    help="Keep no more than so much of them.",
)
def record(
    plugins: tuple[str, ...],
    bin_dirs: tuple[str, ...],
    calls: str,
    variables: tuple[str, ...],
    most: int,
    megabytes: int,
    *,
    stop: bool,
) -> None:
    """Keep the calls that a runtime makes of a PLUGIN: all that it asks, and the answers.

    A recorder takes the place of the plugin, a name in a directory of plugins or a path, and
    runs it; --stop puts the very same file back.  Without a PLUGIN, shows what is recorded; with
    --stop, stops recording all of them.  Look at calls with `cnisdk calls`, run one again with
    `cnisdk replay`.

    What goes to a plugin by stdin is kept too.  It may have secrets, so only root can read it.
    """
    with told(NodeError):
        if not plugins and not stop:
            _show(_all(bin_dirs))
            return
        paths = [_path(name, bin_dirs) for name in plugins]
        failed = False
        for path in paths or [one.path for one in _all(bin_dirs)]:
            try:
                if stop:
                    stop_plugin(path, say=click.echo)
                else:
                    limits = Limits(most, max(1, most // 10), megabytes << 20)
                    record_plugin(
                        path,
                        calls=os.path.abspath(calls),
                        limits=limits,
                        variables=variables,
                        say=click.echo,
                    )
            except NodeError as err:
                failed = True
                tell(err)
        if failed:
            raise click.exceptions.Exit(1)


def _directories(bin_dirs: tuple[str, ...]) -> tuple[str, ...]:
    from cnisdk.node import places
    from cnisdk.node.root import Root

    return tuple(map(os.path.abspath, bin_dirs)) or places.find(Root()).bin_dirs


def _path(name: str, bin_dirs: tuple[str, ...]) -> str:
    """Return the plugin of that name; one that was removed, where it was recorded."""
    if "/" in name:
        return os.path.abspath(name)
    directories = _directories(bin_dirs)
    found = [path for one in directories if os.path.exists(path := os.path.join(one, name))]
    found += [one.path for one in _all(bin_dirs) if os.path.basename(one.path) == name]
    if not found:
        raise NodeError(
            f"no plugin {name} in {', '.join(directories)}", "say where it is, as a path"
        )
    return found[0]


def _all(bin_dirs: tuple[str, ...]) -> list[Recorded]:
    found = {}
    for directory in _directories(bin_dirs):
        found.update({one.path: one for one in recorded(directory)})
    return list(found.values())


def _show(found: list[Recorded]) -> None:
    for one in found:
        click.echo(f"{one.path}: {_TEXT[one.state]}")
    if not found:
        click.echo("nothing is recorded; `cnisdk record PLUGIN` begins")
