"""``cnisdk calls``: look at the calls that `cnisdk record` keeps."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from cnisdk.cli.options import json_option, warn
from cnisdk.recorder import page
from cnisdk.recorder.call import (
    Call,
    UnreadableError,
    calls as all_calls,
    clear as clear_calls,
    find,
)
from cnisdk.recorder.chain import run_of
from cnisdk.recorder.wrapping import CALLS
from cnisdk.types import _json


@click.group(invoke_without_command=True)
@click.option(
    "--calls", "directory", metavar="DIR", default=CALLS, show_default=True, help="Where they are."
)
@click.option("--container", metavar="ID", default="", help="Only of this one, or that begins so.")
@click.option("--network", metavar="NAME", default="", help="Only of this network.")
@click.option("--plugin", metavar="NAME", default="", help="Only of this plugin.")
@click.option(
    "--verb", metavar="VERB", default="", help="Only of this one; VERSION is left out otherwise."
)
@click.option("--failed", is_flag=True, help="Only those that failed, or did not end.")
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="Only the last so many.")
@json_option
@click.pass_context
def calls(
    ctx: click.Context,
    /,
    directory: str,
    last: int | None,
    *,
    as_json: bool,
    failed: bool,
    **wanted: str,
) -> None:
    """Look at the calls that `cnisdk record` keeps, the newest ones last."""
    ctx.obj = directory
    if ctx.invoked_subcommand is not None:
        return
    with _explained(directory):
        found = [call for call in _all(directory) if _is_wanted(call, failed=failed, **wanted)]
    found = found[-last:] if last else found
    if as_json:
        click.echo(_json.dumps([page.summary(call) for call in found], indent=2))
    elif found:
        click.echo(page.listing(found))
    else:
        click.echo("no such calls", err=True)


@calls.command()
@click.argument("call")
@json_option
@click.pass_obj
def show(directory: str, call: str, *, as_json: bool) -> None:
    """Show all of a CALL: its number, or a file."""
    with _explained(directory):
        found = find(call, directory)
    if as_json:
        click.echo(json.dumps(found.fields, indent=2))  # in ASCII, whatever bytes it has
    else:
        click.echo(page.page(found))


@calls.command()
@click.argument("call")
@json_option
@click.pass_obj
def chain(directory: str, call: str, *, as_json: bool) -> None:
    """Show what each plugin of a network made of the result, in the run that CALL is of."""
    with _explained(directory):
        found = find(call, directory)
        run = run_of(found, _all(directory))
    if as_json:
        click.echo(_json.dumps(page.chain_object(run), indent=2))
    else:
        click.echo(page.chain(run))


@calls.command()
@click.pass_obj
def clear(directory: str) -> None:
    """Forget all calls; recording goes on."""
    with _explained(directory):
        click.echo(f"forgot {clear_calls(directory)} calls")


def _all(directory: str) -> list[Call]:
    problems: list[str] = []
    found = all_calls(directory, problems=problems)
    for problem in problems:
        warn(f"passed over: {page.plain(problem)}")
    return found


def _is_wanted(
    call: Call, *, failed: bool, container: str, network: str, plugin: str, verb: str
) -> bool:
    wanted: list[Any] = [
        call.container.startswith(container),
        not network or call.network == network,
        not plugin or call.plugin == plugin,
        call.command == verb.upper() if verb else call.command != "VERSION",
        not failed or call.failed,
    ]
    return all(wanted)


@contextmanager
def _explained(directory: str) -> Iterator[None]:
    """Say why there is nothing to see."""
    try:
        yield
    except UnreadableError as err:
        click.echo(f"Error: {page.plain(str(err))}", err=True)
        raise click.exceptions.Exit(1) from err
    except FileNotFoundError as err:
        click.echo(f"Error: no calls in {directory}", err=True)
        click.echo("Next: record some with `cnisdk record PLUGIN`", err=True)
        raise click.exceptions.Exit(1) from err
    except OSError as err:
        click.echo(f"Error: {err.filename or directory}: {err.strerror}", err=True)
        if os.geteuid() != 0:
            click.echo("Next: calls are root's to read: run it again with sudo", err=True)
        raise click.exceptions.Exit(1) from err
