"""The verb ``validate``: what is wrong with configurations, before a container finds out."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click

from cnisdk.cli.options import Settings, with_settings
from cnisdk.cli.plugins import Plugins
from cnisdk.cli.report import explain
from cnisdk.errors import CNIError
from cnisdk.runtime import directory
from cnisdk.runtime.config import NetworkConfig
from cnisdk.runtime.errors import BrokenConfigError
from cnisdk.runtime.validation import Finding, Validation, validate as validated
from cnisdk.types import _json

TIMEOUT = 10.0
"""Seconds that a plugin may take to say its versions."""


class Verdict(NamedTuple):
    """What is found out about one file or name."""

    target: str
    """The file; the name where there is no file."""
    network: str
    """Name of the network, ``""`` if it cannot be read."""
    config: NetworkConfig | None
    found: Validation
    error: CNIError | None = None
    """Why there is no ``config``."""


@click.command()
@click.argument("targets", metavar="[FILE|DIR|NETWORK]...", nargs=-1)
@click.option("--strict", is_flag=True, help="Take notes for problems: every key must be known.")
@click.option("--json", "as_json", is_flag=True, help="Print what is found as JSON.")
@with_settings
def validate(targets: tuple[str, ...], settings: Settings, *, strict: bool, as_json: bool) -> None:
    """Find what is wrong with configurations: files, directories, or networks by their names.

    Reads them, finds their plugins, asks those which versions they speak, and holds keys and
    values against what plugins declare: those installed here, and executables made with this
    SDK.  No other plugin is executed but for its versions.  Without an argument everything in
    the directory of configurations is looked at.

    Status 1 says that something is wrong; notes alone are not, unless --strict.
    """
    known = Plugins(settings.plugin_dirs)
    runtime = settings.runtime(timeout=TIMEOUT)

    def judge(entry: NetworkConfig | CNIError, target: str, *notes: Finding) -> Verdict:
        if isinstance(entry, CNIError):
            return _unread(entry, target)
        found = validated(entry, runtime, known.declared, strict=strict)
        found = found._replace(notes=(*notes, *found.notes))
        if strict:
            found = found._replace(problems=(*found.problems, *found.notes), notes=())
        return Verdict(target, entry.name, entry, found)

    targets = targets or (settings.config_dir,)
    verdicts = [judge(*one) for one in _entries(targets, settings)]
    if as_json:
        click.echo(_json.dumps([_wire(verdict) for verdict in verdicts], indent=2))
    else:
        for verdict in verdicts:
            _tell(verdict)
        if not verdicts:
            click.echo(f"Note: no network configuration in {', '.join(targets)}", err=True)
    if any(verdict.found.problems for verdict in verdicts):
        raise click.exceptions.Exit(1)


Entry = tuple[Any, ...]
"""What was read, or why it was not; where; and what to note about it."""


def _entries(targets: Sequence[str], settings: Settings) -> Iterator[Entry]:
    """Yield what there is to look at; a network's name is noted where another file has it too."""
    first: dict[str, str] = {}
    for target in targets:
        for entry in _read(target, settings):
            path = getattr(entry, "path", "") or target
            name = getattr(entry, "name", "")
            if isinstance(entry, NetworkConfig) and first.setdefault(name, path) != path:
                text = f'"{name}" is the name of {first[name]} too, which comes first'
                yield entry, path, Finding("$.name", f"not used: {text}", name)
            else:
                if name:
                    first.setdefault(name, path)
                yield entry, path


def _read(target: str, settings: Settings) -> list[NetworkConfig | CNIError]:
    try:
        if os.path.isdir(target) or target == settings.config_dir:
            return list(directory.scan(target).entries)
        if "/" in target or target.endswith((".conflist", ".conf", ".json")):
            return [directory.load(target)]
        return [settings.network(target)]
    except CNIError as err:
        return [err]


def _unread(err: CNIError, target: str) -> Verdict:
    problems = err.problems if isinstance(err, BrokenConfigError) else (str(err),)
    found = tuple(_split(problem) for problem in problems)
    network = getattr(err, "name", "")
    return Verdict(target, network, None, Validation(found, (), frozenset()), err)


def _split(problem: str) -> Finding:
    """Return a problem of a file that cannot be used as place and text."""
    path, colon, text = problem.partition(": ")
    return Finding(path, text) if colon and path.startswith("$") else Finding("$", problem)


def _tell(verdict: Verdict) -> None:
    if verdict.error is not None:
        click.echo(explain(verdict.error), err=True)
        return
    config, found = verdict.config, verdict.found
    for note in found.notes:
        click.echo(f"Note: {verdict.target}: {note}", err=True)
    if found.problems:
        click.echo(
            f"Error: network {verdict.network!r} in {verdict.target} would not work as it is meant",
            err=True,
        )
        for problem in found.problems:
            click.echo(f"  {problem}", err=True)
        return
    assert config is not None  # noqa: S101 - or there would be an error
    plugins = ", ".join(plugin.type for plugin in config.plugins)
    takes = f"; takes {', '.join(sorted(found.capabilities))}" if found.capabilities else ""
    unseen = f"; not known: keys of {', '.join(found.unexamined)}" if found.unexamined else ""
    click.echo(f"{verdict.network}: good (version {config.cni_version}; {plugins}{takes}{unseen})")


def _wire(verdict: Verdict) -> dict[str, Any]:
    found = verdict.found
    return {
        "file": verdict.target,
        "network": verdict.network,
        "valid": not found.problems,
        "problems": [_finding(one) for one in found.problems],
        "notes": [_finding(one) for one in found.notes],
        "capabilities": sorted(found.capabilities),
        "unexamined": list(found.unexamined),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    wire = {"path": finding.path, "text": finding.text, "value": finding.value}
    return {**wire, "suggestion": finding.suggestion} if finding.suggestion else wire
