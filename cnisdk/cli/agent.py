"""The verb ``agent``: serve installed plugins from one resident process."""

import sys

import click

from cnisdk.agent.protocol import SOCKET, SOCKET_VARIABLE
from cnisdk.agent.queue import DIRECTORY


@click.command()
@click.option(
    "--socket",
    "path",
    metavar="PATH",
    envvar=SOCKET_VARIABLE,
    default=SOCKET,
    show_default=True,
    show_envvar=True,
    help="Where launchers find the agent; its directory is made, and has to be nobody else's.",
)
@click.option(
    "--plugin",
    "plugins",
    metavar="NAME",
    multiple=True,
    help="A plugin to serve.  Repeat it.  [default: every installed one]",
)
@click.option(
    "--health",
    metavar="ADDRESS",
    default="",
    help="Answer /livez, /readyz and /metrics on a path, a PORT of the loopback, or HOST:PORT.",
)
@click.option(
    "--queue",
    metavar="DIR",
    default=DIRECTORY,
    show_default=True,
    help="Directory of the DELs that launchers kept while there was no agent.",
)
def agent(path: str, plugins: tuple[str, ...], health: str, queue: str) -> None:
    """Serve the installed plugins to the launchers of this machine.

    Logs to stderr, a JSON object a line.  SIGTERM ends it once running calls have ended; SIGHUP
    makes it go on with the code that is installed by then.
    """
    from cnisdk.agent import installed, main

    status = main.main(
        path=path,
        load=lambda: installed.load(plugins),
        health_address=health,
        queue_directory=queue,
    )
    sys.exit(status)
