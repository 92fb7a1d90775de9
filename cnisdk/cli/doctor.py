"""The verb that looks at a node and says what is wrong with it."""

import os
from typing import Any

import click

from cnisdk.agent.queue import DIRECTORY
from cnisdk.console.common_options import cache_dir_option
from cnisdk.node import places
from cnisdk.node.doctor.examine import examine
from cnisdk.node.doctor.finding import Report
from cnisdk.node.doctor.node import Node
from cnisdk.node.errors import NodeError
from cnisdk.node.root import Root


@click.command()
@click.option(
    "--bin-dir",
    "bin_dirs",
    metavar="DIR",
    multiple=True,
    help="Directory of plugins; may be repeated.  [default: where the node's runtime looks]",
)
@click.option(
    "--conf-dir",
    metavar="DIR",
    default="",
    help="Directory of networks.  [default: where the node's runtime looks]",
)
@click.option(
    "--runtime",
    type=click.Choice(list(places.RUNTIMES)),
    default=None,
    help="Whose directories are meant.  [default: found out]",
)
@cache_dir_option
@click.option(
    "--socket",
    metavar="PATH",
    default="",
    help="Where an agent listens.  [default: where plugins look for one]",
)
@click.option(
    "--queue",
    metavar="DIR",
    default=DIRECTORY,
    show_default=True,
    help="Directory of the DELs that wait for an agent.",
)
@click.option(
    "--prefix",
    metavar="DIR",
    default="/",
    show_default=True,
    type=click.Path(exists=True, file_okay=False),
    help="The node's root, where it is mounted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(
    bin_dirs: tuple[str, ...],
    conf_dir: str,
    runtime: str | None,
    cache_dir: str,
    socket: str,
    queue: str,
    prefix: str,
    *,
    as_json: bool,
) -> None:
    """Look at a node and say what would stop its plugins from working, and how to mend it.

    Changes nothing.  Exit status 1 if there is a problem, 0 if there are at most warnings.
    """
    root = Root(prefix)
    try:
        where = places.find(root, runtime=runtime or "", bin_dirs=bin_dirs, conf_dir=conf_dir)
    except NodeError as err:
        click.echo(f"Error: {err}", err=True)
        click.echo(f"Next: {err.step}", err=True)
        raise click.exceptions.Exit(1) from err
    node = Node(root, where, cache_dir=cache_dir, socket=socket, queue_dir=queue)
    report = examine(node)
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
