"""The verb that shows a network at work."""

import os
import sys
from pathlib import Path

import click

from cnisdk.cli.subject import enter
from cnisdk.console.common_options import cni_path_option
from cnisdk.runtime.defaults import PLUGIN_DIRS


@click.command("try")
@click.argument(
    "network", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@cni_path_option(f"Directories of the network's plugins.  [default: {', '.join(PLUGIN_DIRS)}]")
def try_(network: Path, cni_path: str) -> None:
    """Attach two containers to a network, ping, check, detach; on a private host.

    FILE is the network's configuration, a list of plugins or a single one.  Needs no root, and
    nothing of it touches this machine's network.  The exit status is 0 if each step went well and
    nothing was left, 1 if not, 2 if it could not be tried.
    """
    dirs = cni_path.split(os.pathsep) if cni_path else PLUGIN_DIRS
    enter("The trial")
    from cnisdk.cli.trial import story
    from cnisdk.errors import CNIError

    try:
        story.tell(str(network), [os.path.abspath(directory) for directory in dirs if directory])
    except (CNIError, OSError, story.WrongError) as err:
        click.echo(f"\nIt failed: {err}", err=True)
        sys.exit(1)
