"""What a light class declares: fields, and what is said about them."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, get_origin

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

LIMITS = frozenset({"ge", "gt", "le", "lt", "min_length", "max_length"})

# What `Field` may be told here: some say nothing about which values are valid, some are checked
# in `_checks`, and of the rest pydantic must be asked, but only once there is a value.
KNOWN = frozenset(
    (
        "default",
        "default_factory",
        "alias",
        "title",
        "description",
        "examples",
        "json_schema_extra",
        "strict",
    )
)
SETTINGS = KNOWN | LIMITS | {"pattern", "multiple_of", "allow_inf_nan", "discriminator"}


class Field:
    """What `pydantic.Field` is told, kept until pydantic is needed."""

    # annotated_types.GroupedMetadata: within Annotated, pydantic asks for the parts
    __is_annotated_types_grouped_metadata__ = True

    def __init__(self, default: Any = ..., **settings: Any) -> None:
        self.settings = settings if default is ... else {"default": default, **settings}

    def __iter__(self) -> Iterator[object]:
        from cnisdk.types._pydantic import field_info

        return iter(field_info(self).metadata)


class Parsed:
    """Annotates a field that one function reads, in Python and JSON alike.

    The function is given the value whatever its type, decides alone, and raises ValueError to
    refuse it.  ``json_schema`` describes the field to whoever asks for a schema.  ``with_info``
    gives the function a second argument as pydantic does, with ``data`` and ``context``.
    """

    __slots__ = ("json_schema", "parse", "with_info")

    def __init__(
        self,
        parse: Callable[..., Any],
        json_schema: Mapping[str, Any] = MappingProxyType({}),
        *,
        with_info: bool = False,
    ) -> None:
        self.parse = parse
        self.json_schema = json_schema
        self.with_info = with_info

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> "CoreSchema":
        from cnisdk.types._pydantic import parsed_schema

        return parsed_schema(self)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        return dict(self.json_schema)


class Declared:
    """A field as its class declares it."""

    __slots__ = ("annotation", "keys", "metadata", "settings")

    def __init__(
        self,
        annotation: Any,
        *,
        keys: tuple[str, ...],
        metadata: tuple[object, ...],
        settings: Mapping[str, Any],
    ) -> None:
        self.annotation = annotation
        self.keys = keys
        """How it is spelt on the wire."""
        self.metadata = metadata
        """Of the annotation's ``Annotated``."""
        self.settings = settings
        """What `Field` was told."""

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return not ("default" in self.settings or "default_factory" in self.settings)

    @property
    def parsed(self) -> Parsed | None:
        """What reads it, if one function does."""
        return next((item for item in self.metadata if isinstance(item, Parsed)), None)


def declared(name: str, annotation: Any, value: object) -> Declared:
    """Return the field ``name`` of a class; it is assigned ``value``, ``...`` if nothing."""
    metadata: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        metadata, annotation = annotation.__metadata__, annotation.__origin__
    settings: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, Field):
            settings |= item.settings
    if isinstance(value, Field):
        settings |= value.settings
    elif value is not ...:
        settings["default"] = value
    return Declared(
        annotation,
        keys=(settings.get("alias") or name,),
        metadata=tuple(item for item in metadata if not isinstance(item, Field)),
        settings=settings,
    )


def is_light(cls: object) -> bool:
    """Say whether something is a light class, and not derived from one by pydantic."""
    return isinstance(cls, type) and "__wire__" in cls.__dict__
