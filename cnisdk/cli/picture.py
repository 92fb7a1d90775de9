"""The verb that draws a node's networks."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnisdk.cli.node import queue_option
from cnisdk.cli.options import Settings, json_option, with_settings
from cnisdk.cli.paint import paint

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnisdk.picture.model import Picture


@click.command()
@with_settings
@queue_option
@json_option
@click.option(
    "--svg", metavar="FILE", type=click.Path(path_type=Path), help="Draw it; '-' is stdout."
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a page with search and zoom; '-' is stdout.",
)
@click.option(
    "--serve",
    metavar="PORT",
    is_flag=False,
    flag_value=0,
    default=None,
    type=click.IntRange(0, 65535),
    help="Serve the page on loopback, always as things are now; without PORT, any that is free.",
)
def show(
    settings: Settings,
    queue: str,
    svg: Path | None,
    html: Path | None,
    serve: int | None,
    *,
    as_json: bool,
) -> None:
    """Show what this node's networks look like now, and what in them does not belong.

    Networks, bridges, ports, containers, addresses, routes, published ports and masquerading, as
    the kernel has them and runtimes remember them.  Changes nothing.  Exit status 1 if something
    does not belong there.
    """
    from cnisdk.node.doctor.node import Node
    from cnisdk.node.places import Places
    from cnisdk.node.root import Root
    from cnisdk.picture import tree
    from cnisdk.picture.scene import scene
    from cnisdk.picture.survey import survey

    def look() -> "Picture":
        places = Places("", settings.plugin_dirs, settings.config_dir, "as it was said")
        return survey(
            Node(Root(), places, cache_dir=settings.cache_dir, socket="", queue_dir=queue)
        )

    if serve is not None:
        _serve(look, serve)
        return
    picture = look()
    if svg is not None:
        from cnisdk.picture.svg import drawing

        _write(svg, drawing(scene(picture)))
    if html is not None:
        from cnisdk.picture.html import document

        _write(html, document(picture))
    if as_json:
        from cnisdk.types import _json

        click.echo(_json.dumps(picture.wire(), indent=4))
    elif svg is None and html is None:
        for line in tree.lines(scene(picture), paint):
            click.echo(line)
    if picture.wrong:
        raise click.exceptions.Exit(1)


def _write(path: Path, text: str) -> None:
    """Write a drawing, whole or not at all; somebody may be looking at the one before."""
    if str(path) == "-":
        click.echo(text, nl=False)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as err:
        raise click.FileError(str(path), err.strerror or str(err)) from err


def _serve(look: "Callable[[], Picture]", port: int) -> None:
    from cnisdk.picture.serve import Server

    try:
        server = Server(look, port)
    except OSError as err:
        click.echo(f"Error: cannot listen on port {port}: {err.strerror}", err=True)
        raise click.exceptions.Exit(1) from err
    with server:
        click.echo(f"{server.url}    (Ctrl+C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("", err=True)
