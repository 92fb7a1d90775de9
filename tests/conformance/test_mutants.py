"""Proof that the kit can fail, and that each check fails for its own reason alone."""

import pytest

from cnisdk.conformance.check import Kind
from cnisdk.conformance.checks import REGISTRY, status, version
from cnisdk.conformance.runner import Outcome, Report, run
from cnisdk.conformance.subject import Subject
from tests.conformance.mutants.source import source
from tests.conformance.mutants.table import MUTANTS, Mutant
from tests.conformance.mutants.zygote import Zygote


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take less than the seconds that a plugin is given in earnest."""
    monkeypatch.setattr(version, "PATIENCE", 1.0)
    monkeypatch.setattr(status, "QUICK", 1.0)


def judge(zygote: Zygote, kind: str, text: str) -> Report:
    subject = Subject(executable=f"/nowhere/{kind}", kind=Kind(kind), spawn=zygote.spawning(text))
    return run(subject, workers=1)


def mutated(mutant: Mutant) -> str:
    text = source(mutant.kind)
    assert text.count(mutant.old) == 1, f"{mutant.old!r} is there {text.count(mutant.old)} times"
    return text.replace(mutant.old, mutant.new)


def test_every_check_has_a_mutant() -> None:
    assert set(MUTANTS) == set(REGISTRY)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_right_plugin_passes_every_check(kind: Kind, zygote: Zygote) -> None:
    report = judge(zygote, kind, source(kind))

    assert [(v.check.id, v.reason) for v in report.verdicts if v.outcome != Outcome.PASS] == []


@pytest.mark.parametrize("check", MUTANTS)
def test_a_mutant_is_caught_by_its_own_check_alone(check: str, zygote: Zygote) -> None:
    mutant = MUTANTS[check]

    report = judge(zygote, mutant.kind, mutated(mutant))

    assert {v.check.id: v.reason for v in report.of(Outcome.FAIL)}.keys() == {check}


def test_the_text_of_a_tiny_plugin_is_whole() -> None:
    for kind in Kind:
        assert "tests.conformance" not in source(kind)
