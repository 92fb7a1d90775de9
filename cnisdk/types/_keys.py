"""Keys of JSON objects as the Go library matches them.

An exact key wins, else any case will do, the last one of several.  Only keys that a model
declares are touched, and only where it says what is below: what a free dictionary or an unknown
key holds is handed on as it is.  A null for a key that need not be there is no value at all.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from cnisdk.types._fields import Declared, Parsed, is_light

Below = Callable[[Any], Any] | None
"""Makes a value canonical; None for one that is handed on as it is."""

_UNKNOWN = object()


class Keys:
    """The keys that a model declares."""

    __slots__ = ("below", "folded", "optional")

    def __init__(self, model: Any) -> None:
        self.below: dict[str, Below] = {}
        self.optional: set[str] = set()
        for field in declarations(model).values():
            below = _below(field.annotation) if field.parsed is None else None
            for key in field.keys:
                self.below[key] = below
                if not field.is_required:
                    self.optional.add(key)
        self.folded = {key.lower(): key for key in self.below}

    def canonical(self, value: Any) -> Any:
        """Return ``value`` with its keys as declared; anything but an object as it is."""
        if not isinstance(value, Mapping):
            return value
        known: dict[str, Any] = {}
        for written, item in value.items():
            key = written
            below: Any = self.below.get(key, _UNKNOWN)
            if below is _UNKNOWN:
                folded = self.folded.get(key.lower())
                if folded is None:
                    known[key] = item
                    continue
                if folded in value:
                    continue
                key = folded
                below = self.below[key]
            if item is None and key in self.optional:
                continue
            known[key] = item if below is None else below(item)
        return known


@cache
def keys_of(model: Any) -> Keys:
    """Return the keys of ``model``, worked out once."""
    return Keys(model)


def declarations(model: Any) -> dict[str, Declared]:
    """Return the fields of a light or a pydantic model by name."""
    if is_light(model):
        light: dict[str, Declared] = model.__wire__
        return light
    if not model.__pydantic_complete__:
        model.model_rebuild()
    return {
        name: Declared(
            field.annotation,
            keys=_spellings(name, field.validation_alias),
            metadata=tuple(field.metadata),
            settings={} if field.is_required() else {"default": field.default},
        )
        for name, field in model.model_fields.items()
    }


def _spellings(name: str, alias: Any) -> tuple[str, ...]:
    """Return the keys of pydantic's ``validation_alias``, which may be one of its classes."""
    if alias is None:
        return (name,)
    firsts = [getattr(choice, "path", [choice])[0] for choice in getattr(alias, "choices", [alias])]
    return tuple(first for first in firsts if isinstance(first, str))


def _is_parsed(metadata: Iterable[object]) -> bool:
    return any(isinstance(item, Parsed) for item in metadata)


def _below(annotation: Any) -> Below:
    """Return what makes a value of type ``annotation`` canonical."""
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is None:
        return _below_model(annotation) if is_model(annotation) else None
    if origin in (Union, UnionType):
        return _first(arguments)
    if not isinstance(origin, type):  # Annotated, Literal and the like
        metadata = getattr(annotation, "__metadata__", None)
        return None if metadata is None or _is_parsed(metadata) else _below(arguments[0])
    if issubclass(origin, Mapping):
        return _in_values(_below(arguments[1]))
    return _in_items(_first(arguments))


def _first(annotations: Iterable[Any]) -> Below:
    """Of several types the first that has keys; each leaves what it does not know."""
    return next((below for one in annotations if (below := _below(one)) is not None), None)


def is_model(annotation: Any) -> bool:
    """Say whether a type is a model, light or pydantic's."""
    return is_light(annotation) or hasattr(annotation, "__pydantic_complete__")


def _below_model(model: Any) -> Below:
    def canonical(value: Any) -> Any:
        return keys_of(model).canonical(value)

    return canonical


def _in_items(below: Below) -> Below:
    if below is None:
        return None

    def canonical(value: Any) -> Any:
        return [below(item) for item in value] if isinstance(value, list) else value

    return canonical


def _in_values(below: Below) -> Below:
    if below is None:
        return None

    def canonical(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: below(item) for key, item in value.items()}

    return canonical
