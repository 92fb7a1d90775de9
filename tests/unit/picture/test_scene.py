"""Scenes and their drawings: what is said, and how it is cut to what there is room for."""

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

from cnisdk.picture import html, svg, tree
from cnisdk.picture.model import Picture, Unseen
from cnisdk.picture.scene import scene
from cnisdk.types import _json
from tests.unit.picture.pictures import picture

SVG = "{http://www.w3.org/2000/svg}"


def titles(made: Picture) -> list[str]:
    return [card.title for group in scene(made).below for card in group.below]


def test_containers_are_in_the_order_in_which_people_count() -> None:
    assert titles(picture("web-10", "web-9", "api", "9" * 5000)) == [
        "api", "web-9", "web-10", "9" * 5000,
    ]  # fmt: skip


def test_what_is_wrong_is_said_in_every_drawing() -> None:
    made = picture("a", leaked="vethleak")

    for drawing in ("\n".join(tree.lines(scene(made))), html.fragment(made)):
        assert "leads nowhere" in drawing
        assert "ip link delete vethleak" in drawing
    drawn = svg.drawing(scene(made))
    assert "leads nowhere" in drawn
    assert "$ ip link delete vethleak" in drawn


def test_a_host_with_nothing_is_drawn_too() -> None:
    empty = Picture(host="node")

    assert list(tree.lines(scene(empty))) == [" node  no networks, no attachments"]
    assert "No network is configured" in html.document(empty)
    ET.fromstring(svg.drawing(scene(empty)))  # noqa: S314


def test_of_many_that_were_not_looked_at_a_few_are_named() -> None:
    made = picture("a")
    made.unseen = [Unseen(what=f"/run/netns/{n}", why="Permission denied") for n in range(200)]

    text = "\n".join(tree.lines(scene(made)))

    assert text.count("Permission denied") == 4
    assert "and 196 more not looked at" in text


def test_no_card_of_a_drawing_lies_on_another() -> None:
    made = picture(*(f"c{number}" for number in range(9)), leaked="vethleak")

    root = ET.fromstring(svg.drawing(scene(made)))  # noqa: S314

    boxes = [
        tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("class") == "box"
    ]
    assert len(boxes) == 10
    right, bottom = float(root.attrib["width"]), float(root.attrib["height"])
    for number, (x, y, width, height) in enumerate(boxes):
        assert x + width <= right
        assert y + height <= bottom
        for left, top, w, h in boxes[:number]:
            assert x >= left + w or left >= x + width or y >= top + h or top >= y + height


class Anchors(HTMLParser):
    """The page's names, and what leads to them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str | None] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if "id" in found:
            self.names.append(found["id"])
        if tag == "a":
            self.links.append(str(found["href"]).removeprefix("#"))


def test_what_is_wrong_leads_to_where_it_is_drawn() -> None:
    anchors = Anchors(html.document(picture("a b", "a b", leaked='veth"<>')))

    assert len(anchors.links) == 1
    assert set(anchors.links) <= set(anchors.names)
    assert len(set(anchors.names)) == len(anchors.names), "no name is there twice"


def test_names_that_are_no_text_are_drawn_all_the_same() -> None:
    """Of links and of files, whose names are bytes."""
    made = picture("\x00\x1b\ud800\uffff\udcff")
    made.host = made.ends[0].port = made.ends[0].netns = "a\udcffb"

    ET.fromstring(svg.drawing(scene(made)).encode())  # noqa: S314
    assert "a\ufffdb" in html.document(made).encode().decode()
    assert "a\ufffdb" in "\n".join(tree.lines(scene(made)))
    assert json.loads(_json.dumps(made.wire()).encode())["host"] == "a?b"
