"""``cnisdk conformance``: hold a plugin to the specification."""

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnisdk.cli.subject import KINDS, enter, save, subject_of, subject_options

if TYPE_CHECKING:
    from cnisdk.conformance.check import Check
    from cnisdk.conformance.runner import Report, Verdict


@click.command()
@click.argument("executable", required=False)
@subject_options(KINDS)
@click.option("--check", "only", metavar="ID", multiple=True, help="Run this check; repeatable.")
@click.option("--list", "list_", is_flag=True, help="List the checks and run none.")
@click.option("--json", "json_", metavar="FILE", type=Path, help="Write the report as JSON.")
@click.option("--junit", metavar="FILE", type=Path, help="Write the report as JUnit XML.")
@click.option("--html", metavar="FILE", type=Path, help="Write the report as one HTML file.")
@click.option("--must", is_flag=True, help="Let only a failed MUST make the exit status 1.")
@click.option("-v", "--verbose", is_flag=True, help="Show passed and skipped checks too.")
def conformance(executable: str | None, *, list_: bool, **options: Any) -> None:
    """Hold any CNI plugin, in any language, to the specification.

    Every "must" and "should" that can be seen from outside is a check.  They run in namespaces
    of their own, without root.  The exit status is 0 if all is well, 1 if a check failed, and 2
    if nothing could be tested.
    """
    if list_:
        _list()
        return
    if executable is None:
        raise click.UsageError("Missing argument 'EXECUTABLE'.")
    subject = subject_of(executable, options)
    enter()
    from cnisdk.conformance.check import Level
    from cnisdk.conformance.checks import REGISTRY
    from cnisdk.conformance.report import text
    from cnisdk.conformance.runner import Outcome, applicable, run

    only = options["only"]
    if unknown := [i for i in only if i not in REGISTRY]:
        raise click.UsageError(f"No check {', '.join(unknown)}; --list shows them.")
    chosen = [check for check in applicable(subject) if not only or check.id in only]
    if not chosen:
        raise click.UsageError(f"None of these checks is for {subject.kind} plugins.")
    try:
        with _progress(chosen) as progress:
            report = run(subject, only={check.id for check in chosen}, progress=progress)
    except OSError as err:
        raise click.UsageError(f"{executable}: {err.strerror or err}") from err
    _write(report, options)
    click.echo(text(report, verbose=options["verbose"]))
    level = Level.MUST if options["must"] else None
    raise click.exceptions.Exit(1 if report.of(Outcome.FAIL, level) else 0)


@contextlib.contextmanager
def _progress(chosen: "list[Check]") -> Iterator["Callable[[Verdict], object]"]:
    """Show how far it is, where somebody is looking."""
    if not sys.stderr.isatty():
        yield lambda verdict: None
        return
    lock = threading.Lock()
    with click.progressbar(
        length=len(chosen),
        label="checking",
        file=sys.stderr,
        item_show_func=lambda verdict: verdict.check.id if verdict else None,
    ) as bar:

        def tell(verdict: "Verdict") -> None:
            with lock:
                bar.update(1, verdict)

        yield tell


def _write(report: "Report", options: dict[str, Any]) -> None:
    if options["json_"]:
        from cnisdk.conformance.report import as_json

        save(options["json_"], json.dumps(as_json(report), indent=2).encode() + b"\n")
    if options["junit"]:
        from cnisdk.conformance import junit

        save(options["junit"], junit.document(report))
    if options["html"]:
        from cnisdk.conformance import html

        save(options["html"], html.document(report).encode())


def _list() -> None:
    from cnisdk.conformance.checks import REGISTRY

    for check in REGISTRY.values():
        click.echo(f"{check.id:<36} {check.level:<6}  {check.title}")
