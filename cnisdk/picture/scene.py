"""A picture arranged for people: cards, and cards that hang on them by a cable.

The drawings (`tree`, `svg`, `html`) differ in what they draw with, and in nothing that they say.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from cnisdk.picture.model import End, Link, Network, Picture, Wrong

_UNSEEN_SHOWN = 4


class Tone(StrEnum):
    """What a line is about."""

    PLAIN = "plain"
    ADDRESS = "address"
    ROUTE = "route"
    PORT = "port"
    NETWORK = "network"
    WRONG = "wrong"
    MEND = "mend"


@dataclass(slots=True)
class Card:
    """A thing, lines about it, and what hangs on it."""

    title: str
    kind: str
    """``host``, ``bridge``, ``link``, ``network``, ``container`` or ``wrong``."""
    detail: str = ""
    """What it is, in a few words."""
    cable: str = ""
    """The port of the card above by which it hangs there."""
    ifname: str = ""
    lines: list[tuple[Tone, str]] = field(default_factory=list)
    wrong: bool = False
    below: "list[Card]" = field(default_factory=list)
    tips: list[str] = field(default_factory=list)
    """What there is to know besides, for who asks."""

    def say(self, tone: Tone, *texts: str) -> None:
        """Add a line, unless it is empty."""
        if text := "   ".join(filter(None, texts)):
            self.lines.append((tone, text))

    def blame(self, wrongs: Iterable[Wrong]) -> None:
        """Add what is wrong, and how to mend it."""
        for wrong in wrongs:
            self.wrong = True
            self.say(Tone.WRONG, wrong.text)
            self.say(Tone.MEND, wrong.mend)


def scene(picture: Picture) -> Card:
    """Return the host's card, everything else below it."""
    host = Card(picture.host, "host", summary(picture))
    groups = {found.name: _of_link(found, picture.networks) for found in _parents(picture)}
    loose: dict[str, Card] = {}
    for end in picture.ends:
        group = groups.get(end.parent)
        if group is None:
            group = loose.setdefault(end.network, _of_network(end.network, picture.networks))
        group.below.append(_of_end(end))
    for group in (*groups.values(), *loose.values()):
        group.below.sort(key=_by_name)
    attached = {end.network for end in picture.ends}
    for network in picture.networks:
        if network.name not in attached and groups.keys().isdisjoint(network.links):
            loose[network.name] = _of_network(network.name, picture.networks)
    host.below = [*groups.values(), *loose.values()]
    host.below += _blamed(picture)
    _uplinks(host, picture, groups)
    return host


def _by_name(card: Card) -> list[tuple[int, str]]:
    """Order ``c2`` before ``c10``."""
    found = re.findall("([0-9]+)|([^0-9]+)", f"{card.title}-{card.ifname}")
    return [(len(number), number + text) for number, text in found]


def summary(picture: Picture) -> str:
    """Say in a line what there is, and how much of it is wrong."""
    attached = sum(bool(end.network) for end in picture.ends)
    parts = [_number(len(picture.networks), "network"), _number(attached, "attachment")]
    if picture.wrong:
        parts.append(f"{_number(len(picture.wrong), 'thing')} wrong")
    return ", ".join(parts)


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _parents(picture: Picture) -> list[Link]:
    """Return the host's links that something hangs on, bridges first."""
    used = {end.parent for end in picture.ends}
    used |= {name for network in picture.networks for name in network.links}
    found = [one for one in picture.links if one.name in used or one.kind == "bridge"]
    return sorted(found, key=lambda one: (one.kind != "bridge", one.name))


def _of_link(found: Link, networks: list[Network]) -> Card:
    detail = f"{found.kind or 'link'}, {found.mac}, mtu {found.mtu}"
    card = Card(found.name, "bridge" if found.kind == "bridge" else "link", detail)
    card.say(Tone.ADDRESS, *found.addresses)
    for network in networks:
        if found.name in network.links:
            card.say(Tone.NETWORK, _described(network))
            card.tips.append(network.file)
    return card


def _of_network(name: str, networks: list[Network]) -> Card:
    network = next((one for one in networks if one.name == name), None)
    if network is None:
        return Card("no network", "network", "cables that lead to no bridge")
    card = Card(network.name, "network", "network")
    card.say(Tone.NETWORK, " ".join(network.plugins) or "no configuration any more")
    card.tips.append(network.file)
    return card


def _described(network: Network) -> str:
    return f"{network.name}: {' '.join(network.plugins)}"


def _of_end(end: End) -> Card:
    link = end.link
    if link is not None:
        state = "up" if link.up else "down"
        detail = f"{link.mac}, mtu {link.mtu}, {state}"
    else:
        detail = "not to be seen"
    title = end.name or short(end.container) or "somebody"
    card = Card(title, "container", detail, end.port, end.ifname)
    card.say(Tone.ADDRESS, *(link.addresses if link else ()))
    card.say(Tone.ROUTE, *end.routes)
    for port in end.published:
        card.say(Tone.PORT, f"{port.protocol} {port.host} → {port.container}")
    if end.masqueraded:
        backends = sorted({one.backend for one in end.masqueraded})
        card.say(Tone.PLAIN, f"masqueraded by {', '.join(backends)}")
    card.blame(end.wrong)
    card.tips = [f"container {end.container}", end.network and f"network {end.network}", end.netns]
    return card


def _blamed(picture: Picture) -> list[Card]:
    """Return a card of what is wrong with none of the ends; none if there is nothing."""
    told = {id(wrong) for end in picture.ends for wrong in end.wrong}
    rest = [wrong for wrong in picture.wrong if id(wrong) not in told]
    if not rest:
        return []
    group = Card("does not belong", "wrong", "held for nobody that is here")
    for wrong in rest:
        card = Card(wrong.kind.replace("-", " "), "wrong")
        card.say(Tone.PLAIN, wrong.subject)
        card.blame([wrong])
        group.below.append(card)
    return [group]


def _uplinks(host: Card, picture: Picture, groups: dict[str, Card]) -> None:
    """Say by which links and routes the host itself is reached."""
    for found in picture.links:
        if found.addresses and found.name not in groups:
            host.say(Tone.ADDRESS, found.name, *found.addresses)
    host.say(Tone.ROUTE, *picture.routes)
    for unseen in picture.unseen[:_UNSEEN_SHOWN]:
        host.say(Tone.PLAIN, f"not looked at: {unseen.what}: {unseen.why}")
    if len(picture.unseen) > _UNSEEN_SHOWN:
        host.say(Tone.PLAIN, f"and {len(picture.unseen) - _UNSEEN_SHOWN} more not looked at")


def short(container: str) -> str:
    """Return a container's ID as engines show it."""
    is_hash = len(container) == 64 and all(letter in "0123456789abcdef" for letter in container)
    return container[:12] if is_hash else container
