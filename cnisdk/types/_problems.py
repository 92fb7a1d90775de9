"""What is wrong with a JSON value: where, which value, and why."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cnisdk.types import _json

if TYPE_CHECKING:
    from pydantic import ValidationError

Path = tuple[str | int, ...]
"""Keys and indexes from the root."""

_MAX_VALUE = 120


class Problem(NamedTuple):
    """One thing that is wrong."""

    path: Path
    why: str
    """Continues "the value …", or is a sentence of its own."""
    kind: str = ""
    """pydantic's name for it: ``missing``, ``extra_forbidden``, …"""


class InvalidError(ValueError):
    """A value has `problems`; raised inside validators too, where it becomes theirs."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{path_text(p.path)}: {p.why}" for p in problems))
        self.problems = problems


def of(err: "ValidationError") -> list[Problem]:
    """Return what pydantic found, and what validators of ours found below it."""
    from pydantic import ValidationError

    problems: list[Problem] = []
    for found in err.errors(include_url=False, include_input=False):
        path: Path = found["loc"]
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, InvalidError):
            problems += [p._replace(path=path + p.path) for p in cause.problems]
        elif isinstance(cause, ValidationError):
            problems += [p._replace(path=path + p.path) for p in of(cause)]
        elif isinstance(cause, Exception):
            problems.append(Problem(path, str(cause), found["type"]))
        else:
            problems.append(Problem(path, found["msg"], found["type"]))
    return problems


def locate(raw: Any, path: Path) -> tuple[Path, Any]:
    """Return ``path`` as it leads through ``raw``, in the spelling found there, and its value.

    Parts that lead nowhere are left out: the names pydantic gives to members of a union, and a
    key that is missing.
    """
    found: list[str | int] = []
    for part in path:
        if isinstance(part, str) and isinstance(raw, Mapping):
            key = _spelling(raw, part)
            if key is None:
                continue
            found.append(key)
            raw = raw[key]
        elif isinstance(part, int) and isinstance(raw, list | tuple) and part < len(raw):
            found.append(part)
            raw = raw[part]
    return tuple(found), raw


def _spelling(raw: Mapping[str, Any], key: str) -> str | None:
    if key in raw:
        return key
    folded = key.lower()
    return next((k for k in reversed(list(raw)) if k.lower() == folded), None)


def describe(raw: Any, problems: Iterable[Problem]) -> str:
    """Return all problems as one line of text, each with its JSON path and value."""
    texts: dict[str, list[str]] = {}
    for problem in problems:
        path, value = locate(raw, problem.path)
        if problem.kind == "missing":
            texts.setdefault(path_text((*path, problem.path[-1])), ["is missing"])
            continue
        why = problem.why
        if why.startswith("Input "):
            why = why.removeprefix("Input ")
        elif not why.startswith("is "):
            why = f": {why}"
        whys = texts.setdefault(f"{path_text(path)}: {value_text(value)}", [])
        if why not in whys:
            whys.append(why)
    return "; ".join(_sentence(start, whys) for start, whys in texts.items())


def _sentence(start: str, whys: list[str]) -> str:
    text = ", ".join(why.removeprefix(": ") for why in whys)
    return f"{start}{':' if whys[0].startswith(': ') else ''} {text}"


def path_text(path: Path) -> str:
    """Return ``path`` as JSONPath: ``$.ipam.ranges[0]``."""
    text = "$"
    for part in path:
        if isinstance(part, str) and re.fullmatch(r"[A-Za-z_]\w*", part, re.ASCII):
            text += f".{part}"
        else:
            text += f"[{json.dumps(part)}]"
    return text


def path_in(text: str) -> Path:
    """Return the JSON path that ``text`` begins with, as an error's details do; () for none."""
    found = re.match(r"\$((?:\.[A-Za-z_]\w*|\[\d+\])+)", text, re.ASCII)
    parts = re.findall(r"\.(\w+)|\[(\d+)\]", found[1] if found else "", re.ASCII)
    return tuple(key or int(index) for key, index in parts)


def value_text(value: Any) -> str:
    """Return ``value`` as JSON, cut short if it is long."""
    try:
        text = _json.dumps(value)
    except (TypeError, ValueError):
        text = f"a {type(value).__name__} that is no JSON"
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}…"
