"""Numbers that a float cannot hold, put back where pydantic's parser made floats of them."""

from collections.abc import Mapping
from typing import Any

from cnisdk.types._keys import declarations, is_model

_FREE: tuple[object, ...] = (Any, dict[str, Any])


def restore(model: Any, data: Mapping[str, Any]) -> None:
    """Give ``model``, just made from ``data``, the values of ``data`` where no type is declared.

    Those are keys that are not declared, and fields of type Any and dict[str, Any].
    """
    fields = {
        key: (name, field.annotation)
        for name, field in declarations(type(model)).items()
        for key in field.keys
    }
    for key, value in data.items():
        if key not in fields:
            if model.model_extra is not None and key in model.model_extra:
                model.model_extra[key] = value
            continue
        name, annotation = fields[key]
        if annotation in _FREE:
            model.__dict__[name] = value
        else:
            _restore_below(model.__dict__[name], value)


def _restore_below(made: object, value: object) -> None:
    if is_model(type(made)) and isinstance(value, Mapping):
        restore(made, value)
    elif isinstance(made, tuple | list) and isinstance(value, list) and len(made) == len(value):
        for one, its_value in zip(made, value, strict=True):
            _restore_below(one, its_value)
