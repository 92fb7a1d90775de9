"""A scene as lines of text, with whatever `Paint` makes of colours."""

from collections.abc import Callable, Iterator

from cnisdk.picture.scene import Card

Paint = Callable[[str, str], str]
"""Returns a text in the colour of a role: a `Tone`, a card's kind, ``cable`` or ``dim``."""


def plain(text: str, role: str) -> str:
    """Return the text as it is."""
    return text


def lines(card: Card, paint: Paint = plain) -> Iterator[str]:
    """Yield a card and all below it, line by line."""
    return _lines(card, paint, " ", " ")


def _lines(card: Card, paint: Paint, first: str, rest: str) -> Iterator[str]:
    yield first + _heading(card, paint)
    bar = paint("│  ", "dim") if card.below else "   "
    for tone, text in card.lines:
        mark = {"wrong": "✗ ", "mend": "  mend: "}.get(tone, "")
        yield rest + bar + paint(mark + clean(text), tone)
    for child in card.below:
        last = child is card.below[-1]
        yield from _lines(
            child,
            paint,
            rest + paint("└─ " if last else "├─ ", "dim"),
            rest + ("   " if last else paint("│  ", "dim")),
        )


def _heading(card: Card, paint: Paint) -> str:
    title = paint(clean(card.title), "wrong" if card.wrong else card.kind)
    if card.kind == "container":
        cable = f"{paint(clean(card.cable), 'cable')}  ⇄  " if card.cable else ""
        return f"{cable}{title} {clean(card.ifname)}, {card.detail}"
    return f"{title}  {clean(card.detail)}" if card.detail else title


def clean(text: str) -> str:
    """Return text of whatever origin without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
