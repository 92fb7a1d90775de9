"""The verb that puts plugins and networks on a node, and takes them away again."""

import click

from cnisdk.cli.failure import told
from cnisdk.cli.node import Where, with_node
from cnisdk.node.errors import NodeError
from cnisdk.node.install import Installation, default_name


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--bin-dir",
    metavar="DIR",
    default="",
    help="Where executables go.  [default: where the node's runtime looks]",
)
@with_node("Where networks go.")
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
    where: Where,
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
    for option, value in (("--bin-dir", bin_dir), ("--conf-dir", where.conf_dir)):
        if value and not value.startswith("/"):
            raise click.UsageError(f"{option} {value}: a path of the node begins with /")
    with told(NodeError):
        installation = Installation(where.root, name or default_name(files), _say)
        if uninstall:
            installation.uninstall(dry_run=dry_run)
            return
        places = where.places(*filter(None, [bin_dir]))
        click.echo(f"to {places.bin_dir} and {places.conf_dir} ({places.why})", err=True)
        installation.install(places, files, force=force, dry_run=dry_run)


def _say(verb: str, path: str) -> None:
    click.echo(f"{verb} {path}")
