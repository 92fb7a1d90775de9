"""Models that need no pydantic until there is something to explain.

Importing pydantic and building its validators takes longer than everything else in a call, and
a runtime makes a call for every container.  So `WireModel` is a light class: making one only
records what it declares.  Whatever is plainly valid, `cnisdk.types._checks` takes; all the
rest, each doubt and each error, goes to pydantic (`cnisdk.types._pydantic`), which is given the
same declarations.  What the first takes, the second takes too, and with the same outcome.

A class that uses anything of pydantic's own, such as a validator, or anything else that is not
known here, *is* a pydantic model: `LightMeta` makes it one.  It is a subclass of its bases all
the same.
"""

import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, ForwardRef, Literal, Self, get_args, get_origin

from cnisdk.types import _checks
from cnisdk.types._fields import SETTINGS, Declared, declared

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_OPTIONS = frozenset({"strict", "extra"})
_DUNDERS = {
    "__module__",
    "__qualname__",
    "__doc__",
    "__annotations__",
    "__classcell__",
    "__firstlineno__",
    "__static_attributes__",
    "__annotate_func__",
    "__conditional_annotations__",
}
METHODS = (FunctionType, property, classmethod, staticmethod)
_OVERRIDABLE = {"__repr__", "__str__", "__format__", "__bool__", "__len__", "__contains__"}
_OWN = frozenset({"model_extra", "model_fields_set"})
"""What a light instance's ``__dict__`` has beside its fields."""


class LightMeta(type):
    """Makes a light class, or a pydantic model if that is what is declared."""

    __declared__: dict[str, Declared]
    """The class's own fields."""
    __wire__: dict[str, Declared]
    """Its bases' too."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> "LightMeta":
        if mcs is not LightMeta:  # of _pydantic
            return super().__new__(mcs, name, bases, namespace, **config)
        annotations = evaluated(namespace, sys._getframe(1))
        own = {
            field: declared(field, annotation, namespace.get(field, ...))
            for field, annotation in annotations.items()
            if not _is_classvar(annotation)
        }
        if bases and not _is_light(bases, namespace, annotations, own, config):
            from cnisdk.types import _pydantic

            return _pydantic.model(name, bases, namespace, config)
        kept = {key: value for key, value in namespace.items() if key not in own}
        if bases:
            inherited: dict[str, Any] = {}
            for base in bases:
                inherited |= base.model_config  # type: ignore[attr-defined]
            kept["model_config"] = inherited | config
        cls = super().__new__(mcs, name, bases, kept)
        cls.__declared__ = own if bases else {}
        cls.__wire__ = {}
        for base in reversed(cls.__mro__):
            cls.__wire__.update(base.__dict__.get("__declared__", ()))
        return cls

    def __getattr__(cls, name: str) -> Any:
        """Have pydantic's own class answer for ``model_json_schema`` and the like."""
        if not name.startswith("model_"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        from cnisdk.types import _pydantic

        return _pydantic.class_attribute(cls, name)


def evaluated(namespace: dict[str, Any], frame: Any) -> dict[str, Any]:
    """Return the annotations of a class's namespace; text is evaluated where it can be."""
    if annotate := namespace.get("__annotate_func__"):  # Python 3.14
        try:
            return dict(annotate(1))
        except NameError:
            return {"": ""}  # no light class has such a field
    annotations: dict[str, Any] = namespace.get("__annotations__", {})
    for field, annotation in annotations.items():
        if isinstance(annotation, str):
            try:
                annotations[field] = eval(annotation, frame.f_globals, frame.f_locals)  # noqa: S307
            except NameError:
                continue  # nothing has that name yet, so pydantic has to look later
    return annotations


def _is_classvar(annotation: object) -> bool:
    return annotation is ClassVar or get_origin(annotation) is ClassVar


def _is_light(
    bases: tuple[type, ...],
    namespace: dict[str, Any],
    annotations: dict[str, Any],
    own: dict[str, Declared],
    config: dict[str, Any],
) -> bool:
    """Say whether nothing is declared but what is known here."""
    return (
        all(type(base) is LightMeta for base in bases)
        and _OPTIONS.issuperset(config)
        and all(_is_known_field(name, field) for name, field in own.items())
        and all(name in annotations or _is_harmless(name, namespace[name]) for name in namespace)
    )


def _is_known_field(name: str, field: Declared) -> bool:
    return (
        not name.startswith(("_", "model_"))
        and not _has_text(field.annotation)
        and SETTINGS.issuperset(field.settings)
        and not _is_pydantics(field.settings.get("default"))
        and not any(_is_pydantics(item) for item in field.metadata)
    )


def _has_text(annotation: object) -> bool:
    """Say whether a type, or one within it, has yet to be found by its name."""
    if get_origin(annotation) is Literal:
        return False
    return isinstance(annotation, str | ForwardRef) or any(map(_has_text, get_args(annotation)))


def _is_pydantics(value: object) -> bool:
    return type(value).__module__.partition(".")[0] in ("pydantic", "pydantic_core")


def _is_harmless(name: str, value: object) -> bool:
    if name in _DUNDERS:
        return True
    if name.startswith("__"):
        return name in _OVERRIDABLE and type(value) is FunctionType
    return type(value) in METHODS and not name.startswith("model_")


class LightModel(metaclass=LightMeta):
    """What `WireModel` is when a program runs."""

    model_config: ClassVar[Mapping[str, Any]] = MappingProxyType({"extra": "allow"})

    def __init__(self, /, **values: Any) -> None:
        made = _checks.construct(type(self), values)
        if made is None:
            from cnisdk.types import _pydantic

            made = _pydantic.construct(type(self), values).__dict__
        object.__setattr__(self, "__dict__", made)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> "CoreSchema":
        from cnisdk.types import _pydantic

        return _pydantic.light_schema(cls, handler)

    @classmethod
    def model_validate(cls, value: Any, **how: Any) -> Self:
        """Return ``value``, a dictionary or an instance, as a ``cls``."""
        if isinstance(value, cls):
            return value
        made = _checks.construct(cls, value) if type(value) is dict and not how else None
        if made is not None:
            return _checks.instance(cls, made)
        from cnisdk.types import _pydantic

        validated: Self = _pydantic.light(_pydantic.twin(cls).model_validate(value, **how))
        return validated

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with the values of ``update`` put in as they are."""
        made = self.__dict__.copy()
        if deep:
            from copy import deepcopy

            made = deepcopy(made)
        update = update or {}
        fields = type(self).__wire__
        unknown = {name: value for name, value in update.items() if name not in fields}
        made.update(update)
        for name in unknown:
            del made[name]
        made["model_fields_set"] = made["model_fields_set"] | update.keys()
        if made["model_extra"] is not None:
            made["model_extra"] = made["model_extra"] | unknown
        return _checks.instance(type(self), made)

    def __getattr__(self, name: str) -> Any:
        """Look among the unknown keys, as pydantic does; its own methods are its own's."""
        extra = self.__dict__.get("model_extra")
        if extra and name in extra:
            return extra[name]
        is_pydantics = name.startswith("model_") or name == "__pydantic_serializer__"
        if not is_pydantics or not self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        from cnisdk.types import _pydantic

        return _pydantic.attribute(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        from cnisdk.types import _pydantic

        setattr(_pydantic.heavy(self), name, value)  # says that it is frozen, in most cases
        raise AttributeError(f"{type(self).__name__!r} object cannot have {name!r} set")

    def __delattr__(self, name: str) -> None:
        from cnisdk.types import _pydantic

        delattr(_pydantic.heavy(self), name)
        raise AttributeError(f"{type(self).__name__!r} object cannot have {name!r} deleted")

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from values(self).items()
        yield from (self.__dict__["model_extra"] or {}).items()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        mine, theirs = ({**each.__dict__, "model_fields_set": None} for each in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash((type(self), *values(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self)


def values(model: object) -> dict[str, Any]:
    """Return the fields of a light or a pydantic model, by name."""
    return {name: value for name, value in vars(model).items() if name not in _OWN}
