"""The verb that makes executables of plugin projects."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from cnisdk.agent.protocol import SOCKET
from cnisdk.build import progress
from cnisdk.cli.failure import told


@click.command("build")
@click.argument(
    "projects",
    metavar="PROJECT...",
    nargs=-1,
    required=True,
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default="dist/bin",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the executables.",
)
@click.option(
    "--standalone",
    is_flag=True,
    help="Bring the interpreter along: runs where there is no Python.",
)
@click.option(
    "--warm",
    metavar="SECONDS",
    default=0,
    type=int,
    help="Let a call leave an agent behind for so long.  [default: never]",
)
@click.option(
    "--python",
    metavar="PATH",
    default=sys.executable,
    help="Interpreter to run on.  [default: the one of this command]",
)
@click.option(
    "--unpack-dir",
    "unpack_dirs",
    metavar="DIR",
    multiple=True,
    help="Where to unpack on a node; may be repeated.  "
    "[default: /var/lib/cnisdk/payload, /run/cnisdk-payload]",
)
@click.option(
    "--socket",
    metavar="PATH",
    default="",
    help=f"Where to look for an agent, which serves its own plugins only.  [default: {SOCKET}]",
)
def build(
    projects: tuple[str, ...],
    output: Path,
    *,
    standalone: bool,
    warm: int,
    python: str,
    unpack_dirs: tuple[str, ...],
    socket: str,
) -> None:
    """Make executables of the plugins in PROJECT.

    That is a directory with a pyproject.toml, or the name of an installed distribution.

    Plugins that are built together share what they need, and run as one process when one
    delegates to the other.
    """
    from cnisdk.build import executable
    from cnisdk.build.errors import BuildError

    options = executable.Options(standalone, python, warm, unpack_dirs, socket)
    with told(BuildError):
        built = executable.build(projects, output, options, bar)
    for path in built.paths:
        click.echo(path)
    click.echo(f"{built.size / 1e6:.1f} MB, needs {built.kind}", err=True)


@contextlib.contextmanager
def bar(step: str, pieces: int) -> Iterator[progress.Advance]:
    """Show a step as a bar, on a terminal."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        length=pieces, label=f"{step:24}", file=sys.stderr, hidden=hidden
    ) as shown:
        yield lambda: shown.update(1)
