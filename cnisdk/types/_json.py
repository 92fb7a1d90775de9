"""JSON as CNI needs it: strict where Go is, and no value changed on its way through.

SPEC section 1: runtimes and delegating plugins "must preserve unknown fields unchanged".  Python's
decoder takes NaN, and a double cannot hold every number that JSON can say, so such numbers are
kept as Decimal, which `dumps` writes back with the same value.
"""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

MAX_DEPTH = 200
"""Nested arrays and objects that are read; the deepest real configuration has about ten."""

_PLAIN = 15  # characters of a number that a double surely holds


class JSONError(ValueError):
    """The text is no JSON, or JSON that nobody means."""


def loads(data: bytes | str) -> Any:
    """Return the value of one JSON text, encoded in UTF-8.

    Raises JSONError for anything else, and for NaN, Infinity, excessive depth and integers of
    thousands of digits.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise JSONError(f"not UTF-8: byte {err.start} is {err.object[err.start]:#04x}") from err
    try:
        value = json.loads(text, parse_float=_number, parse_constant=_refuse)
    except JSONError:
        raise
    except RecursionError as err:
        raise JSONError("nested too deeply") from err
    except ValueError as err:
        raise JSONError(str(err)) from err
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON, non-ASCII characters as they are; compact without ``indent``."""
    exact: list[Decimal] = []

    def keep(item: Any) -> str:
        from decimal import Decimal

        if not isinstance(item, Decimal):
            raise TypeError(f"{type(item).__name__} has no JSON")
        exact.append(item)
        return f"\0{id(exact)}:{len(exact) - 1}\0"

    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value,
        ensure_ascii=False,
        allow_nan=False,
        indent=indent,
        separators=separators,
        default=keep,
    )
    for index, number in enumerate(exact):
        text = text.replace(f'"\\u0000{id(exact)}:{index}\\u0000"', str(number), 1)
    return text


def _number(text: str) -> "float | Decimal":
    value = float(text)
    if len(text) <= _PLAIN and "e" not in text and "E" not in text:
        return value
    from decimal import Decimal

    exact = Decimal(text)
    return value if Decimal(repr(value)) == exact else exact


def _refuse(text: str) -> None:
    raise JSONError(f"{text} is no JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise JSONError("nested too deeply")
