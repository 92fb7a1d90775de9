"""The kit does not ask in which language a plugin is written."""

from pathlib import Path

from cnisdk.conformance.check import Kind
from cnisdk.conformance.checks import REGISTRY
from cnisdk.conformance.runner import Outcome, Report, run
from cnisdk.conformance.subject import Subject
from tests.conformance.mutants import source

SHELL = Path(__file__).parent / "plugins" / "shell-ipam"


def reasons(report: Report) -> dict[str, str]:
    return {v.check.id: v.reason for v in report.verdicts if v.outcome != Outcome.PASS}


def test_a_plugin_in_shell_passes_every_check() -> None:
    assert reasons(run(Subject(executable=str(SHELL), kind=Kind.IPAM))) == {}


def test_a_plugin_in_bare_python_passes(tmp_path: Path) -> None:
    """That it passes every check is for test_mutants to say, without starting Python each time."""
    executable = source.write("chained", tmp_path / "tiny")
    families = ("version/", "errors/", "add/", "chained/", "surroundings/", "kill/")
    only = [identifier for identifier in REGISTRY if identifier.startswith(families)]

    report = run(Subject(executable=str(executable), kind=Kind.CHAINED), only=only)

    assert reasons(report) == {}
