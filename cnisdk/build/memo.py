"""Spare a call what importing computes anew in every process, and always the same.

    python -I -S -X no_debug_ranges memo.py OUTPUT < asked.json

dataclasses compiles the methods that it writes, typing each annotation that is a string, re each
pattern: some four hundred little compilations for pydantic and the plugins, a fifth of the time
that their import takes.  The build notes what is compiled and adds the outcome to the payload;
here it is taken instead.  The key is the whole text, so nothing else can be taken for it, and
what is not there is compiled as ever.  The outcome of one interpreter is of no use to another.

Import budget: as `cnisdk.build.start`, and the three modules, which pydantic needs first of all.
"""

import _sre  # type: ignore[import-not-found]
import builtins
import dataclasses
import marshal
import sys
import typing
from re import _compiler  # type: ignore[attr-defined]
from types import CodeType
from typing import Any

TextKey = tuple[str, str]
"""Mode of compile(), text."""
PatternKey = tuple[str | bytes, int]
"""Pattern, flags."""

# What marshal writes as a reference depends on who else has the object, in later formats.
_NO_REFERENCES = 2


class Memo:
    """Compiled texts and patterns, and which of them were asked for."""

    def __init__(self, data: bytes = b"") -> None:
        texts, patterns = {}, {}
        if data:
            version, texts, patterns = marshal.loads(data)  # noqa: S302 - it is in the payload
            if version != sys.version:
                texts, patterns = {}, {}  # the host's interpreter was upgraded
        self.texts: dict[TextKey, bytes] = texts
        self.patterns: dict[PatternKey, tuple[Any, ...]] = patterns
        self._asked_texts: set[TextKey] = set()
        self._asked_patterns: set[PatternKey] = set()
        self._compile_pattern = _compiler.compile

    def install(self) -> None:
        """Take the place of the compilers in the modules that use them."""
        vars(dataclasses)["exec"] = self._exec
        vars(typing)["compile"] = self._compile
        _compiler.compile = self._pattern

    def asked(self) -> dict[str, Any]:
        """Return what had to be compiled so far, for `encode` and as JSON can have it."""
        patterns = [
            (True, str(pattern, "latin-1"), flags)
            if isinstance(pattern, bytes)
            else (False, pattern, flags)
            for pattern, flags in self._asked_patterns
        ]
        return {"texts": sorted(self._asked_texts), "patterns": sorted(patterns)}

    def _exec(self, source: Any, *namespaces: Any) -> None:
        if type(source) is str and namespaces:
            source = self._compile(source, "<string>", "exec")
        builtins.exec(source, *namespaces)  # noqa: S102

    def _compile(self, source: Any, filename: str, mode: str, *rest: Any, **more: Any) -> Any:
        if type(source) is not str or filename != "<string>" or rest or more:
            return builtins.compile(source, filename, mode, *rest, **more)
        key = (mode, source)
        known = self.texts.get(key)
        if known is not None:
            return marshal.loads(known)  # noqa: S302
        code = compiled_text(key)
        self._asked_texts.add(key)
        return code

    def _pattern(self, pattern: Any, flags: int = 0) -> Any:
        if type(pattern) not in (str, bytes):
            return self._compile_pattern(pattern, flags)
        key = (pattern, int(flags))
        known = self.patterns.get(key)
        if known is not None:
            return _sre.compile(pattern, *known)
        self._asked_patterns.add(key)
        return self._compile_pattern(pattern, flags)


def compiled_text(key: TextKey) -> CodeType:
    """Return the code of a text."""
    mode, source = key
    code: CodeType = builtins.compile(source, "<string>", mode, dont_inherit=True)
    return code


def compiled_pattern(key: PatternKey) -> tuple[Any, ...]:
    """Return what `_sre.compile` makes the pattern of."""
    made: list[tuple[Any, ...]] = []

    class Noting:
        """`_sre`, as far as re._compiler uses it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(_sre, name)

        @staticmethod
        def compile(pattern: Any, flags: int, code: Any, *groups: Any) -> Any:
            count, index, names = groups
            made.append((int(flags), [int(c) for c in code], count, dict(index), tuple(names)))

    _compiler._sre = Noting()
    try:
        _compiler.compile(*key)
    finally:
        _compiler._sre = _sre
    return made[0]


def encode(asked: dict[str, Any]) -> bytes:
    """Compile what was `asked` for; return what a `Memo` reads, the same bytes each time."""
    patterns: dict[PatternKey, tuple[Any, ...]] = {}
    for is_bytes, pattern, flags in asked["patterns"]:
        key = (pattern.encode("latin-1") if is_bytes else pattern, flags)
        patterns[key] = compiled_pattern(key)
    texts = {
        (mode, source): marshal.dumps(compiled_text((mode, source)), _NO_REFERENCES)
        for mode, source in asked["texts"]
    }
    return marshal.dumps((sys.version, texts, patterns), _NO_REFERENCES)


if __name__ == "__main__":
    import json

    with open(sys.argv[1], "wb") as output:
        output.write(encode(json.load(sys.stdin)))
