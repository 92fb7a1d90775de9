"""The report as one HTML file that needs nothing else: no script from elsewhere, no font, no image.

What is wrong comes first, each with what was sent, what came back and why that is wrong; then
everything else by family, folded.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator
from html import escape

from cnisdk.conformance.check import Level
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.page import SCRIPT, STYLE
from cnisdk.conformance.report import SPEC, summary, tested_in
from cnisdk.conformance.runner import Outcome, Report, Verdict

_LIMIT = 6000

# What a plugin printed stands in the page: nothing of it is executed or fetched.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_NAMES = {Outcome.FAIL: "failed", Outcome.SKIP: "skipped", Outcome.PASS: "passed"}


def document(report: Report) -> str:
    """Return the report as an HTML document."""
    return "\n".join(_document(report)) + "\n"


def _document(report: Report) -> Iterator[str]:
    subject = report.subject
    name = escape(subject.name)
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{name}: CNI conformance</title>\n<style>{STYLE}</style>"
    now = time.strftime("%-d %B %Y, %H:%M UTC", time.gmtime())
    yield f'<p class="soft">CNI conformance, {now}</p>\n<h1>{name}</h1>'
    yield f"<p><code>{escape(subject.executable)}</code>, {subject.kind} plugin. Claims CNI "
    yield f"{escape(', '.join(report.claimed))}; tested in {escape(tested_in(report))}.</p>"
    yield f'<p class="verdict">{_verdict(report)}</p>'
    yield _bar(report)
    yield from _filters(report)
    yield '<p class="none soft" hidden>No check is like that.</p>'
    yield from _failures(report)
    yield from _families(report)
    yield f'<p class="soft">Sentences are quoted from <a href="{SPEC}">SPEC.md</a> 1.1.0 of the '
    yield "CNI project unless another version is named.</p>"
    yield f"<script>{SCRIPT}</script>"


def _verdict(report: Report) -> str:
    if report.of(Outcome.FAIL):
        return escape(summary(report))
    passed, skipped = (len(report.of(outcome)) for outcome in (Outcome.PASS, Outcome.SKIP))
    rest = f", {skipped} say nothing of it" if skipped else ""
    return f"Keeps to the specification: {passed} checks passed{rest}, {report.seconds:.1f} s"


def _bar(report: Report) -> str:
    parts = "".join(
        f'<i class="{outcome}" style="flex: {count}"></i>'
        for outcome in _NAMES
        if (count := len(report.of(outcome)))
    )
    return f'<div class="bar" role="img" aria-label="{escape(summary(report))}">{parts}</div>'


def _filters(report: Report) -> Iterator[str]:
    yield '<div class="filters" hidden>'
    for outcome, name in _NAMES.items():
        yield _button("outcome", outcome, f"{name} {(n := len(report.of(outcome)))}", count=n)
    yield '<span class="gap"></span>'
    for level in Level:
        count = sum(verdict.check.level == level for verdict in report.verdicts)
        yield _button("level", level, f"{level} {count}", count=count)
    yield '<input type="search" placeholder="search" aria-label="search"></div>'


def _button(key: str, value: str, text: str, *, count: int) -> str:
    disabled = "" if count else " disabled"
    return f'<button data-key="{key}" value="{value}"{disabled}>{text}</button>'


def _failures(report: Report) -> Iterator[str]:
    failed = [verdict for level in Level for verdict in report.of(Outcome.FAIL, level)]
    if not failed:
        return
    yield f"<section><h2>What is wrong <small>{len(failed)} checks</small></h2>"
    for verdict in failed:
        yield f'<article class="check" {_attributes(verdict)}><header>{_heading(verdict)}</header>'
        yield f'<div class="body"><p class="wrong">{escape(_cut(verdict.reason))}</p>'
        yield from _sentence(verdict)
        yield from _calls(verdict.executions, unfold=True)
        yield "</div></article>"
    yield "</section>"


def _families(report: Report) -> Iterator[str]:
    families: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts:
        families.setdefault(verdict.check.family, []).append(verdict)
    for family, verdicts in families.items():
        counts = [
            f"{count} {name}{' (above)' if outcome == Outcome.FAIL else ''}"
            for outcome, name in _NAMES.items()
            if (count := sum(verdict.outcome == outcome for verdict in verdicts))
        ]
        rest = [verdict for verdict in verdicts if verdict.outcome != Outcome.FAIL]
        if rest:
            yield f"<section><h2>{family} <small>{', '.join(counts)}</small></h2>"
            for verdict in rest:
                yield from _check(verdict)
            yield "</section>"


def _check(verdict: Verdict) -> Iterator[str]:
    yield f'<details class="check" {_attributes(verdict)}><summary>{_heading(verdict)}</summary>'
    yield '<div class="body">'
    yield from _sentence(verdict)
    yield from _calls(verdict.executions, unfold=False)
    yield "</div></details>"


def _attributes(verdict: Verdict) -> str:
    check = verdict.check
    return f'data-outcome="{verdict.outcome}" data-level="{check.level}" id="{check.id}"'


def _heading(verdict: Verdict) -> str:
    check, outcome = verdict.check, verdict.outcome
    title = re.sub("``(.+?)``", r"<code>\1</code>", escape(check.title))
    if outcome == Outcome.SKIP:
        title += f"<br><em>Skipped: {escape(_cut(verdict.reason))}</em>"
    return (
        f'<span class="mark {outcome}">{outcome}</span><span class="level">{check.level}</span>'
        f'<code>{check.id}</code><span class="time">{verdict.seconds * 1000:.0f} ms</span>'
        f'<span class="title">{title}</span>'
    )


def _sentence(verdict: Verdict) -> Iterator[str]:
    check = verdict.check
    yield f"<blockquote>{escape(check.quote)}<br><small>SPEC, {escape(check.section)}</small>"
    yield "</blockquote>"


def _calls(executions: Iterable[Execution], *, unfold: bool) -> Iterator[str]:
    """Yield the calls of a check; with ``unfold`` the last can be read at once."""
    executions = list(executions)
    for number, done in enumerate(executions, 1):
        opened = " open" if unfold and number == len(executions) else ""
        command = done.command or "no CNI_COMMAND"
        identifier = done.environ.get("CNI_CONTAINERID", "")
        yield f'<details class="call"{opened}><summary>{escape(command)} {escape(identifier)} '
        yield f'<span class="soft">{escape(done.ending())}, {done.seconds * 1000:.0f} ms</span>'
        yield "</summary>"
        names = sorted(done.environ, key=lambda name: not name.startswith("CNI_"))
        environ = "\n".join(f"{name}={done.environ[name]}" for name in names)
        stdin = "(closed)" if done.stdin is None else _pretty(done.stdin)
        yield f'<div class="exchange"><div><h3>sent: stdin</h3><pre>{escape(stdin)}</pre>'
        yield f"<h3>sent: environment</h3><pre>{escape(environ)}</pre></div><div>"
        for name, data in (("stdout", done.stdout), ("stderr", done.stderr)):
            if data:
                yield f"<h3>came back: {name}</h3><pre>{escape(_pretty(data))}</pre>"
        if not done.stdout and not done.stderr:
            yield "<h3>came back</h3><pre>nothing</pre>"
        yield "</div></div>"
        yield '<details><summary class="hand">by hand</summary>'
        yield f"<pre>{escape(_cut(done.script()))}</pre></details></details>"


def _pretty(data: bytes) -> str:
    words = data.decode("utf-8", "backslashreplace")
    if len(words) <= _LIMIT:
        try:
            words = json.dumps(json.loads(words), indent=2, ensure_ascii=False)
        except ValueError:
            return words
    return _cut(words)


def _cut(words: str) -> str:
    return words if len(words) <= _LIMIT else f"{words[:_LIMIT]}... ({len(words)} characters)"
