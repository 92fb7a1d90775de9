"""What the page looks like, and what its search, its zoom and its being live do.

Cables are borders: each card has a piece of the rail above it, and the drop that it hangs by, so
the picture fits whatever width there is.  Without scripting the page is complete.
"""

STYLE = """
:root { color-scheme: light dark; --ink: #172033; --soft: #5b6779; --line: #dbe1ea;
  --paper: #f4f6fa; --card: #fff; --wire: #3f74d1; --net: #14733f; --addr: #0a5f86;
  --port: #8a4b00; --bad: #bf1f33; --blush: #fff1f2; --glow: #ffe9a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f2; --soft: #98a4b7; --line: #303a4b;
  --paper: #10151e; --card: #1a2230; --wire: #6f9df0; --net: #6fd39b; --addr: #7cc8ee;
  --port: #f0b46a; --bad: #ff7585; --blush: #35191f; --glow: #5a4a12; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 4.2rem; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1, h2, h3, p, ul { margin: 0; padding: 0; } ul { list-style: none; }
.bar { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; align-items: center;
  gap: .5rem .7rem; padding: .6rem 1.2rem; background: var(--card);
  border-bottom: 1px solid var(--line); }
button, input { font: inherit; font-size: .92rem; color: inherit; background: var(--paper);
  border: 1px solid var(--line); border-radius: 8px; padding: .25rem .7rem; }
input { flex: 1 1 14rem; min-width: 8rem; max-width: 30rem; }
button { cursor: pointer; white-space: nowrap; }
button[aria-pressed=true] { background: var(--bad); border-color: var(--bad); color: var(--card); }
.zoom { display: inline-flex; } .zoom button { border-radius: 0; margin-left: -1px; }
.zoom button:first-child { border-radius: 8px 0 0 8px; }
.zoom button:last-child { border-radius: 0 8px 8px 0; }
.found, .live { color: var(--soft); font-size: .88rem; }
.live::before { content: ''; display: inline-block; width: .6rem; height: .6rem;
  margin-right: .4rem; border-radius: 50%; background: #28b267; }
.live.lost { color: var(--bad); } .live.lost::before { background: var(--bad); }
:is(button, input, a, .card):focus-visible { outline: 2px solid var(--wire); outline-offset: 2px; }
main { padding: 1.2rem; max-width: 110rem; margin: 0 auto; }
.host { margin-bottom: 1.2rem; } .host h1 { font-size: 1.5rem; line-height: 1.2; }
.host p, .none { color: var(--soft); }
li { font: .82rem/1.55 ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace; }
.address { color: var(--addr); font-weight: 600; } .route, .plain { color: var(--soft); }
.network { color: var(--net); } .port { color: var(--port); }
li.wrong { color: var(--bad); font: 600 .88rem/1.45 system-ui, sans-serif; margin-top: .3rem; }
li.mend { color: var(--ink); margin-top: .15rem; } li.mend::before { content: '$ '; opacity: .5; }
.blame { border-left: 4px solid var(--bad); border-radius: 4px 10px 10px 4px;
  background: var(--blush); padding: .6rem 1rem .7rem; margin-bottom: 1.4rem; }
.blame h2 { font-size: 1rem; color: var(--bad); }
.blame li { font: inherit; font-size: .92rem; } .blame a { color: inherit; font-weight: 600; }
.group { margin-bottom: 1.8rem; }
.trunk { background: var(--card); border: 2px solid var(--wire); border-radius: 10px;
  padding: .55rem 1rem .65rem; display: flex; flex-wrap: wrap; align-items: baseline;
  gap: .1rem 1rem; }
.trunk h2 { font-size: 1.15rem; } .trunk p { color: var(--soft); font-size: .88rem; }
.trunk ul { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.network.group > .trunk { border-color: var(--net); border-style: dashed; }
.wrong.group > .trunk { border-color: var(--bad); } .wrong.group h2 { color: var(--bad); }
.group > .none { padding: .4rem 1.2rem; }
.rails { --gap: 1rem; display: grid; gap: 0 var(--gap); margin-left: 1.2rem; position: relative;
  grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); padding-left: var(--gap); }
.rails::before { content: ''; position: absolute; left: 0; top: 0; height: var(--end, 100%);
  width: 3px; background: var(--wire); border-radius: 0 0 3px 3px; }
.card { position: relative; padding-top: 2.4rem; display: flex; flex-direction: column; }
.card::before { content: ''; position: absolute; top: .8rem; height: 3px; background: var(--wire);
  left: calc(-1 * var(--gap)); right: 0; }
.card::after { content: ''; position: absolute; top: .8rem; left: 1.4rem; height: 1.6rem;
  width: 3px; background: var(--wire); }
.cable { position: absolute; top: 1.12rem; left: 2.1rem; font: .76rem/1.2 ui-monospace, monospace;
  color: var(--soft); }
.box { flex: 1; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .55rem .8rem .6rem; box-shadow: 0 1px 3px #00000014; }
h3 { font-size: 1rem; line-height: 1.35; } h3 small { font-weight: normal; color: var(--soft);
  font-size: .85rem; }
.detail { color: var(--soft); font-size: .78rem; margin-top: .25rem; }
.bad > .box { border: 2px solid var(--bad); background: var(--blush); }
.bad h3 { color: var(--bad); }
.bad.card::after { background: repeating-linear-gradient(var(--bad) 0 5px, transparent 5px 8px); }
.wrong.group .rails::before, .wrong.group .card::before { background: var(--bad); }
.wrong.group .rails { grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); }
.card:target > .box, .card.fresh > .box { animation: glow 2.5s; }
@keyframes glow { from { background: var(--glow); } }
@media (prefers-reduced-motion: reduce) { .box { animation: none !important; } }
main.far { max-width: none; }
.far .box li:not(.wrong):not(.address), .far .detail, .far .cable { display: none; }
[hidden] { display: none !important; }
@media (max-width: 40rem) { main { padding: .8rem; } .bar { padding: .5rem .8rem; }
  .rails { margin-left: .5rem; } .bar b { display: none; }
  .wrong.group .rails, .rails { grid-template-columns: 1fr; } }
@media print { .bar { display: none; } .card { break-inside: avoid; } }
"""

SCRIPT = """
'use strict';
const main = document.querySelector('main');
const search = document.querySelector('input[type=search]');
const found = document.querySelector('.found');
const only = document.querySelector('.only');
const live = document.querySelector('.live');
const usual = document.querySelector('[data-zoom="0"]');
const steps = [0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2];
let step = steps.indexOf(1);

function apply() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const wrong = only.getAttribute('aria-pressed') === 'true';
  const filtering = words.length > 0 || wrong;
  let count = 0;
  for (const group of main.querySelectorAll('.group')) {
    const about = group.querySelector('.trunk').textContent.toLowerCase();
    let shown = 0;
    for (const card of group.querySelectorAll('.card')) {
      const box = card.querySelector('.box');
      const text = about + ' ' + (card.textContent + ' ' + box.title).toLowerCase();
      card.hidden = (wrong && !card.classList.contains('bad')) ||
        !words.every(word => text.includes(word));
      shown += !card.hidden;
    }
    group.hidden = filtering && !shown && (wrong || !words.every(word => about.includes(word)));
    count += shown;
  }
  found.hidden = !filtering;
  found.value = count + ' found';
  main.querySelector('.nothing').hidden = !filtering ||
    main.querySelector('.group:not([hidden])') !== null;
  trim();
}

// Each trunk ends at the last rail.
function trim() {
  for (const rails of main.querySelectorAll('.rails')) {
    const shown = rails.querySelectorAll('.card:not([hidden])');
    const last = shown[shown.length - 1];
    const rail = last ? last.offsetTop + parseFloat(getComputedStyle(last, '::before').top) : 0;
    rails.style.setProperty('--end', rail + 3 + 'px');
  }
}

function zoom(change) {
  step = change ? Math.min(Math.max(step + change, 0), steps.length - 1) : steps.indexOf(1);
  main.style.zoom = steps[step];
  main.classList.toggle('far', steps[step] < 0.7);
  usual.textContent = Math.round(steps[step] * 100) + ' %';
}

function show(text) {
  const before = new Map([...main.querySelectorAll('.card')].map(c => [c.id, c.textContent]));
  const focused = document.activeElement && document.activeElement.id;
  main.innerHTML = text;
  for (const card of main.querySelectorAll('.card'))
    card.classList.toggle('fresh', before.get(card.id) !== card.textContent);
  if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
  apply();
}

let tag = '"' + document.body.dataset.live + '"';
async function look() {
  let wait = 2000;
  try {
    const answer = await fetch('picture', { headers: { 'If-None-Match': tag },
      cache: 'no-store', signal: AbortSignal.timeout(20000) });
    if (answer.status === 200) {
      show(await answer.text());
      tag = answer.headers.get('ETag');
    } else if (answer.status !== 304) throw new Error(await answer.text());
    live.textContent = 'live';
    live.classList.remove('lost');
  } catch (error) {
    live.textContent = 'as it was at ' + (live.dataset.at || 'first');
    live.classList.add('lost');
    wait = 5000;
  }
  if (!live.classList.contains('lost'))
    live.dataset.at = new Date().toLocaleTimeString();
  setTimeout(look, document.hidden ? 4 * wait : wait);
}

search.addEventListener('input', apply);
only.addEventListener('click', () => {
  only.setAttribute('aria-pressed', String(only.getAttribute('aria-pressed') !== 'true'));
  apply();
});
for (const button of document.querySelectorAll('[data-zoom]'))
  button.addEventListener('click', () => zoom(Number(button.dataset.zoom)));
addEventListener('keydown', event => {
  if (event.target === search) {
    if (event.key === 'Escape') { search.value = ''; apply(); search.blur(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/') { event.preventDefault(); search.focus(); }
  if (event.key === '+') zoom(1);
  if (event.key === '-') zoom(-1);
  if (event.key === '0') zoom(0);
});
new ResizeObserver(trim).observe(main);
const asked = new URLSearchParams(location.search);
if (asked.has('q')) search.value = asked.get('q');
zoom(Number(asked.get('zoom')) || 0);
apply();
if ('live' in document.body.dataset) {
  live.hidden = false;
  live.textContent = 'live';
  look();
}
"""
