"""What the verbs for a node share: which node it is, and whose directories are meant."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from cnisdk.agent.queue import DIRECTORY
from cnisdk.node import places
from cnisdk.node.places import Places
from cnisdk.node.root import Root

Command = Callable[..., Any]

bin_dirs_option = click.option(
    "--bin-dir",
    "bin_dirs",
    metavar="DIR",
    multiple=True,
    help="Directory of plugins; may be repeated.  [default: where the node's runtime looks]",
)

queue_option = click.option(
    "--queue",
    metavar="DIR",
    default=DIRECTORY,
    show_default=True,
    help="Directory of the DELs that wait for an agent.",
)


class Where(NamedTuple):
    """The node, as the options say."""

    root: Root
    runtime: str
    """``""`` where it has to be found out."""
    conf_dir: str
    """``""`` for the runtime's."""

    def places(self, *bin_dirs: str) -> Places:
        """Return its directories, with ``bin_dirs`` for the runtime's; raises NodeError."""
        return places.find(
            self.root, runtime=self.runtime, bin_dirs=bin_dirs, conf_dir=self.conf_dir
        )


def with_node(conf_dir: str) -> Callable[[Command], Command]:
    """Add the options behind `Where`; ``conf_dir`` is the help of one, without its default.

    The command gets it as ``where``.
    """

    def decorate(command: Command) -> Command:
        @click.option(
            "--conf-dir",
            metavar="DIR",
            default="",
            help=f"{conf_dir}  [default: where the node's runtime looks]",
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
        @functools.wraps(command)
        def wrapped(
            *args: Any, conf_dir: str, runtime: str | None, prefix: str, **kwargs: Any
        ) -> Any:
            where = Where(Root(prefix), runtime or "", conf_dir)
            return command(*args, where=where, **kwargs)

        return wrapped

    return decorate
