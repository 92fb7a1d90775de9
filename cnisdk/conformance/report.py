"""What the checks found, for a person on a terminal and for a program as JSON."""

import textwrap
from typing import Any

from cnisdk.conformance.execution import Execution
from cnisdk.conformance.runner import Outcome, Report, Verdict

SPEC = "https://github.com/containernetworking/cni/blob/main/SPEC.md"

_WIDTH = 96
_LIMIT = 4000
_MARKS = {Outcome.PASS: "pass", Outcome.FAIL: "FAIL", Outcome.SKIP: "skip"}


def heading(report: Report) -> str:
    """Return what was tested, and how."""
    subject = report.subject
    return (
        f"{subject.executable}: {subject.kind} plugin, claims {', '.join(report.claimed)}, "
        f"tested in {tested_in(report)}"
    )


def tested_in(report: Report) -> str:
    """Return the version of the specification that was tested with."""
    usable = report.subject.usable_versions(list(report.claimed))
    return usable[-1] if usable else "no version that is known"


def summary(report: Report) -> str:
    """Return the counts as one line."""
    failed = report.of(Outcome.FAIL)
    levels = [str(verdict.check.level) for verdict in failed]
    split = f" ({levels.count('MUST')} MUST, {levels.count('SHOULD')} SHOULD)" if failed else ""
    return (
        f"{len(report.of(Outcome.PASS))} passed, {len(failed)} failed{split}, "
        f"{len(report.of(Outcome.SKIP))} skipped in {report.seconds:.1f} s"
    )


def text(report: Report, *, verbose: bool = False) -> str:
    """Return the report for a terminal: failures, and with ``verbose`` everything."""
    lines = [heading(report), ""]
    for verdict in report.verdicts:
        if verdict.outcome == Outcome.FAIL:
            lines += failure(verdict)
        elif verbose:
            reason = f": {verdict.reason}" if verdict.reason else ""
            lines.append(f"{_line(verdict)}{reason}")
    if not verbose:
        lines += _skips(report)
    return "\n".join([*lines, summary(report)])


def _line(verdict: Verdict) -> str:
    check = verdict.check
    return f"{_MARKS[verdict.outcome]}  {check.level:<6}  {check.id}"


def failure(verdict: Verdict) -> list[str]:
    """Return a failed check as lines: what is wrong, the sentence, and the last call."""
    check = verdict.check
    lines = [_line(verdict), *_wrapped(check.title), *_indented(verdict.reason, "    ! ")]
    lines += _wrapped(f'SPEC, {check.section}: "{check.quote}"')
    if verdict.executions:
        last = verdict.executions[-1]
        lines += ["    $ " + _cut(last.script()), *_indented(answer(last), "    > ")]
    return [*lines, ""]


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _indented(words: str, prefix: str) -> list[str]:
    return [f"{prefix}{line}" for line in words.splitlines()]


def _skips(report: Report) -> list[str]:
    skipped: dict[str, list[str]] = {}
    for verdict in report.of(Outcome.SKIP):
        skipped.setdefault(verdict.reason, []).append(verdict.check.id)
    lines = []
    for reason, ids in skipped.items():
        lines += textwrap.wrap(f"skip {', '.join(ids)}: {reason}", _WIDTH, subsequent_indent="    ")
    return [*lines, ""] if lines else []


def answer(done: Execution) -> str:
    """Return how an execution ended and what it wrote."""
    parts = [f"{done.ending()} after {done.seconds * 1000:.0f} ms"]
    for name, data in (("stdout", done.stdout), ("stderr", done.stderr)):
        if data.strip():
            parts.append(f"{name}: {_cut(data.decode('utf-8', 'backslashreplace').strip())}")
    return "\n".join(parts)


def _cut(words: str) -> str:
    return words if len(words) <= _LIMIT else f"{words[:_LIMIT]}... ({len(words)} characters)"


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as a JSON object."""
    subject = report.subject
    return {
        "executable": subject.executable,
        "kind": str(subject.kind),
        "claimedVersions": list(report.claimed),
        "seconds": round(report.seconds, 3),
        "passed": len(report.of(Outcome.PASS)),
        "failed": len(report.of(Outcome.FAIL)),
        "skipped": len(report.of(Outcome.SKIP)),
        "verdicts": [_verdict(verdict) for verdict in report.verdicts],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    check = verdict.check
    return {
        "id": check.id,
        "level": str(check.level),
        "title": check.title,
        "section": check.section,
        "quote": check.quote,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason,
        "seconds": round(verdict.seconds, 3),
        "calls": [_execution(done) for done in verdict.executions],
    }


def _execution(done: Execution) -> dict[str, Any]:
    def decoded(data: bytes | None) -> str | None:
        return None if data is None else _cut(data.decode("utf-8", "backslashreplace"))

    return {
        "environ": dict(done.environ),
        "stdin": decoded(done.stdin),
        "status": done.status,
        "timedOut": done.timed_out,
        "stdout": decoded(done.stdout),
        "stderr": decoded(done.stderr),
        "seconds": round(done.seconds, 4),
    }
