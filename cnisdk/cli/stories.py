"""``cnisdk stories``: let containers come, go, fail and die, and see what a plugin leaves."""

from typing import Any

import click

from cnisdk.cli.subject import enter, subject_of, subject_options


@click.command()
@click.argument("executable")
@subject_options(
    ("interface", "ipam"),
    config="Configuration, see `cnisdk conformance`; $STATE in a string is a directory of each "
    "story's own.  [default: one made for the kind]",
)
@click.option(
    "-n",
    "--stories",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Tell so many stories.",
)
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Steps of the longest story.",
)
def stories(executable: str, **options: Any) -> None:
    """Let containers come, go, fail and die, and see what a plugin leaves.

    Stories are made up.  The shortest that goes wrong is printed as a shell script, and the exit
    status is 1.  Needs hypothesis, which is in the extra `test`.
    """
    from importlib.util import find_spec

    if find_spec("hypothesis") is None:
        raise click.UsageError("stories need hypothesis: pip install 'cnisdk[test]'")
    subject = subject_of(executable, options)
    enter()
    from cnisdk.conformance.check import Kind
    from cnisdk.conformance.machine import tell

    if subject.kind is Kind.CHAINED:
        raise click.UsageError("stories are of interface and of IPAM plugins")
    try:
        tell(subject, options["stories"], steps=options["steps"])
    except AssertionError as err:
        click.echo(str(err))
        raise click.exceptions.Exit(1) from err
    click.echo(f"{subject.name}: {options['stories']} stories, all went well")
