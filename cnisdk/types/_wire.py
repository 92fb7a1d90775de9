"""The base of every JSON object of the specification, and what keeps it cheap to start.

A model's class is made at import, its validator when it is first used: most calls use few of
them.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic_core import CoreSchema, core_schema

ModelT = TypeVar("ModelT", bound=BaseModel)

# The name of a Python field is no name on the wire.  pydantic 2.11 and later can tell.
BY_ALIAS: dict[str, Any] = (
    {"by_alias": True, "by_name": False}
    if "by_name" in (BaseModel.model_validate_json.__kwdefaults__ or {})
    else {}
)


class WireModel(BaseModel):
    """Frozen, spelt on the wire exactly as the specification spells it.

    Keys that are not declared are kept, in ``model_extra``.
    """

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


class Plain:
    """Annotates a field that one function validates, in Python and JSON alike.

    Cheaper to build and to run than pydantic's own, and the function decides alone.
    ``json_schema`` describes the field to whoever asks for a schema.
    """

    __slots__ = ("json_schema", "validate", "with_info")

    def __init__(
        self,
        validate: Callable[..., Any],
        json_schema: Mapping[str, Any],
        *,
        with_info: bool = False,
    ) -> None:
        self.validate = validate
        self.json_schema = json_schema
        self.with_info = with_info

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        text = (
            core_schema.to_string_ser_schema(when_used="json-unless-none")
            if self.json_schema.get("type") == "string"
            else None
        )
        if self.with_info:
            return core_schema.with_info_plain_validator_function(self.validate, serialization=text)
        return core_schema.no_info_plain_validator_function(self.validate, serialization=text)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        return dict(self.json_schema)
