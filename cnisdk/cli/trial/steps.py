"""Steps on the terminal: what is done, what came of it, how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

_WIDTH_OF_NAME = 22
_WIDTH_OF_OUTCOME = 46


class Step:
    """A step under way; ``outcome`` is shown beside its name at the end."""

    outcome = ""


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Show the block as one line when it ends, with its time, as failed if it raises."""
    doing = Step()
    start = time.perf_counter()
    try:
        yield doing
    except BaseException:
        click.echo(f" {click.style('✗', fg='red', bold=True)} {name}", err=True)
        raise
    took = f"{(time.perf_counter() - start) * 1000:.1f} ms"
    click.echo(
        f" {click.style('✓', fg='green')} {name:{_WIDTH_OF_NAME}}"
        f" {click.style(f'{doing.outcome:{_WIDTH_OF_OUTCOME}}', fg='cyan')}"
        f" {click.style(f'{took:>9}', dim=True)}"
    )
