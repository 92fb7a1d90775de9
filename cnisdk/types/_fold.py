"""Keys in any case of letters: Go's decoder matches ``HostPort`` with ``hostPort``.

The exact spelling wins; of several others the last counts.  Only keys that a model declares are
folded, never those of free objects such as ``args``: what nobody declares must pass unchanged.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel


class _Key(NamedTuple):
    alias: str
    model: "type[BaseModel] | None"
    """The model of the value, or of the elements of the (nested) arrays that it is."""


def fold(cls: type[BaseModel], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``raw`` whose keys are spelt as ``cls`` and the models in it spell them."""
    keys = _keys(cls)
    folded: dict[str, Any] = {}
    for name, value in raw.items():
        key = keys.get(name) or keys.get(name.casefold())
        if key is None:
            folded[name] = value
        elif name == key.alias or key.alias not in raw:
            folded[key.alias] = value if key.model is None else _fold_value(key.model, value)
    return folded


def _fold_value(model: type[BaseModel], value: Any) -> Any:
    if isinstance(value, Mapping):
        return fold(model, value)
    if isinstance(value, list | tuple):
        return [_fold_value(model, item) for item in value]
    return value


@cache
def _keys(cls: type[BaseModel]) -> dict[str, _Key]:
    keys: dict[str, _Key] = {}
    for name, field in cls.model_fields.items():
        key = _Key(field.alias or name, _model_in(field.annotation))
        keys[key.alias] = keys[key.alias.casefold()] = key
    return keys


def _model_in(annotation: Any) -> "type[BaseModel] | None":
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None
