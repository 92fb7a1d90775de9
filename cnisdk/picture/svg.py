"""A scene as SVG: the same cards and cables as on the page, each at its place.

Text is cut to what fits, its whole is in a ``<title>``.  Colours follow the viewer's scheme.
"""

from collections.abc import Iterator
from html import escape

from cnisdk.picture.scene import Card, Tone
from cnisdk.picture.tree import clean

COLUMNS = 4

_WIDTH = 268  # of a card
_GAP = 18
_MARGIN = 24
_LINE = 17
_LETTERS = 36  # of a card's line
_DROP = 34  # from the rail to the card
_HEAD = 26

_STYLE = """
svg { --ink: #172033; --soft: #5b6779; --line: #dbe1ea; --paper: #f4f6fa; --card: #fff;
  --wire: #3f74d1; --net: #14733f; --addr: #0a5f86; --port: #8a4b00; --bad: #bf1f33;
  --blush: #fff1f2; }
@media (prefers-color-scheme: dark) { svg { --ink: #e4e9f2; --soft: #98a4b7; --line: #303a4b;
  --paper: #10151e; --card: #1a2230; --wire: #6f9df0; --net: #6fd39b; --addr: #7cc8ee;
  --port: #f0b46a; --bad: #ff7585; --blush: #35191f; } }
text { fill: var(--ink); font: 12.5px system-ui, sans-serif; white-space: pre; }
.paper { fill: var(--paper); } .box { fill: var(--card); stroke: var(--line); }
.trunk { fill: var(--card); stroke: var(--wire); stroke-width: 2; }
.wire { stroke: var(--wire); stroke-width: 3; fill: none; stroke-linecap: round; }
.bad .box, .bad .trunk { fill: var(--blush); stroke: var(--bad); stroke-width: 2; }
.bad .wire { stroke: var(--bad); stroke-dasharray: 4 5; }
.name { font-weight: 600; font-size: 14px; } .host { font-size: 20px; }
.bad .name, text.wrong { fill: var(--bad); } text.wrong { font-weight: 600; }
.soft, text.route, text.plain { fill: var(--soft); }
text.address { fill: var(--addr); font-weight: 600; } text.port { fill: var(--port); }
text.network { fill: var(--net); }
.mono { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; font-size: 11.5px; }
"""


def drawing(host: Card, *, columns: int = COLUMNS) -> str:
    """Return an SVG document."""
    width = 2 * _MARGIN + _GAP + columns * (_WIDTH + _GAP)
    drawn = _Drawing(columns, width)
    drawn.host(host)
    for group in host.below:
        drawn.group(group)
    height = drawn.y + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(host.detail)}">\n'
        f'<style>{_STYLE}</style>\n<rect class="paper" width="{width}" height="{height}"/>\n'
        + "\n".join(drawn.pieces)
        + "\n</svg>\n"
    )


class _Drawing:
    """What is drawn so far, and where the next goes."""

    def __init__(self, columns: int, width: int) -> None:
        self.columns = columns
        self.width = width
        self.pieces: list[str] = []
        self.y = _MARGIN

    def host(self, card: Card) -> None:
        self.y += 16
        self._text(_MARGIN, self.y, card.title, "name host")
        self.y += 22
        self._text(_MARGIN, self.y, card.detail, "soft")
        self._block(card, _MARGIN, self._wide())
        self.y += 14

    def group(self, group: Card) -> None:
        lines = list(_wrapped(group, self._wide()))
        height = _HEAD + 10 + _LINE * len(lines)
        bad = " bad" if group.kind == "wrong" else ""
        self.pieces.append(f'<g class="group{bad}">')
        self._box("trunk", _MARGIN, self.y, self.width - 2 * _MARGIN, height, group)
        self._text(_MARGIN + 14, self.y + 22, group.title, "name")
        where = _MARGIN + 30 + 9 * len(group.title)
        self._text(where, self.y + 22, group.detail, "soft")
        top = self.y + height
        self.y += _HEAD - 4
        self._put(lines, _MARGIN + 14)
        self.y = top
        rows = [
            group.below[start : start + self.columns]
            for start in range(0, len(group.below), self.columns)
        ]
        for row in rows:
            top = self._row(row, top)
        self.pieces.append("</g>")
        self.y += 26

    def _row(self, row: list[Card], top: int) -> int:
        """Draw the trunk down to a rail, and the cards that hang on that; return where it is."""
        trunk, rail = _MARGIN + 14, self.y + 18
        last = _MARGIN + _GAP + 14 + (len(row) - 1) * (_WIDTH + _GAP) + 22
        self.pieces.append(f'<path class="wire" d="M{trunk} {top}V{rail}H{last}"/>')
        heights = [_HEAD + 12 + _LINE * (1 + len(list(_wrapped(c, _LETTERS)))) for c in row]
        for column, card in enumerate(row):
            x = _MARGIN + _GAP + 14 + column * (_WIDTH + _GAP)
            self._card(card, x, rail, max(heights))
        self.y = rail + _DROP + max(heights)
        return rail

    def _card(self, card: Card, x: int, rail: int, height: int) -> None:
        y = rail + _DROP
        self.pieces.append(f'<g class="card{" bad" if card.wrong else ""}">')
        self.pieces.append(f'<path class="wire" d="M{x + 22} {rail}V{y}"/>')
        self._text(x + 32, rail + 21, _cut(card.cable, _LETTERS - 4), "soft mono")
        self._box("box", x, y, _WIDTH, height, card)
        name = _cut(card.title, 30 - len(card.ifname))
        self._text(x + 12, y + 22, name, "name", f"  {card.ifname}" if card.ifname else "")
        kept, self.y = self.y, y + _HEAD
        self._put(list(_wrapped(card, _LETTERS)), x + 12)
        self._text(x + 12, self.y + _LINE, _cut(card.detail, _LETTERS + 4), "soft")
        self.y = kept
        self.pieces.append("</g>")

    def _block(self, card: Card, x: int, letters: int) -> None:
        self._put(list(_wrapped(card, letters)), x)

    def _put(self, lines: list[tuple[Tone, str]], x: int) -> None:
        for tone, text in lines:
            self.y += _LINE
            mono = "" if tone is Tone.WRONG else " mono"
            self._text(x, self.y, text, f"{tone}{mono}")

    def _box(self, kind: str, x: int, y: int, width: int, height: int, card: Card) -> None:
        words = [card.title, card.detail, *(text for _, text in card.lines), *card.tips]
        title = escape("\n".join(filter(None, map(_printable, words))))
        self.pieces.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="9">'
            f"<title>{title}</title></rect>"
        )

    def _text(self, x: int, y: int, text: str, kind: str, after: str = "") -> None:
        more = f'<tspan class="soft" font-weight="400">{escape(_printable(after))}</tspan>'
        self.pieces.append(
            f'<text class="{kind}" x="{x}" y="{y}">{escape(_printable(text))}'
            f"{more if after else ''}</text>"
        )

    def _wide(self) -> int:
        return (self.width - 3 * _MARGIN) // 7


def _wrapped(card: Card, letters: int) -> Iterator[tuple[Tone, str]]:
    """Yield a card's lines: what is wrong in as many as it takes, others cut."""
    for tone, text in card.lines:
        if tone not in (Tone.WRONG, Tone.MEND):
            yield tone, _cut(text, letters)
            continue
        line = "$" if tone is Tone.MEND else ""
        for word in text.split():
            if line and len(line) + 1 + len(word) > letters - 2:
                yield tone, _cut(line, letters - 2)
                line = ""
            line = f"{line} {word}".strip()
        yield tone, _cut(line, letters - 2)


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _printable(text: str) -> str:
    """Return what XML can hold of a text."""
    return "\n".join(map(clean, text.split("\n")))
