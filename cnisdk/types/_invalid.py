"""What a person needs to know about a value that does not validate: its path, itself, why."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnisdk.types import _json

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_LONGEST = 120  # characters of a value that are shown


def describe(err: "ValidationError", raw: Mapping[str, Any]) -> str:
    """Return every problem of ``err`` as ``$.path: value: why``, separated by ``; ``."""
    lines = [_describe(problem, raw) for problem in err.errors(include_url=False)]
    return "; ".join(dict.fromkeys(lines))


def steps(problem: "ErrorDetails", raw: Any) -> list[str | int]:
    """Return the keys and indices in ``raw`` that lead to the problem.

    pydantic's own path has also the branches of unions and the like, which no JSON has.
    """
    found: list[str | int] = []
    where = raw
    for step in problem["loc"]:
        if _has(where, step):
            where = where[step]
        elif problem["type"] != "missing" or step != problem["loc"][-1]:
            continue
        found.append(step)
    return found


def _has(where: Any, step: str | int) -> bool:
    if isinstance(where, Mapping):
        return step in where
    return isinstance(where, list | tuple) and isinstance(step, int) and step < len(where)


def path(keys: list[str | int]) -> str:
    """Return ``keys`` as a JSON path: ``$.ipam.ranges[0][0].subnet``."""
    text = "$"
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        elif key.replace("_", "a").isalnum():
            text += f".{key}"
        else:
            text += f"[{_json.dumps(key)}]"
    return text


def _describe(problem: "ErrorDetails", raw: Mapping[str, Any]) -> str:
    where = path(steps(problem, raw))
    why = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: {why}"
    try:
        value = _json.dumps(problem["input"])
    except (TypeError, ValueError):
        value = repr(problem["input"])
    if len(value) > _LONGEST:
        value = value[:_LONGEST] + "…"
    return f"{where}: {value}: {why}"
