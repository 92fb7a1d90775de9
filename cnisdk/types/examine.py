"""Hold a configuration against what a plugin declares: for who writes one, not for a call.

A call takes keys that nobody declares, as the specification wants it, and so it takes a misspelt
one; here it is found.  A key in another case is what the Go library and we take for the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cnisdk.errors import CNIError
from cnisdk.types import _problems
from cnisdk.types._problems import InvalidError, Path, Problem
from cnisdk.types.config import PluginConfig, parse_config

Schema = Mapping[str, Any]


class Key(NamedTuple):
    """A key that is not declared, or is there twice."""

    path: Path
    suggestion: str = ""
    """A declared key that is missing, and may have been meant."""
    forbidden: bool = False
    """Whether a call is refused for it."""
    twice: bool = False
    """Whether ``suggestion`` is there as well, in another case: the last one counts."""


def problems(config_type: type[PluginConfig], raw: Mapping[str, Any]) -> list[Problem]:
    """Return what a call would say is wrong with ``raw``, but for keys that are forbidden."""
    try:
        parse_config(config_type, raw)
    except CNIError as err:
        cause = err.__cause__
        found = cause.problems if isinstance(cause, InvalidError) else [problem_of(err)]
        return [problem for problem in found if problem.kind != "extra_forbidden"]
    return []


def problem_of(err: CNIError) -> Problem:
    """Return what a plugin raised about its configuration, at the place that it names."""
    path = _problems.path_in(err.details)
    return Problem(path, err.msg if path else str(err))


def problems_by_schema(schema: Schema, raw: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the values of ``raw`` where only the plugin's schema is known.

    Raises ImportError where jsonschema is not installed, the extra ``validate``.
    """
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    validator = Draft202012Validator(schema)
    found = []
    for error in validator.iter_errors(_Objects(schema).canonical(schema, raw)):
        inner = best_match([error])
        path = tuple(inner.absolute_path)
        if inner.validator == "required":
            missing = next(key for key in inner.validator_value if key not in inner.instance)
            found.append(Problem((*path, missing), "", "missing"))
        elif inner.validator != "additionalProperties":
            why = inner.message.removeprefix(f"{inner.instance!r} ")
            found.append(Problem(path, why, inner.validator))
    return found


def keys(schema: Schema, raw: Mapping[str, Any], *, exact: bool = False) -> list[Key]:
    """Return the keys of ``raw`` that ``schema``, as of `cnisdk.types.schema`, does not declare.

    Those of objects that are free, or another plugin's, are not among them.  ``exact`` is for
    what runtimes read, which take a key in no other case.
    """
    return list(_Objects(schema, exact=exact).keys(schema, raw, ()))


class _Objects:
    """The objects of a schema, found side by side with those of a configuration."""

    def __init__(self, schema: Schema, *, exact: bool = False) -> None:
        self.definitions: Schema = schema.get("$defs", {})
        self.fold: Callable[[str], str] = str if exact else str.lower

    def resolved(self, schema: Schema) -> Schema:
        """Return what a reference leads to; of several, the first that declares keys."""
        if "$ref" in schema:
            return self.resolved(self.definitions[schema["$ref"].removeprefix("#/$defs/")])
        for one in schema.get("anyOf", ()):
            resolved = self.resolved(one)
            if "properties" in resolved or "items" in resolved:
                return resolved
        return schema

    def keys(self, schema: Schema, value: Any, path: Path) -> Iterator[Key]:
        """Yield what is to be said of the keys of ``value`` and of all that is in it."""
        schema = self.resolved(schema)
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.keys(schema.get("items", {}), item, (*path, index))
        if not isinstance(value, Mapping):
            return
        rest = schema.get("additionalProperties")
        folded = {self.fold(key): key for key in schema.get("properties", {})}
        present = {self.fold(key) for key in value}
        missing = [key for fold, key in folded.items() if fold not in present]
        for key, item in value.items():
            declared = folded.get(self.fold(key))
            if declared is not None:
                if declared != key and declared in value:
                    yield Key((*path, key), declared, twice=True)
                yield from self.keys(schema["properties"][declared], item, (*path, key))
            elif isinstance(rest, Mapping):
                yield from self.keys(rest, item, (*path, key))
            elif folded and rest is not True:
                yield Key((*path, key), similar(key, missing), forbidden=rest is False)

    def canonical(self, schema: Schema, value: Any) -> Any:
        """Return ``value`` with keys as declared, and without nulls that are no value."""
        schema = self.resolved(schema)
        if isinstance(value, list):
            return [self.canonical(schema.get("items", {}), item) for item in value]
        if not isinstance(value, Mapping) or "properties" not in schema:
            return value
        properties = schema["properties"]
        folded = {key.lower(): key for key in properties}
        made: dict[str, Any] = {}
        for written, item in value.items():
            key = written if written in properties else folded.get(written.lower()) or written
            if key not in properties:
                made[key] = item
            elif (key == written or key not in value) and (
                item is not None or key in schema.get("required", ())
            ):
                made[key] = self.canonical(properties[key], item)
        return made


def similar(word: str, known: Iterable[str]) -> str:
    """Return which of ``known`` may have been meant by ``word``, ``""`` if none is like it."""
    from difflib import get_close_matches

    plain = {_plain(one): one for one in known}
    wanted = _plain(word)
    close = get_close_matches(wanted, plain, n=1, cutoff=0.8)
    if not close:  # two letters of a short one have changed places
        close = [one for one in plain if sorted(one) == sorted(wanted)]
    return plain[close[0]] if close else ""


def _plain(word: str) -> str:
    """Return a word without what separates its parts: ``is_gateway`` is like ``isGateway``."""
    return word.lower().replace("_", "").replace("-", "")
