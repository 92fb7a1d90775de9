"""A bar chart of ratios to the Go reference, as SVG: what the README shows."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.rows import Row
from benchmarks.subjects import WARM

# Group and what of the rows that are drawn, and how the chart calls them.
_BARS = (
    ("IPv4", "ADD", "ADD"),
    ("IPv4", "DEL", "DEL"),
    ("ipMasq iptables", "ADD", "ADD, ipMasq by iptables"),
    ("ipMasq iptables", "DEL", "DEL, ipMasq by iptables"),
    ("ipMasq nftables", "ADD", "ADD, ipMasq by nftables"),
    ("ipMasq nftables", "DEL", "DEL, ipMasq by nftables"),
    ("dual stack", "ADD", "ADD, IPv4 and IPv6"),
    ("at once", "64 ADD", "64 ADDs at once"),
    ("200 pods", "CPU, ADD then DEL", "CPU of 200 pods, ADD then DEL"),
    ("VERSION", "through the launcher", "VERSION"),
)
_WIDTH, _LEFT, _BAR, _STEP, _TOP = 800, 230, 18, 28, 58
_SCALE = _WIDTH - _LEFT - 190  # what the reference takes

# Readable on a light page and on a dark one.
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.v{font-weight:600}"
    ".t{font-size:15px;font-weight:600}.b{fill:#2f81f7}.g{stroke:#8b949e;stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){text{fill:#b1bac4}}"
)


def svg(rows: Sequence[Row]) -> str:
    """Draw those of ``rows`` that a reader asks for first; shorter is faster."""
    found = {(row.group, row.what): row for row in rows if row.subject == WARM and row.ratio}
    bars = [(label, found[key]) for *pair, label in _BARS if (key := (pair[0], pair[1])) in found]
    bottom = _TOP + _STEP * len(bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 30}" role="img">',
        "<title>Time of a call, as a part of what the Go plugin takes</title>",
        f"<style>{_STYLE}</style>",
        '<text class="t" x="12" y="22">Time of a call, Go plugins = 1 (shorter is faster)</text>',
        f'<line class="g" x1="{_LEFT + _SCALE}" x2="{_LEFT + _SCALE}" y1="{_TOP - 16}" '
        f'y2="{bottom}"/>',
        f'<text x="{_LEFT + _SCALE}" y="{_TOP - 20}" text-anchor="middle">Go</text>',
    ]
    for number, (label, row) in enumerate(bars):
        parts += _bar(_TOP + _STEP * number, label, row)
    note = "cnisdk with its agent, whole processes, medians of one run: make bench"
    parts += [f'<text x="12" y="{bottom + 18}">{note}</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _bar(top: int, label: str, row: Row) -> list[str]:
    if row.ratio is None or row.ours is None or row.reference is None:
        return []
    width = min(row.ratio.median, 1) * _SCALE
    base = top + _BAR - 4
    times = f"{_time(row.ours.median)}, Go {_time(row.reference.median)}"
    return [
        f'<text x="{_LEFT - 10}" y="{base}" text-anchor="end">{escape(label)}</text>',
        f'<rect class="b" x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
        f'<text x="{_LEFT + _SCALE + 14}" y="{base}"><tspan class="v">'
        f"{row.ratio.median:.2f}</tspan>  {times}</text>",
    ]


def _time(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.{0 if milliseconds >= 100 else 1}f} ms"
