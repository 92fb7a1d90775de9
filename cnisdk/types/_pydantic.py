"""pydantic's side of the light models; imported only when there is something to decide.

Each light class has a `twin`, a pydantic model with the same declarations.  The twin validates
and explains, its instances become light ones (`light`) before anybody sees them.  A class that
is a pydantic model by itself (`model`) needs no twin: it is derived from its bases' twins, and
those are derived from the light classes.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import RLock
from types import ModuleType
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field as PydanticField, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from cnisdk.types import _exact, _problems
from cnisdk.types._checks import instance
from cnisdk.types._fields import Field, Parsed
from cnisdk.types._light import METHODS, LightMeta, LightModel, evaluated, values

ModelT = TypeVar("ModelT")

# The name of a Python field is no name on the wire.  pydantic 2.11 and later can tell.
_BY_ALIAS: dict[str, Any] = (
    {"by_alias": True, "by_name": False}
    if "by_name" in (BaseModel.model_validate_json.__kwdefaults__ or {})
    else {}
)

# Class methods of BaseModel that return an instance.
_MAKERS = frozenset({"model_construct", "model_validate_json", "model_validate_strings"})


class _ModelMeta(type(BaseModel), LightMeta):  # type: ignore[misc]
    """Makes twins, and models that are pydantic's by themselves."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> "_ModelMeta":
        annotations = evaluated(namespace, sys._getframe(1))
        for field, annotation in annotations.items():
            annotations[field] = _annotation(annotation)
        for field, value in namespace.items():
            if isinstance(value, Field):
                namespace[field] = field_info(value)
        own = namespace.get("__light__")
        bases = tuple(base if base is own else twin(base) for base in bases)
        return super().__new__(mcs, name, bases, namespace, **config)  # type: ignore[return-value]


def model(
    name: str, bases: tuple[type, ...], namespace: dict[str, Any], config: dict[str, Any]
) -> "_ModelMeta":
    """Return the pydantic model that a class statement declares."""
    return _ModelMeta(name, bases, namespace, **config)


_twins: dict[type, Any] = {}
_making: set[type] = set()
_lock = RLock()


def twin(cls: Any) -> Any:
    """Return the pydantic model with the declarations of a light class."""
    if type(cls) is not LightMeta:
        return cls
    found = _twins.get(cls)
    if found is None:
        with _lock:
            found = _twins.get(cls) or _made_twin(cls)
    return found


def _made_twin(cls: LightMeta) -> Any:
    if cls in _making:  # and pydantic looks around in its bases
        raise AttributeError(f"{cls.__name__} has no pydantic model yet")
    _making.add(cls)
    try:
        _twins[cls] = _new_twin(cls)
    finally:
        _making.discard(cls)
    return _twins[cls]


def _new_twin(cls: LightMeta) -> Any:
    # BaseModel comes before the light class in the order of bases, so methods that are overridden
    # there must be overridden here again.
    namespace = {
        key: value
        for key, value in cls.__dict__.items()
        if isinstance(value, METHODS) or key in ("__module__", "__doc__")
    }
    annotations = {}
    for name, field in cls.__declared__.items():
        annotation = field.annotation
        annotations[name] = (
            Annotated[(annotation, *field.metadata)] if field.metadata else annotation
        )
        namespace[name] = PydanticField(**field.settings)
    namespace |= {
        "__annotations__": annotations,
        "__light__": cls,
        "__qualname__": cls.__qualname__,
    }
    strict = cls.model_config.get("strict")
    config = {"extra": cls.model_config["extra"], **({} if strict is None else {"strict": strict})}
    return _ModelMeta(cls.__name__, (*cls.__bases__, cls), namespace, **config)


def _annotation(annotation: Any) -> Any:
    """Return an annotation with what `Field` was told where pydantic finds it."""
    metadata = getattr(annotation, "__metadata__", ())
    if not any(isinstance(item, Field) for item in metadata):
        return annotation
    translated = (field_info(item) if isinstance(item, Field) else item for item in metadata)
    return Annotated[(annotation.__origin__, *translated)]


def field_info(field: Field) -> FieldInfo:
    """Return what pydantic makes of what `Field` was told."""
    made: FieldInfo = PydanticField(**field.settings)
    return made


class _Model(BaseModel, LightModel, metaclass=_ModelMeta):  # type: ignore[misc, metaclass]
    """The twin of `LightModel`."""

    __light__ = LightModel

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        extra="allow",
        defer_build=True,
        serialize_by_alias=True,
        protected_namespaces=(),
    )

    @classmethod
    def model_rebuild(cls, **how: Any) -> bool | None:
        """Build the validator, without the search for pydantic plugins.

        That search reads the metadata of every installed distribution: 25 ms of a call.
        """
        how["_parent_namespace_depth"] = how.get("_parent_namespace_depth", 2) + 1
        with _no_pydantic_plugins():
            return super().model_rebuild(**how)


_twins[LightModel] = _Model


# -- instances -----------------------------------------------------------------------------------


def light(made: Any) -> Any:
    """Return the light instance of a twin's; any other model as it is."""
    cls = type(made).__dict__.get("__light__")
    if cls is None:
        return made
    extra = made.__pydantic_extra__
    own = {"model_extra": extra, "model_fields_set": made.__pydantic_fields_set__}
    return instance(cls, made.__dict__ | own)


def heavy(made: LightModel) -> Any:
    """Return the twin's instance of a light one."""
    cls = twin(type(made))
    self = cls.__new__(cls)
    object.__setattr__(self, "__dict__", values(made))
    object.__setattr__(self, "__pydantic_extra__", made.__dict__["model_extra"])
    object.__setattr__(self, "__pydantic_fields_set__", made.__dict__["model_fields_set"])
    object.__setattr__(self, "__pydantic_private__", None)
    return self


def construct(cls: Any, given: dict[str, Any]) -> Any:
    """Return the light instance with these values; raises pydantic's ValidationError."""
    return light(twin(cls)(**given))


def attribute(made: LightModel, name: str) -> Any:
    """Return what a light instance has from pydantic alone."""
    if name == "__pydantic_serializer__":  # asked for where a field's type is Any
        return serializer(type(made))
    return getattr(heavy(made), name)


@cache
def serializer(cls: type[LightModel]) -> Any:
    """Return what dumps instances of a light class."""
    return TypeAdapter(cls).serializer


def class_attribute(cls: LightMeta, name: str) -> Any:
    """Return an attribute of the twin."""
    found = getattr(twin(cls), name)
    if name not in _MAKERS:
        return found

    def make(*args: Any, **kwargs: Any) -> Any:
        return light(found(*args, **kwargs))

    return make


# -- validation ----------------------------------------------------------------------------------


def read_json(
    cls: type[ModelT], text: str, data: Mapping[str, Any], context: dict[str, Any] | None
) -> ModelT:
    """Return the JSON object ``text``, which ``data`` is, as a ``cls``; raises `InvalidError`.

    ``context`` is for the functions of `Parsed`, and given where ``data`` has numbers that a
    float cannot hold.
    """
    try:
        made = twin(cls).model_validate_json(text, strict=True, context=context, **_BY_ALIAS)
    except ValidationError as err:
        raise _problems.InvalidError(_problems.of(err)) from err
    made = light(made)
    if context is not None:
        _exact.restore(made, data)
    return made  # type: ignore[no-any-return]


def read(cls: type[ModelT], data: Mapping[str, Any]) -> ModelT:
    """Return ``data``, spelt as on the wire, as a ``cls``; raises `InvalidError`."""
    try:
        made = twin(cls).model_validate(data, **_BY_ALIAS)
    except ValidationError as err:
        raise _problems.InvalidError(_problems.of(err)) from err
    return light(made)  # type: ignore[no-any-return]


@contextmanager
def _no_pydantic_plugins() -> Iterator[None]:
    name = "pydantic.plugin._loader"
    if name in sys.modules:
        yield
        return
    stub = ModuleType(name)
    stub.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules[name] = stub
    try:
        yield
    finally:
        if sys.modules.get(name) is stub:
            del sys.modules[name]


# -- schemas -------------------------------------------------------------------------------------


def light_schema(cls: Any, handler: Any) -> CoreSchema:
    """Return how pydantic validates a light class where it is the type of a field.

    An instance is taken as it is, as pydantic takes those of its own models.
    """
    inner = handler.generate_schema(twin(cls))

    def an_instance(value: Any, validate: Callable[[Any], Any]) -> Any:
        return value if isinstance(value, cls) else light(validate(value))

    return core_schema.json_or_python_schema(
        core_schema.no_info_after_validator_function(light, inner),
        core_schema.no_info_wrap_validator_function(an_instance, inner),
        serialization=core_schema.wrap_serializer_function_ser_schema(
            lambda value, serialize: serialize(heavy(value)), schema=inner
        ),
    )


def parsed_schema(field: Parsed) -> CoreSchema:
    """Return how pydantic validates a field that is annotated with `Parsed`."""
    text = (
        core_schema.to_string_ser_schema(when_used="json-unless-none")
        if field.json_schema.get("type") == "string"
        else None
    )
    if field.with_info:
        return core_schema.with_info_plain_validator_function(field.parse, serialization=text)
    return core_schema.no_info_plain_validator_function(field.parse, serialization=text)
