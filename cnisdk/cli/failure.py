"""Failures that are none of the specification's: what happened, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cnisdk.build.errors import BuildError
    from cnisdk.node.errors import NodeError


@contextmanager
def told(kind: "type[NodeError] | type[BuildError]") -> Iterator[None]:
    """Tell a failure of that kind, and exit with status 1."""
    try:
        yield
    except kind as err:
        tell(err)
        raise click.exceptions.Exit(1) from err


def tell(err: "NodeError | BuildError") -> None:
    """Say on stderr why something could not be done."""
    click.echo(f"Error: {err}", err=True)
    if err.step:
        click.echo(f"Next: {err.step}", err=True)
