"""The site as mkdocs makes it, once in a session, and what its pages link to."""

import fcntl
import json
import os
import subprocess
import sys
import zlib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag

from tests.house.tree import ROOT

SITE = Path("/run/site-of-docs")


class Built(NamedTuple):
    """The site, and what was said while it was made."""

    directory: Path
    status: int
    said: str


@cache
def build() -> Built:
    """Make the site, once for all workers; /run is the session's own, and goes with it."""
    os.makedirs(SITE, exist_ok=True)
    outcome = SITE / "outcome.json"
    with open(SITE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not outcome.exists():
            outcome.write_text(json.dumps(_make(SITE / "site")))
    status, said = json.loads(outcome.read_text())
    return Built(SITE / "site", status, said)


def _make(directory: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class Page(HTMLParser):
    """What a page links to, what it loads, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = {"", "__top"}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := found.get(key))}
        if tag == "a" and (href := found.get("href")) is not None:
            self.links.append(href)
        if tag in ("script", "img", "iframe", "source") and (src := found.get("src")):
            self.loaded.append(src)
        if tag == "link" and found.get("rel") != "canonical" and (href := found.get("href")):
            self.loaded.append(href)


def pages(directory: Path) -> dict[Path, Page]:
    """Return the pages of a site but the one for what is not found, whose links are absolute."""
    return {
        path: Page(path) for path in sorted(directory.rglob("*.html")) if path.name != "404.html"
    }


def dead_links(found: dict[Path, Page]) -> list[str]:
    """Return the links within a site that lead nowhere."""
    dead = []
    for page in found.values():
        for link in [*page.links, *page.loaded]:
            if "://" in link or link.startswith(("mailto:", "data:")):
                continue
            path, anchor = urldefrag(link)
            target = (page.path.parent / unquote(path)).resolve() if path else page.path
            if target.is_dir():
                target /= "index.html"
            anchors = found[target].anchors if target in found else {unquote(anchor)}
            if not target.is_file() or unquote(anchor) not in anchors:
                dead.append(f"{page.path}: {link}")
    return dead


def documented(directory: Path) -> set[str]:
    """Return the names that the reference has; of its inventory, in the format of Sphinx."""
    inventory = (directory / "objects.inv").read_bytes()
    packed = inventory.split(b"\n", 4)[4]
    return {line.split(" ", 1)[0] for line in zlib.decompress(packed).decode().splitlines()}
