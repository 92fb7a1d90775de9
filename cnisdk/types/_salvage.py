"""What is left of a configuration that does not validate.

First what is wrong is left out, the innermost value first, until the rest validates.  Where
nobody can say which value is wrong, because an author's validator looks at several or raises an
error of its own, the rest is built up from the few keys that identify the network.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from cnisdk.types._problems import InvalidError, Path, Problem, locate

T = TypeVar("T")
Validate = Callable[[Mapping[str, Any]], T]

_MAX_ROUNDS = 32
_MAX_KEYS = 64
_ESSENTIAL = ("cniVersion", "name", "type")


def salvage(validate: Validate[T], raw: Mapping[str, Any]) -> T | None:
    """Return what ``validate`` makes of as much of ``raw`` as it takes, None if of nothing."""
    rest: Any = raw
    for _ in range(_MAX_ROUNDS):
        made, problems = _try(validate, rest)
        if made is not None:
            return made
        paths = {_to_drop(rest, problem) for problem in problems}
        paths.discard(())
        if not paths:
            break
        rest = _without(rest, paths)
    return _built_up(validate, rest)


def _try(validate: Validate[T], raw: Mapping[str, Any]) -> tuple[T | None, list[Problem]]:
    try:
        return validate(raw), []
    except InvalidError as err:
        return None, err.problems
    except Exception:  # noqa: BLE001 - an author's validator may raise anything, and DEL goes on
        return None, []


def _to_drop(raw: Any, problem: Problem) -> Path:
    """Return what to leave out: for a missing key, the object that should have had it.

    A previous result is taken or left as a whole, as its parts refer to each other by number.
    """
    path, _ = locate(raw, problem.path)
    if path and str(path[0]).lower() == "prevresult":
        return path[:1]
    return path


def _without(value: Any, paths: Iterable[Path]) -> Any:
    """Return a copy of ``value`` without what ``paths`` lead to, only the innermost of a branch."""
    below: dict[str | int, set[Path]] = {}
    for path in paths:
        below.setdefault(path[0], set()).add(path[1:])
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    kept = {}
    for key, item in items:
        deeper = below.get(key, set()) - {()}
        if deeper:
            kept[key] = _without(item, deeper)
        elif key not in below:
            kept[key] = item
    return kept if isinstance(value, Mapping) else list(kept.values())


def _built_up(validate: Validate[T], raw: Any) -> T | None:
    """Add to the essential keys of ``raw`` each other one that ``validate`` takes."""
    if not isinstance(raw, Mapping):
        return None
    taken: dict[str, Any] = {}
    for key in _ESSENTIAL:
        path, value = locate(raw, (key,))
        if path and isinstance(value, str):
            taken[key] = value
    made, _ = _try(validate, taken)
    _, ipam_type = locate(raw, ("ipam", "type"))
    others: list[tuple[str, Any]] = (
        [("ipam", {"type": ipam_type})] if isinstance(ipam_type, str) else []
    )
    others += [(key, value) for key, value in raw.items() if key not in taken]
    for key, value in others[:_MAX_KEYS]:
        more = {**taken, key: value}
        better, _ = _try(validate, more)
        if better is not None:
            taken, made = more, better
    return made
