"""The report as one HTML file that needs nothing else: no script from elsewhere, no font, no image.

Without scripting it is complete and readable; with it, verdicts can be filtered.
"""

import json
from collections.abc import Iterable, Iterator
from html import escape

from cnisdk.conformance.execution import Execution
from cnisdk.conformance.report import SPEC, summary
from cnisdk.conformance.runner import Outcome, Report, Verdict

_LIMIT = 6000

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6575; --line: #dfe3ea; --paper: #fff;
  --wash: #f5f7fa; --pass: #1a7f4b; --fail: #c02c38; --skip: #8a6d1a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --soft: #9aa5b5; --line: #333b48;
  --paper: #14181f; --wash: #1c222c; --pass: #4cc38a; --fail: #ff7b86; --skip: #e2c15c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; text-transform: capitalize; }
h2 small { color: var(--soft); font-weight: normal; text-transform: none; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
code, pre { font: .84rem/1.45 ui-monospace, monospace; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 6px; margin: .3rem 0;
  padding: .6rem .8rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.bar { display: flex; height: .6rem; border-radius: 99px; overflow: hidden; margin: 1.2rem 0 .8rem;
  background: var(--line); }
.bar i { display: block; } .bar .pass { background: var(--pass); }
.bar .fail { background: var(--fail); } .bar .skip { background: var(--skip); }
.filters { display: flex; flex-wrap: wrap; gap: .5rem; position: sticky; top: 0; padding: .6rem 0;
  background: var(--paper); border-bottom: 1px solid var(--line); z-index: 1; }
button, input[type=search] { font: inherit; color: inherit; background: var(--wash);
  border: 1px solid var(--line); border-radius: 99px; padding: .2rem .9rem; }
button { cursor: pointer; } button[aria-pressed=true] { background: var(--ink);
  color: var(--paper); border-color: var(--ink); }
input[type=search] { flex: 1 1 12rem; min-width: 8rem; }
details.check { border-top: 1px solid var(--line); }
details.check > summary { cursor: pointer; display: grid; gap: 0 .8rem; padding: .5rem .2rem;
  grid-template-columns: 3.2rem 4.6rem 1fr auto; align-items: baseline; list-style: none; }
summary::-webkit-details-marker { display: none; }
details.check > summary:hover { background: var(--wash); }
summary .title { grid-column: 3 / -1; color: var(--soft); font-size: .93rem; }
.mark { font-weight: 600; } .mark.pass { color: var(--pass); } .mark.fail { color: var(--fail); }
.mark.skip { color: var(--skip); } .level { font-size: .78rem; color: var(--soft); }
.body { padding: .2rem .2rem 1rem 8.9rem; }
blockquote { margin: .6rem 0; padding: .1rem 0 .1rem .9rem; border-left: 3px solid var(--line);
  color: var(--soft); }
.wrong { border-left: 3px solid var(--fail); padding-left: .9rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
details.call { margin: .5rem 0; } details.call > summary { cursor: pointer; list-style: revert; }
h3 { font-size: .8rem; color: var(--soft); margin: .6rem 0 0; font-weight: 600; }
[hidden] { display: none !important; }
@media (max-width: 40rem) { .body { padding-left: .2rem; } }
@media print { .filters { display: none; } }
"""

_SCRIPT = """
const checks = [...document.querySelectorAll('details.check')];
const sections = [...document.querySelectorAll('section')];
const buttons = [...document.querySelectorAll('button[data-show]')];
const search = document.querySelector('input[type=search]');
document.querySelector('.filters').hidden = false;
let show = 'all';
function apply() {
  const words = search.value.trim().toLowerCase();
  for (const check of checks)
    check.hidden = (show !== 'all' && check.dataset.outcome !== show) ||
      !check.textContent.toLowerCase().includes(words);
  for (const section of sections)
    section.hidden = !section.querySelector('details.check:not([hidden])');
  for (const button of buttons)
    button.setAttribute('aria-pressed', String(button.dataset.show === show));
}
for (const button of buttons)
  button.addEventListener('click', () => { show = button.dataset.show; apply(); });
search.addEventListener('input', apply);
apply();
"""


def document(report: Report) -> str:
    """Return the report as an HTML document."""
    return "\n".join(_document(report)) + "\n"


def _document(report: Report) -> Iterator[str]:
    subject = report.subject
    name = escape(subject.name)
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{name}: CNI conformance</title>\n<style>{_STYLE}</style>"
    yield f'<p class="soft">CNI conformance</p>\n<h1>{name}</h1>'
    yield f"<p><code>{escape(subject.executable)}</code>, {subject.kind} plugin, claims CNI "
    yield f"{escape(', '.join(report.claimed))}.</p>"
    yield f"<p><strong>{escape(summary(report))}</strong></p>"
    yield _bar(report)
    yield from _filters(report)
    families: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts:
        families.setdefault(verdict.check.family, []).append(verdict)
    for family, verdicts in families.items():
        passed = sum(verdict.outcome == Outcome.PASS for verdict in verdicts)
        yield f"<section><h2>{family} <small>{passed} of {len(verdicts)} passed</small></h2>"
        for verdict in verdicts:
            yield from _check(verdict)
        yield "</section>"
    yield f'<p class="soft">Sentences are quoted from <a href="{SPEC}">SPEC.md</a> 1.1.0 of the '
    yield "CNI project unless another version is named.</p>"
    yield f"<script>{_SCRIPT}</script>"


def _bar(report: Report) -> str:
    parts = "".join(
        f'<i class="{outcome}" style="flex: {len(report.of(outcome))}"></i>' for outcome in Outcome
    )
    return f'<div class="bar" role="img" aria-label="{escape(summary(report))}">{parts}</div>'


def _filters(report: Report) -> Iterator[str]:
    yield '<div class="filters" hidden>'
    yield f'<button data-show="all">all {len(report.verdicts)}</button>'
    names = {Outcome.FAIL: "failed", Outcome.SKIP: "skipped", Outcome.PASS: "passed"}
    for outcome, name in names.items():
        yield f'<button data-show="{outcome}">{name} {len(report.of(outcome))}</button>'
    yield '<input type="search" placeholder="search" aria-label="search"></div>'


def _check(verdict: Verdict) -> Iterator[str]:
    check, outcome = verdict.check, verdict.outcome
    unfold = " open" if outcome == Outcome.FAIL else ""
    yield f'<details class="check" data-outcome="{outcome}" id="{check.id}"{unfold}><summary>'
    yield f'<span class="mark {outcome}">{outcome}</span>'
    yield f'<span class="level">{check.level}</span><code>{check.id}</code>'
    yield f'<span class="soft">{verdict.seconds * 1000:.0f} ms</span>'
    yield f'<span class="title">{escape(check.title)}</span></summary><div class="body">'
    if verdict.reason:
        css = "wrong" if outcome == Outcome.FAIL else "soft"
        yield f'<p class="{css}">{escape(_cut(verdict.reason))}</p>'
    yield f"<blockquote>{escape(check.quote)}<br><small>SPEC, {escape(check.section)}</small>"
    yield "</blockquote>"
    yield from _calls(verdict.executions)
    yield "</div></details>"


def _calls(executions: Iterable[Execution]) -> Iterator[str]:
    for done in executions:
        command = done.command or "no CNI_COMMAND"
        identifier = done.environ.get("CNI_CONTAINERID", "")
        yield f'<details class="call"><summary>{escape(command)} {escape(identifier)} '
        yield f'<span class="soft">{escape(done.ending())}, {done.seconds * 1000:.0f} ms</span>'
        yield "</summary>"
        environ = "\n".join(f"{key}={value}" for key, value in done.environ.items())
        stdin = "(closed)" if done.stdin is None else _pretty(done.stdin)
        yield f"<h3>environment</h3><pre>{escape(environ)}</pre>"
        yield f"<h3>stdin</h3><pre>{escape(stdin)}</pre>"
        for name, data in (("stdout", done.stdout), ("stderr", done.stderr)):
            if data:
                yield f"<h3>{name}</h3><pre>{escape(_pretty(data))}</pre>"
        yield f"<h3>by hand</h3><pre>{escape(_cut(done.script()))}</pre></details>"


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
