"""What is taken out of the memo is what compiling gives."""

import marshal
import re
import subprocess
import sys

import pytest

from cnisdk.build import memo
from cnisdk.build.memo import Memo

PATTERNS: list[tuple[str | bytes, int]] = [
    (r"(?P<year>\d+)-(?P<month>\d\d)", 0),
    (r"(a|b)*?(?=c)", re.IGNORECASE),
    (r" x # comment", re.VERBOSE),
    (r"(?i:ä)\w{2,3}$", re.MULTILINE),
    (rb"\x00[\x80-\xff]+", 0),
]
TEXTS = [
    ("eval", "dict[str, 'int | None']"),
    ("exec", "def make(x):\n def inner(self, y=1):\n  return x, y\n return inner\n"),
]


def remembering() -> Memo:
    asked = {
        "texts": TEXTS,
        "patterns": [
            (isinstance(p, bytes), p.decode("latin-1") if isinstance(p, bytes) else p, int(flags))
            for p, flags in PATTERNS
        ],
    }
    data = memo.encode(asked)
    assert data == memo.encode(asked)
    return Memo(data)


@pytest.mark.parametrize(("pattern", "flags"), PATTERNS)
def test_a_pattern_is_the_one_that_re_compiles(pattern: str | bytes, flags: int) -> None:
    remembered = remembering()

    found = remembered._pattern(pattern, flags)

    made = re.compile(pattern, flags)
    assert found == made
    assert (found.groups, found.groupindex) == (made.groups, made.groupindex)
    assert remembered.asked() == {"texts": [], "patterns": []}


def test_a_pattern_matches_as_it_should() -> None:
    match = remembering()._pattern(r"(?P<year>\d+)-(?P<month>\d\d)", 0).search("on 2026-08-01")

    assert match.groupdict() == {"year": "2026", "month": "08"}


def test_texts_do_what_they_say() -> None:
    remembered = remembering()
    namespace: dict[str, object] = {}

    remembered._exec(TEXTS[1][1], {}, namespace)
    code = remembered._compile(TEXTS[0][1], "<string>", "eval")

    assert namespace["make"](2)(None) == (2, 1)  # type: ignore[operator]
    assert eval(code) == dict[str, "int | None"]  # noqa: S307
    assert remembered.asked() == {"texts": [], "patterns": []}


def test_what_is_not_remembered_is_compiled_and_noted() -> None:
    empty = Memo()

    assert empty._pattern("a+", 0).match("aa")
    assert empty._pattern(b"\xff", 0).match(b"\xff")
    assert eval(empty._compile("1 + 1", "<string>", "eval")) == 2  # noqa: S307

    assert empty.asked() == {
        "texts": [("eval", "1 + 1")],
        "patterns": [(False, "a+", 0), (True, "\xff", 0)],
    }


def test_the_memo_of_another_interpreter_is_not_used() -> None:
    assert Memo(marshal.dumps(("3.0", {("eval", "1"): b""}, {}))).texts == {}


def test_errors_are_those_of_compiling() -> None:
    with pytest.raises(SyntaxError):
        remembering()._compile("1 +", "<string>", "eval")
    with pytest.raises(re.error, match="unterminated"):
        remembering()._pattern("(a", 0)


def test_dataclasses_typing_and_re_work_with_it() -> None:
    code = """
from cnisdk.build.memo import Memo, encode
first = Memo()
first.install()
import dataclasses, re, typing
def make():
    @dataclasses.dataclass(frozen=True, order=True)
    class Point:
        x: "int"
        y: "list[str]" = dataclasses.field(default_factory=list)
    assert Point(1) < Point(2)
    assert typing.get_type_hints(Point)["y"] == list[str]
    assert re.compile("(?P<a>[a-z]+)").fullmatch("abc")["a"] == "abc"
make()
asked = first.asked()
assert asked["texts"] and asked["patterns"]
re.purge()
second = Memo(encode(asked))
second.install()
make()
assert second.asked() == {"texts": [], "patterns": []}, second.asked()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
