"""What the HTML report looks like, and what its filters do; `cnisdk.conformance.html` fills it.

Wide, narrow, light, dark and printed; nothing is loaded from anywhere, and without scripting the
page is complete.
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1b2230; --soft: #586374; --line: #dde2ea; --paper: #fff;
  --wash: #f5f7fa; --pass: #17794a; --fail: #bd2b37; --skip: #85680f; --blush: #fdf2f2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8f0; --soft: #9ba6b6; --line: #323a47;
  --paper: #14181f; --wash: #1b212b; --pass: #4cc38a; --fail: #ff7f89; --skip: #dfc05f;
  --blush: #251a1f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2.2rem 1.25rem 5rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
h2 small { color: var(--soft); font-weight: normal; font-size: .9rem; }
h3 { font-size: .78rem; letter-spacing: .02em; color: var(--soft); margin: 0 0 .2rem;
  font-weight: 600; }
code, pre { font: .84rem/1.45 ui-monospace, SFMono-Regular, Menlo, monospace; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 6px;
  margin: 0 0 .6rem; padding: .55rem .75rem; max-height: 28rem; overflow: auto;
  white-space: pre-wrap; }
.verdict { font-size: 1.05rem; font-weight: 600; }
.bar { display: flex; gap: 2px; height: .6rem; margin: 1.1rem 0 .9rem; }
.bar i { display: block; min-width: 4px; border-radius: 3px; }
.bar .pass { background: var(--pass); } .bar .fail { background: var(--fail); }
.bar .skip { background: var(--skip); }
.filters { display: flex; flex-wrap: wrap; gap: .45rem; position: sticky; top: 0; z-index: 1;
  padding: .6rem 0; background: var(--paper); border-bottom: 1px solid var(--line); }
button, input { font: inherit; font-size: .92rem; color: inherit; background: var(--wash);
  border: 1px solid var(--line); border-radius: 99px; padding: .2rem .85rem; }
button { cursor: pointer; white-space: nowrap; }
button[aria-pressed=true] { background: var(--ink); color: var(--paper);
  border-color: var(--ink); }
button:disabled { opacity: .5; cursor: default; }
.gap { width: .5rem; }
input { flex: 1 1 11rem; min-width: 7rem; }
:is(button, input, summary, a):focus-visible { outline: 2px solid currentColor;
  outline-offset: 2px; }
.check { border-top: 1px solid var(--line); scroll-margin-top: 4rem; }
.check > :is(summary, header) { display: grid; gap: 0 .8rem; padding: .5rem .3rem;
  grid-template-columns: 3rem 4.6rem 1fr auto; align-items: baseline; list-style: none; }
.check > summary::-webkit-details-marker { display: none; }
.check > summary { cursor: pointer; } .check > summary:hover { background: var(--wash); }
.title { grid-column: 3 / -1; color: var(--soft); font-size: .94rem; }
.mark { font-weight: 600; } .mark.pass { color: var(--pass); } .mark.fail { color: var(--fail); }
.mark.skip { color: var(--skip); } .level, .time { font-size: .8rem; color: var(--soft); }
.body { padding: .1rem .3rem 1rem 9.7rem; }
article.check { border: 1px solid var(--line); border-left: 4px solid var(--fail);
  border-radius: 6px; margin: .8rem 0; padding: .3rem .6rem; }
article .body { padding: .3rem .3rem .6rem; }
article .title { color: var(--ink); font-size: 1rem; }
.wrong { background: var(--blush); border-radius: 6px; padding: .55rem .8rem; margin: 0 0 .7rem;
  white-space: pre-wrap; font-weight: 500; }
blockquote { margin: .5rem 0 .8rem; padding: 0 0 0 .9rem; border-left: 3px solid var(--line);
  color: var(--soft); }
details.call { margin: .35rem 0; }
.call summary { cursor: pointer; padding: .15rem 0; list-style: revert; }
.call .hand { color: var(--soft); font-size: .8rem; font-weight: 600; }
.exchange { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1rem; margin-top: .3rem; }
.exchange > * { min-width: 0; }
[hidden] { display: none !important; }
@media (max-width: 52rem) { .exchange { grid-template-columns: 1fr; }
  .body { padding-left: .3rem; } }
@media (max-width: 40rem) { body { padding-top: 1.2rem; }
  .check > :is(summary, header) { grid-template-columns: auto auto 1fr; }
  .check > * > code { grid-column: 1 / -1; grid-row: 2; }
  .title { grid-column: 1 / -1; } .time { text-align: right; }
  .filters { flex-wrap: nowrap; overflow-x: auto; } input { flex: 0 0 9rem; } }
@media print { .filters { display: none; } .check, pre { break-inside: avoid; max-height: none; } }
"""

SCRIPT = """
const checks = [...document.querySelectorAll('.check')];
const sections = [...document.querySelectorAll('section')];
const buttons = [...document.querySelectorAll('button[data-key]')];
const search = document.querySelector('input[type=search]');
const none = document.querySelector('.none');
const wanted = { outcome: '', level: '' };
document.querySelector('.filters').hidden = false;
function apply() {
  const words = search.value.trim().toLowerCase();
  for (const check of checks)
    check.hidden = (wanted.outcome && check.dataset.outcome !== wanted.outcome) ||
      (wanted.level && check.dataset.level !== wanted.level) ||
      !check.textContent.toLowerCase().includes(words);
  for (const section of sections)
    section.hidden = !section.querySelector('.check:not([hidden])');
  none.hidden = checks.some(check => !check.hidden);
  for (const button of buttons)
    button.setAttribute('aria-pressed', String(wanted[button.dataset.key] === button.value));
}
for (const button of buttons)
  button.addEventListener('click', () => {
    const { key } = button.dataset;
    wanted[key] = wanted[key] === button.value ? '' : button.value;
    apply();
  });
search.addEventListener('input', apply);
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === 'DETAILS') target.open = true;
}
addEventListener('hashchange', unfold);
unfold();
apply();
"""
