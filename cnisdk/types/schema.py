"""JSON Schema of what an administrator writes, for editors and for validation; draft 2020-12.

It is made of the same declarations that a call is checked against.  What a runtime adds to a
configuration, and takes from nobody else, is not in it.  pydantic makes it, so nothing on a call's
path imports this.
"""

from typing import Any

from cnisdk.types.config import PluginConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_RUNTIMES_OWN = ("prevResult", "runtimeConfig")
_CAPABILITIES = {
    "type": "object",
    "description": "What the runtime is to tell the plugin, where it knows.",
    "additionalProperties": {"type": "boolean"},
}


def plugin_schema(config_type: type[PluginConfig]) -> dict[str, Any]:
    """Return the schema of a plugin configuration object; SPEC section 1.

    Both of an element of ``plugins`` and of a file of one plugin: ``name`` and ``cniVersion``,
    which the first takes from its network, are optional.  Keys that are not declared are allowed
    unless ``config_type`` forbids them, as in a call.  Keys have their exact case.
    """
    from pydantic.json_schema import GenerateJsonSchema

    class Generate(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False  # "Isgateway" explains nothing

    made: dict[str, Any] = config_type.model_json_schema(by_alias=True, schema_generator=Generate)
    properties = made["properties"]
    for key in _RUNTIMES_OWN:
        properties.pop(key, None)
    properties.setdefault("capabilities", _CAPABILITIES)
    properties["type"] = {
        "type": "string",
        "minLength": 1,
        "description": "Name of the plugin's executable.",
    }
    properties["cniVersion"].pop("default", None)  # of a network that states none at all
    required = [key for key in made.get("required", ()) if key not in ("name", "type")]
    made["required"] = ["type", *required]
    _drop_unused(made)
    return {"$schema": DIALECT, **made}


def _drop_unused(schema: dict[str, Any]) -> None:
    """Leave out definitions that nothing refers to any more."""
    definitions = schema.pop("$defs", {})
    used: dict[str, Any] = {}
    todo = list(_references(schema))
    while todo:
        name = todo.pop()
        if name not in used:
            used[name] = definitions[name]
            todo += _references(definitions[name])
    if used:
        schema["$defs"] = dict(sorted(used.items()))


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item)]
    if not isinstance(schema, dict):
        return []
    reference = schema.get("$ref")
    names = [reference.removeprefix("#/$defs/")] if isinstance(reference, str) else []
    return names + _references(list(schema.values()))
