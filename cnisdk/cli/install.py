"""The verb that puts plugins and networks on a node, and takes them away again."""

import click

from cnisdk.node import places
from cnisdk.node.errors import NodeError
from cnisdk.node.install import Installation, default_name
from cnisdk.node.root import Root


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--bin-dir",
    metavar="DIR",
    default="",
    callback=lambda _, __, value: _absolute("--bin-dir", value),
    help="Where executables go.  [default: where the node's runtime looks]",
)
@click.option(
    "--conf-dir",
    metavar="DIR",
    default="",
    callback=lambda _, __, value: _absolute("--conf-dir", value),
    help="Where networks go.  [default: where the node's runtime looks]",
)
@click.option(
    "--runtime",
    type=click.Choice(list(places.RUNTIMES)),
    default=None,
    help="Whose directories are meant.  [default: found out]",
)
@click.option(
    "--prefix",
    metavar="DIR",
    default="/",
    show_default=True,
    type=click.Path(exists=True, file_okay=False),
    help="The node's root, where it is mounted.",
)
@click.option(
    "--name",
    metavar="NAME",
    default="",
    help="What this is an installation of: another one with the same name takes its place.  "
    "[default: the first network's file, or executable]",
)
@click.option("--uninstall", is_flag=True, help="Take away what was put there.")
@click.option(
    "--force",
    is_flag=True,
    help="Replace files that are somebody else's, and take a network whose plugins are missing.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def install(
    files: tuple[str, ...],
    bin_dir: str,
    conf_dir: str,
    runtime: str | None,
    prefix: str,
    name: str,
    *,
    uninstall: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Put FILEs on a node: *.conflist, *.conf and *.json as networks, others as executables.

    Each file is the old one or the new one at any moment, and a network comes when its plugins
    are there.  What is there already stays untouched; what an earlier version had and this one
    has not goes.
    """
    if not files and not (uninstall and name):
        raise click.UsageError("say which FILEs" + (", or --name" if uninstall else ""))
    root = Root(prefix)
    try:
        installation = Installation(root, name or default_name(files), _say)
        if uninstall:
            installation.uninstall(dry_run=dry_run)
            return
        where = places.find(
            root,
            runtime=runtime or "",
            bin_dirs=(bin_dir,) if bin_dir else (),
            conf_dir=conf_dir,
        )
        click.echo(f"to {where.bin_dir} and {where.conf_dir} ({where.why})", err=True)
        installation.install(where, files, force=force, dry_run=dry_run)
    except NodeError as err:
        click.echo(f"Error: {err}", err=True)
        if err.step:
            click.echo(f"Next: {err.step}", err=True)
        raise click.exceptions.Exit(1) from err


def _say(verb: str, path: str) -> None:
    click.echo(f"{verb} {path}")


def _absolute(option: str, value: str) -> str:
    if value and not value.startswith("/"):
        raise click.UsageError(f"{option} {value}: a path of the node begins with /")
    return value
