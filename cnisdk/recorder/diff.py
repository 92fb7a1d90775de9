"""What is different between two JSON values, as lines that a person can read."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from cnisdk.types import _json

_ABSENT = object()


class Difference(NamedTuple):
    """A place in which two values are different; None in ``text`` stands for nothing there."""

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.path}: {self.after}"
        if self.after is None:
            return f"- {self.path}: {self.before}"
        return f"~ {self.path}: {self.before} -> {self.after}"


def differences(before: Any, after: Any) -> list[Difference]:
    """Return where ``after`` is different from ``before``, in the order of ``before``."""
    return list(_compare("", before, after))


def _compare(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _compare(inner, before.get(key, _ABSENT), after.get(key, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(path, before, after)
    elif _text(before) != _text(after):
        yield Difference(path or "all", _text(before), _text(after))


def _compare_lists(path: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Difference]:
    """Compare lists: what is the same in both keeps them together."""
    old_texts, new_texts = (list(map(_json.dumps, items)) for items in (before, after))
    matcher = SequenceMatcher(None, old_texts, new_texts, autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for offset in range(max(i_end - i, j_end - j)):
            old = before[i + offset] if i + offset < i_end else _ABSENT
            new = after[j + offset] if j + offset < j_end else _ABSENT
            index = j + offset if new is not _ABSENT else i + offset
            yield from _compare(f"{path}[{index}]", old, new)


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else _json.dumps(value)
