"""The verb that looks at a node and says what is wrong with it."""

import os
from typing import Any

import click

from cnisdk.cli.failure import told
from cnisdk.cli.node import Where, bin_dirs_option, queue_option, with_node
from cnisdk.cli.options import json_option
from cnisdk.console.common_options import cache_dir_option
from cnisdk.node.doctor.examine import examine
from cnisdk.node.doctor.finding import Report
from cnisdk.node.doctor.node import Node
from cnisdk.node.errors import NodeError
from cnisdk.picture import leftovers
from cnisdk.recorder import recorders


@click.command()
@bin_dirs_option
@with_node("Directory of networks.")
@cache_dir_option
@click.option(
    "--socket",
    metavar="PATH",
    default="",
    help="Where an agent listens.  [default: where plugins look for one]",
)
@queue_option
@json_option
def doctor(
    bin_dirs: tuple[str, ...],
    where: Where,
    cache_dir: str,
    socket: str,
    queue: str,
    *,
    as_json: bool,
) -> None:
    """Look at a node and say what would stop its plugins from working, and how to mend it.

    Changes nothing.  Exit status 1 if there is a problem, 0 if there are at most warnings.
    """
    with told(NodeError):
        places = where.places(*bin_dirs)
    node = Node(where.root, places, cache_dir=cache_dir, socket=socket, queue_dir=queue)
    more = {"links and rules": leftovers.check, "recorders": recorders.check}
    report = examine(node, more)
    if as_json:
        from cnisdk.types import _json

        click.echo(_json.dumps(_object(node, report), indent=4))
    else:
        _print(node, report)
    if report.has_problems:
        raise click.exceptions.Exit(1)


def _print(node: Node, report: Report) -> None:
    for finding in report.findings:
        click.echo(f"{finding.level}: {finding.subject}: {finding.text}  [{finding.check}]")
        click.echo(f"  mend: {finding.mend}")
    for unseen in report.unseen:
        click.echo(f"not looked at: {unseen.what}: {unseen.why}")
    if report.unseen and os.geteuid() != 0:
        click.echo("  as root there is more to see: run it again with sudo")
    problems = sum(finding.level == "problem" for finding in report.findings)
    warnings = len(report.findings) - problems
    where = node.places
    click.echo(
        f"{_number(problems, 'problem')}, {_number(warnings, 'warning')}; plugins in "
        f"{', '.join(where.bin_dirs)}, networks in {where.conf_dir} ({where.why})"
    )


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _object(node: Node, report: Report) -> dict[str, Any]:
    where = node.places
    return {
        "runtime": where.runtime,
        "binDirs": list(where.bin_dirs),
        "confDir": where.conf_dir,
        "findings": [finding._asdict() for finding in report.findings],
        "unseen": [unseen._asdict() for unseen in report.unseen],
    }
