"""A scene as one HTML page that needs nothing else, and the part of it that changes.

What is in a picture was written by anybody: names of containers, of networks, of links.  All of
it is escaped, and the page's policy executes nothing but its own script, which has a nonce.
"""

import hashlib
import secrets
from collections.abc import Iterator
from html import escape as quote

from cnisdk.picture.model import Picture
from cnisdk.picture.page import SCRIPT, STYLE
from cnisdk.picture.scene import Card, Tone, scene, summary
from cnisdk.picture.tree import clean


def document(picture: Picture, *, live: bool = False) -> str:
    """Return the page; a ``live`` one asks for ``picture`` beside it, again and again."""
    return "\n".join(_document(picture, live=live)) + "\n"


def policy(nonce: str, *, live: bool) -> str:
    """Return the Content-Security-Policy of a page."""
    connect = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'{connect}; "
        "base-uri 'none'; form-action 'none'"
    )


def tag(text: str) -> str:
    """Return what tells a text from others (ETag, RFC 9110), without its quotes."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def fragment(picture: Picture) -> str:
    """Return what of the page changes with the picture."""
    return "\n".join(_fragment(picture))


def _document(picture: Picture, *, live: bool) -> Iterator[str]:
    nonce = secrets.token_urlsafe(16)
    host = escape(picture.host)
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield (
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(nonce, live=live))}">'
    )
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f'<title>{host}: CNI networks</title>\n<style nonce="{nonce}">{STYLE}</style>'
    drawn = fragment(picture)
    yield f"<body{f' data-live={tag(drawn)}' if live else ''}>"
    yield '<header class="bar"><b>CNI networks</b>'
    yield '<input type="search" placeholder="name, address, port, network …" aria-label="search">'
    yield '<output class="found" hidden></output>'
    yield '<button type="button" class="only" aria-pressed="false">only what is wrong</button>'
    yield '<span class="zoom">'
    yield '<button type="button" data-zoom="-1" aria-label="smaller">&minus;</button>'
    yield '<button type="button" data-zoom="0" aria-label="usual size">100 %</button>'
    yield '<button type="button" data-zoom="1" aria-label="larger">+</button></span>'
    yield '<span class="live" hidden role="status"></span></header>'
    yield f'<main id="picture">\n{drawn}\n</main>'
    yield f'<script nonce="{nonce}">{SCRIPT}</script>'


def _fragment(picture: Picture) -> Iterator[str]:
    host = scene(picture)
    yield f'<section class="host"><h1>{escape(host.title)}</h1>'
    yield f"<p>{escape(summary(picture))}</p>{_lines(host)}</section>"
    yield from _wrong(host)
    for group in host.below:
        yield from _group(group)
    if not host.below:
        yield '<p class="none">No network is configured, and nothing is attached.</p>'
    yield '<p class="none nothing" hidden>Nothing here is like that.</p>'


def _wrong(host: Card) -> Iterator[str]:
    """Yield what does not belong, first of all: each leads to where it is drawn."""
    blamed = [card for group in host.below for card in group.below if card.wrong]
    if not blamed:
        return
    yield '<section class="blame"><h2>Does not belong here</h2><ul>'
    for card in blamed:
        for tone, text in card.lines:
            if tone is Tone.WRONG:
                name = escape(card.cable or card.title)
                yield f'<li><a href="#{_anchor(card)}">{name}</a> {escape(text)}</li>'
    yield "</ul></section>"


def _group(group: Card) -> Iterator[str]:
    yield f'<section class="group {group.kind}" id="{_anchor(group)}">'
    yield f'<div class="trunk" title="{_tips(group)}"><h2>{escape(group.title)}</h2>'
    yield f"<p>{escape(group.detail)}</p>{_lines(group)}</div>"
    if group.below:
        yield '<div class="rails">'
        for card in group.below:
            yield from _card(card)
        yield "</div>"
    else:
        yield '<p class="none">Nothing is attached.</p>'
    yield "</section>"


def _card(card: Card) -> Iterator[str]:
    wrong = " bad" if card.wrong else ""
    yield f'<article class="card {card.kind}{wrong}" id="{_anchor(card)}" tabindex="-1">'
    if card.kind == "container":
        yield f'<span class="cable">{escape(card.cable)}</span>'
    yield f'<div class="box" title="{_tips(card)}"><h3>{escape(card.title)} '
    yield f"<small>{escape(card.ifname)}</small></h3>{_lines(card)}"
    yield f'<p class="detail">{escape(card.detail)}</p></div></article>'


def _lines(card: Card) -> str:
    if not card.lines:
        return ""
    lines = "".join(f'<li class="{tone}">{escape(text)}</li>' for tone, text in card.lines)
    return f"<ul>{lines}</ul>"


def _tips(card: Card) -> str:
    return escape("\n".join(filter(None, card.tips)))


def _anchor(card: Card) -> str:
    """Return the same for the same card of the next picture."""
    return escape("-".join(filter(None, (card.kind, card.cable, card.title, card.ifname))))


def escape(text: str) -> str:
    """Return text of whatever origin as it may stand in HTML, within quotes too."""
    return quote("\n".join(map(clean, text.split("\n"))))
