"""``cnisdk sweep``: interrupt an ADD at everything it changes, and see what DEL leaves."""

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnisdk.cli.subject import KINDS, enter, save, subject_of, subject_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cnisdk.conformance.sweep import Point, Sweep

_STORIES = 2  # of each point: DEL with the namespace and without


@click.command()
@click.argument("executable")
@subject_options(KINDS)
@click.option(
    "--mode",
    type=click.Choice(("kill", "error")),
    default="kill",
    show_default=True,
    help="Kill the plugin and all that it started, or let the system call fail.",
)
@click.option(
    "--points",
    metavar="N",
    type=click.IntRange(min=1),
    help="Try so many points, spread over all.  [default: all]",
)
@click.option(
    "--point", metavar="N", type=click.IntRange(min=1), help="Try this point and show its calls."
)
@click.option("--warm", is_flag=True, help="Keep another container attached all the while.")
@click.option(
    "--agent",
    is_flag=True,
    help="Have the calls made by `cnisdk agent`, which serves the plugins that are installed "
    "here, and interfere with that.",
)
@click.option("--list", "list_", is_flag=True, help="List the points and what each changes.")
@click.option("--json", "json_", metavar="FILE", type=Path, help="Write the findings as JSON.")
def sweep(executable: str, **options: Any) -> None:
    """Interrupt an ADD at everything it changes, and see what DEL leaves.

    A point is a system call of an ADD that changes something, in the plugin or in what it
    starts.  For each there is a fresh private host: an ADD that is interrupted there, a DEL, a
    look around, another container.  Then the same with a DEL without namespace.  The exit
    status is 0 if nothing was ever left, 1 if something was, 2 if nothing could be tried.
    """
    subject = subject_of(executable, options)
    enter()
    from cnisdk.conformance.agent import AgentError
    from cnisdk.conformance.check import Inapplicable
    from cnisdk.conformance.ptrace import UnsupportedError
    from cnisdk.conformance.sweep import changes, sweep as run
    from cnisdk.conformance.tracees import Mode

    try:
        if options["list_"]:
            how = {key: options[key] for key in ("warm", "agent")}
            for number, change in enumerate(changes(subject, **how), 1):
                click.echo(f"{number:4}  {change}")
            return
        with _progress() as (started, progress):
            found = run(
                subject,
                mode=Mode(options["mode"]),
                most=options["points"] or 0,
                only=options["point"] or 0,
                warm=options["warm"],
                agent=options["agent"],
                started=started,
                progress=progress,
            )
    except Inapplicable as err:
        raise click.UsageError(f"an ADD that is left alone does not work:\n{err}") from err
    except (OSError, UnsupportedError, AgentError) as err:
        raise click.UsageError(f"{executable}: {err}") from err
    if options["json_"]:
        save(options["json_"], json.dumps(_object(found), indent=2).encode() + b"\n")
    click.echo(text(found, verbose=bool(options["point"])))
    raise click.exceptions.Exit(1 if found.failed else 0)


@contextlib.contextmanager
def _progress() -> "Iterator[tuple[Callable[[int], object], Callable[[Point], object]]]":
    """Show how far it is, where somebody is looking."""
    if not sys.stderr.isatty():
        yield lambda length: None, lambda point: None
        return
    with click.progressbar(length=1, label="sweeping", file=sys.stderr) as bar:

        def started(length: int) -> None:
            bar.length = length

        yield started, lambda point: bar.update(1)


def text(found: "Sweep", *, verbose: bool = False) -> str:
    """Return what a person is to read of it."""
    tried = len(found.points) // _STORIES
    lines = []
    for point in found.points if verbose else found.failed:
        lines.append(f"point {point.number}, DEL {point.way}")
        lines.append(f"    at: {point.change or 'not reached this time'}")
        lines += [f"    {line}" for problem in point.problems for line in problem.splitlines()]
        if verbose:
            lines += [f"    {done.script()}  # {done.ending()}" for done in point.executions]
    name, mode = found.subject.name, found.mode
    lines.append(
        f"{name}, {mode}: {tried} of {len(found.changes)} points tried, each with a DEL with and "
        f"without the namespace: {len({p.number for p in found.failed}) or 'none'} left something"
    )
    return "\n".join(lines)


def _object(found: "Sweep") -> dict[str, Any]:
    return {
        "executable": found.subject.executable,
        "mode": str(found.mode),
        "changes": [str(change) for change in found.changes],
        "points": [
            {
                "point": point.number,
                "at": str(point.change) if point.change else None,
                "delete": point.way,
                "problems": list(point.problems),
            }
            for point in found.points
        ],
    }
