"""Keys of JSON objects as the Go library matches them.

An exact key wins, else any case will do, the last one of several.  Only keys that a model
declares are touched, and only where it says what is below: what a free dictionary or an unknown
key holds is handed on as it is.  A null for a key that need not be there is no value at all.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo

from cnisdk.types._wire import Plain

Below = Callable[[Any], Any] | None
"""Makes a value canonical; None for one that is handed on as it is."""

_UNKNOWN = object()


class Keys:
    """The keys that a model declares."""

    __slots__ = ("below", "folded", "optional")

    def __init__(self, model: type[BaseModel]) -> None:
        self.below: dict[str, Below] = {}
        self.optional: set[str] = set()
        for name, field in model.model_fields.items():
            for key in _spellings(name, field):
                self.below[key] = _below_field(field)
                if not field.is_required():
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
def keys_of(model: type[BaseModel]) -> Keys:
    """Return the keys of ``model``, worked out once."""
    if not model.__pydantic_complete__:
        model.model_rebuild()
    return Keys(model)


def _spellings(name: str, field: FieldInfo) -> Iterable[str]:
    alias = field.validation_alias
    if alias is None:
        return (name,)
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    firsts = [choice.path[0] if isinstance(choice, AliasPath) else choice for choice in choices]
    return [first for first in firsts if isinstance(first, str)]


def _below_field(field: FieldInfo) -> Below:
    if any(isinstance(item, Plain) for item in field.metadata):
        return None
    return _below(field.annotation)


def _below(annotation: Any) -> Below:
    """Return what makes a value of type ``annotation`` canonical."""
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return _below_model(annotation)
        return None
    if origin in (Union, UnionType):
        return _first(arguments)
    if not isinstance(origin, type):  # Annotated, Literal and the like
        return _below(arguments[0]) if hasattr(annotation, "__metadata__") else None
    if issubclass(origin, Mapping):
        return _in_values(_below(arguments[1]))
    return _in_items(_first(arguments))


def _first(annotations: Iterable[Any]) -> Below:
    """Of several types the first that has keys; each leaves what it does not know."""
    return next((below for one in annotations if (below := _below(one)) is not None), None)


def _below_model(model: type[BaseModel]) -> Below:
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
