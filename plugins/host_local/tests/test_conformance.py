"""The plugin keeps to the specification, and leaves nothing whatever its runtime does."""

from cnisdk.conformance.machine import tell
from cnisdk.conformance.runner import Outcome, run
from cnisdk.conformance.subject import Subject


def test_it_keeps_to_the_specification(subject: Subject) -> None:
    report = run(subject)

    failed = report.of(Outcome.FAIL)
    assert not failed, "\n".join(f"{verdict.check.id}: {verdict.reason}" for verdict in failed)
    assert report.of(Outcome.PASS)


def test_no_story_of_a_runtime_leaves_anything(subject: Subject) -> None:
    tell(subject, 3)
