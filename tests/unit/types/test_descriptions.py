"""Docstrings below fields, which Python itself does not keep."""

import pytest

from cnisdk import PluginConfig, WireModel
from cnisdk.types.descriptions import descriptions, written_in

SOURCE = b'''# coding: latin-1
"""A module: \xe4."""

class Outer:
    """Of the class."""

    bare: int
    with_value: int = 5
    """With
    a ``value``."""
    undescribed: int
    number = 5
    """No field."""
    far: int

    other: int
    """At some distance: \xe4."""

    class Inner:
        x: int
        """Inner."""

def make():
    class Local:
        x: int
        """Local."""
'''


def test_every_class_of_a_source_is_read() -> None:
    assert written_in(SOURCE) == {
        "Outer": {"with_value": "With\na `value`.", "other": "At some distance: \xe4."},
        "Outer.Inner": {"x": "Inner."},
        "make.<locals>.Local": {"x": "Local."},
    }


@pytest.mark.parametrize("source", ["class:", b"\xff", "x = '\0'"])
def test_what_is_no_python_is_said(source: str | bytes) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        written_in(source)


def test_a_class_within_a_function_is_described_as_its_bases_are() -> None:
    class Base(WireModel):
        mine: int = 0
        """Of the base."""
        changed: int = 0
        """Before."""

    class Config(PluginConfig, Base):
        changed: int = 1
        """After."""

    said = descriptions(Config)

    assert (said["mine"], said["changed"]) == ("Of the base.", "After.")
    assert said["name"] == "Name of the network."


def test_what_was_never_in_a_file_has_no_descriptions() -> None:
    scope: dict[str, type] = {}
    exec("class Typed:\n    x: int\n    'Of x.'", scope)  # noqa: S102

    assert descriptions(scope["Typed"]) == {}
