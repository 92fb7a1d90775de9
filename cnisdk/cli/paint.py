"""Colours of a terminal; `click.echo` takes them away where there is none."""

from typing import Any

import click

_STYLES: dict[str, dict[str, Any]] = {
    "host": {"bold": True},
    "bridge": {"fg": "blue", "bold": True},
    "link": {"fg": "blue", "bold": True},
    "network": {"fg": "green"},
    "container": {"fg": "magenta", "bold": True},
    "cable": {"fg": "blue"},
    "address": {"fg": "cyan"},
    "port": {"fg": "yellow"},
    "wrong": {"fg": "red", "bold": True},
    "mend": {"dim": True},
    "dim": {"dim": True},
}


def paint(text: str, role: str) -> str:
    """Return a text in the colour of its role; see `cnisdk.picture.tree.Paint`."""
    return click.style(text, **_STYLES.get(role, {}))
