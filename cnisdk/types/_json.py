"""JSON as it passes through: what is not understood here is still handed on unchanged.

Integers of any sensible size are int.  A number with a fraction or an exponent is a float where
a float holds exactly its value, and a Decimal where it does not; so every number survives
`loads` and `dumps`.  What no other CNI implementation takes, this refuses: NaN and Infinity, bytes
that are not UTF-8, half surrogate pairs.
"""

import json
from json.encoder import encode_basestring_ascii
from typing import Any

MAX_DEPTH = 128
"""Levels of objects and arrays; pydantic's own parser stops at 200."""

MAX_DIGITS = 4300
"""Digits of an integer (the interpreter's own limit), and the largest exponent."""


def loads(data: bytes | str) -> Any:
    """Return the value of one JSON text; ValueError, saying what is wrong, for anything else."""
    try:
        text = data if isinstance(data, str) else data.decode()
        if text.startswith("\ufeff"):
            raise ValueError("starts with a byte order mark")
        value = _decoder.decode(text)
    except UnicodeDecodeError as err:
        raise ValueError(f"not UTF-8 at byte {err.start}") from err
    except RecursionError as err:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from err
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if "\\u" in text or not text.isascii():
        _check_unicode(value)
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Return ``value`` as ASCII JSON text, ``indent`` spaces a level or else on one line.

    Raises ValueError for NaN and Infinity and for what is nested too deep, and TypeError for
    what JSON cannot say.
    """
    if indent is None:
        try:
            return compact(value)
        except InexactError:
            pass
    parts: list[str] = []
    try:
        _write(value, parts.append, "" if indent is None else " " * indent, "")
    except RecursionError as err:
        raise ValueError("nested too deep") from err
    return "".join(parts)


class InexactError(TypeError):
    """A Decimal, which the C encoder cannot write."""


def compact(value: Any) -> str:
    """Do what `dumps` does on one line, but raise `InexactError` where there is a Decimal."""
    try:
        return _encoder.encode(value)
    except RecursionError as err:
        raise ValueError("nested too deep") from err


def _unknown(value: object) -> Any:
    if _is_decimal(value):
        raise InexactError
    raise TypeError(f"JSON has no {type(value).__name__}")


_encoder = json.JSONEncoder(
    check_circular=False, allow_nan=False, separators=(",", ":"), default=_unknown
)


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _number(text: str) -> Any:
    """Return a float if it is exactly ``text``, else a Decimal."""
    value = float(text)
    if repr(value) == text:
        return value
    from decimal import Decimal

    if len(text) > MAX_DIGITS or abs(int(text.lower().partition("e")[2] or 0)) > MAX_DIGITS:
        raise ValueError(f"an absurd number: {text[:40]}")
    exact = Decimal(text)
    return value if Decimal(repr(value)) == exact else exact


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_decoder = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_no_constant)


def _is_deep(value: Any) -> bool:
    """Say whether ``value`` has more than `MAX_DEPTH` levels; level by level, not recursively."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            below += item.values() if isinstance(item, dict) else item
        level = [item for item in below if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _check_unicode(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as err:
        half = ord(err.object[err.start])
        raise ValueError(f"half a surrogate pair: \\u{half:04x}") from err


def _is_decimal(value: object) -> bool:
    # decimal is imported only if there is a number that needs it
    return type(value).__name__ == "Decimal" and type(value).__module__ in ("decimal", "_decimal")


def _write(value: Any, write: Any, indent: str, margin: str) -> None:
    """Write ``value`` part by part; ``margin`` is the line's start at this level."""
    if isinstance(value, str):
        write(encode_basestring_ascii(value))
    elif isinstance(value, dict):
        deeper = margin + indent
        separator = f"\n{deeper}" if indent else ""
        start = "{"
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a JSON key is no {type(key).__name__}")
            write(f"{start}{separator}{encode_basestring_ascii(key)}{': ' if indent else ':'}")
            _write(item, write, indent, deeper)
            start = ","
        write((f"\n{margin}}}" if indent else "}") if value else "{}")
    elif isinstance(value, list | tuple):
        deeper = margin + indent
        separator = f"\n{deeper}" if indent else ""
        start = "["
        for item in value:
            write(start + separator)
            _write(item, write, indent, deeper)
            start = ","
        write((f"\n{margin}]" if indent else "]") if value else "[]")
    elif _is_decimal(value) and value.is_finite():
        write(str(value))
    else:
        write(_encoder.encode(value))
