"""The verb that begins a plugin."""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

KINDS = ("interface", "chained", "ipam")


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", value):
        raise click.BadParameter("lower case letters, digits and hyphens, as in my-plugin")
    return value


@click.command()
@click.argument("name", callback=_name)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="Makes the container's interface, adjusts what another plugin made, or gives addresses.  "
    "[default: asked, or interface]",
)
@click.option("--description", metavar="TEXT", help="What it does, in one line.")
@click.option("--no-input", is_flag=True, help="Ask nothing.")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the project's directory is made.  [default: here]",
)
def new(
    name: str, kind: str | None, description: str | None, output: Path, *, no_input: bool
) -> None:
    """Make a project for a plugin called NAME: hooks that work, tests, configuration.

    Needs cookiecutter: pip install 'cnisdk[new]'.
    """
    answers = {"name": name, "kind": kind, "description": description}
    given = {key: value for key, value in answers.items() if value is not None}
    made = make(template(), given, output, no_input=no_input)
    click.echo(made)
    click.echo(f"Next: cd {made.name} && make demo", err=True)


def make(source: Path, answers: Mapping[str, str], output: Path, *, no_input: bool = True) -> Path:
    """Make a project of the template ``source`` in ``output`` and return its directory.

    click.ClickException if none could be made; then there is no part of one either.
    """
    try:
        from cookiecutter.exceptions import CookiecutterException
        from cookiecutter.main import cookiecutter
    except ImportError as err:
        raise click.ClickException("cookiecutter is missing; pip install 'cnisdk[new]'") from err
    try:
        with _passing() as directory:
            made = cookiecutter(
                str(source),
                no_input=no_input,
                extra_context=dict(answers),
                output_dir=str(directory / "made"),
                config_file=str(directory / "config.yaml"),
            )
            return _put(Path(made), output.absolute())
    except (CookiecutterException, OSError) as err:
        raise click.ClickException(f"no project was made: {err}") from err


def _put(made: Path, output: Path) -> Path:
    """Copy a project into ``output``, whole or not at all."""
    target = output / made.name
    exists = click.ClickException(f"no project was made: {target} already exists")
    if os.path.lexists(target):
        raise exists
    with tempfile.TemporaryDirectory(prefix=".cnisdk-new-", dir=output) as beside:
        copy = Path(beside, made.name)
        try:
            shutil.copytree(made, copy)
        except shutil.Error as err:
            (_, _, why), *_ = err.args[0]  # of all files the first that was not copied
            raise click.ClickException(f"no project was made: {why}") from err
        try:
            copy.rename(target)
        except OSError as err:
            if err.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise exists from err  # made since
            raise
    return target


@contextmanager
def _passing() -> Iterator[Path]:
    """Yield a directory that takes all that cookiecutter leaves, with its configuration.

    By itself it leaves the hooks that it ran where `tempfile` makes files, the answers in the home
    directory, and half a project where the disk was full.  What a user has configured for it does
    not count.
    """
    with tempfile.TemporaryDirectory(prefix="cnisdk-new-") as directory:
        places = dict.fromkeys(("replay_dir", "cookiecutters_dir"), f"{directory}/kept")
        Path(directory, "config.yaml").write_text(json.dumps(places))  # which is YAML, too
        before, tempfile.tempdir = tempfile.tempdir, directory
        try:
            yield Path(directory)
        finally:
            tempfile.tempdir = before


def template() -> Path:
    """Return the directory of the template: in a wheel ours, else the checkout's."""
    package = Path(__file__).parents[1]
    inside = package / "template"
    return inside if inside.is_dir() else package.parent / "cookiecutter"
