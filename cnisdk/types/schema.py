"""JSON Schema of what an administrator writes, for editors and for validation; draft 2020-12.

It is made of the same declarations that a call is checked against.  What a runtime adds to a
configuration, and takes from nobody else, is not in it.  pydantic makes it, so nothing on a call's
path imports this.

Unknown keys are allowed, as the specification wants it.  Where that is only tolerated, the schema
of an object has no ``additionalProperties``, and `closed` forbids them; where such keys are meant
to be, as in an ``ipam`` that belongs to another plugin, it is true.
"""

from collections.abc import Mapping
from typing import Any

from cnisdk import versions
from cnisdk.types._keys import declarations
from cnisdk.types.config import IPAMConfig, PluginConfig
from cnisdk.types.descriptions import descriptions, plain

DIALECT = "https://json-schema.org/draft/2020-12/schema"

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""`cnisdk.names.network_name_problem` as a regular expression."""

_RUNTIMES_OWN = ("prevResult", "runtimeConfig")
_CAPABILITIES = {
    "type": "object",
    "description": "What the runtime is to tell the plugin, where it knows.",
    "additionalProperties": {"type": "boolean"},
}
_FLAG = {"enum": [True, False, "true", "false"], "default": False}

Schema = dict[str, Any]


def plugin_schema(config_type: type[PluginConfig], *, name: str = "", about: str = "") -> Schema:
    """Return the schema of a plugin configuration object; SPEC section 1.

    Both of an element of ``plugins`` and of a file of one plugin: ``name`` and ``cniVersion``,
    which the first takes from its network, are optional.  Keys that are not declared are allowed
    unless ``config_type`` forbids them, as in a call.  Keys have their exact case; they are
    described by the docstrings below their fields.

    ``name`` is what the plugin's executable is called, and ``about`` the plugin's docstring.
    """
    from pydantic.json_schema import GenerateJsonSchema

    class Generate(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False  # "Isgateway" explains nothing

        def model_schema(self, schema: Any) -> Schema:
            made: Schema = super().model_schema(schema)
            _describe(made, schema["cls"])
            return made

    made: Schema = config_type.model_json_schema(by_alias=True, schema_generator=Generate)
    properties = made["properties"]
    for key in _RUNTIMES_OWN:
        properties.pop(key, None)
    properties.setdefault("capabilities", _CAPABILITIES)
    properties["type"] = {
        "type": "string",
        "minLength": 1,
        "description": "Name of the plugin's executable.",
        **({"examples": [name]} if name else {}),
    }
    properties["cniVersion"].pop("default", None)  # of a network that states none at all
    required = [key for key in made.get("required", ()) if key not in ("name", "type")]
    made["required"] = ["type", *required]
    if _is_ipam(config_type):
        made.setdefault("additionalProperties", True)  # keys of the plugin that delegates to it
    _drop_unused(made)
    head: Schema = {"$schema": DIALECT}
    if name:
        head["$id"] = f"urn:cnisdk:plugin:{name}"
        made["title"] = name
    if about:
        made["description"] = plain(about)
    return {**head, **made}


def closed(schema: Schema) -> Schema:
    """Return ``schema`` with keys forbidden that are not declared, for editors to flag typos."""
    made: Schema = _mapped(schema, closed)
    if "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _mapped(schema: Any, change: Any) -> Any:
    """Return ``schema`` with ``change`` made to every schema in it."""
    made: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            made[key] = {name: change(one) for name, one in value.items()}
        elif key in ("anyOf", "allOf", "oneOf", "prefixItems"):
            made[key] = [change(one) for one in value]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            made[key] = change(value)
        else:
            made[key] = value
    return made


def conflist_schema(plugins: Mapping[str, Schema], *, strict: bool = False) -> Schema:
    """Return the schema of a network configuration list; SPEC section 1.

    An element of its ``plugins`` is as the schema of ``plugins`` under its ``type`` says, and an
    ``ipam`` as that of its own ``type``.  Other plugins' elements are free.  ``strict`` forbids
    keys that are not declared.
    """
    definitions: Schema = {}
    elements: list[Schema] = []
    ipams: list[Schema] = []
    for name, schema in sorted(plugins.items()):
        definitions |= _as_definitions(name, closed(schema) if strict else schema)
        reference = {"$ref": f"#/$defs/{_escaped(name)}"}
        elements.append(_of_type(name, reference))
        if schema.get("additionalProperties") is True and "ipam" in schema["properties"]:
            ipams.append(_of_type(name, {"$ref": f"{reference['$ref']}/properties/ipam"}))
    made: Schema = {
        "$schema": DIALECT,
        "$id": "urn:cnisdk:conflist",
        "title": "CNI network configuration list",
        "type": "object",
        "properties": {**_of_list(), "plugins": _plugins(elements, ipams, sorted(plugins))},
        "required": ["name"],
        "if": {"properties": {"loadOnlyInlinedPlugins": {"const": True}}, "required": [_ONLY]},
        "then": {"required": ["plugins"]},
    }
    if strict:
        made["additionalProperties"] = False
    if definitions:
        made["$defs"] = definitions
    return made


_ONLY = "loadOnlyInlinedPlugins"


def _of_list() -> Schema:
    """Return the keys of a list but ``plugins``."""
    version = {"type": "string", "enum": list(versions.SUPPORTED)}
    return {
        "$schema": {"type": "string", "description": "Where an editor finds this schema."},
        "cniVersion": {
            **version,
            "description": "Version of the specification that the configuration conforms to.",
        },
        "cniVersions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "All versions that it conforms to: the runtime takes the highest it "
            "knows.",
        },
        "name": {
            "type": "string",
            "pattern": NAME_PATTERN,
            "description": "Name of the network, unique on the host.",
        },
        "disableCheck": {**_FLAG, "description": "The runtime must not call CHECK."},
        "disableGC": {**_FLAG, "description": "The runtime must not call GC."},
        _ONLY: {
            **_FLAG,
            "description": "Take no plugins from the directory beside the file that has the "
            "network's name.",
        },
    }


def _plugins(elements: list[Schema], ipams: list[Schema], names: list[str]) -> Schema:
    types: list[Schema] = [{"type": "string", "minLength": 1}]
    if names:
        types.insert(0, {"enum": names})  # what an editor proposes
    item: Schema = {
        "type": "object",
        "properties": {
            "type": {"anyOf": types, "description": "Name of the plugin's executable."},
            "capabilities": _CAPABILITIES,
        },
        "required": ["type"],
    }
    if ipams:
        item["properties"]["ipam"] = {"allOf": ipams}
    if elements:
        item["allOf"] = elements
    return {
        "type": "array",
        "minItems": 1,
        "items": item,
        "description": "The plugins, in the order of ADD.",
    }


def _of_type(name: str, schema: Schema) -> Schema:
    """Return the schema that asks for ``schema`` where ``type`` is ``name``."""
    return {
        "if": {"type": "object", "properties": {"type": {"const": name}}, "required": ["type"]},
        "then": schema,
    }


def _as_definitions(name: str, schema: Schema) -> Schema:
    """Return a plugin's schema as definitions of another one, ``name`` before all their names."""
    inner = schema.get("$defs", {})

    def moved(one: Schema) -> Schema:
        made: Schema = _mapped(one, moved)
        if "$ref" in made:
            target = made["$ref"].removeprefix("#/$defs/")
            made["$ref"] = f"#/$defs/{_escaped(f'{name}.{target}')}"
        return made

    own = {key: value for key, value in schema.items() if key not in ("$schema", "$id", "$defs")}
    return {
        name: moved(own),
        **{f"{name}.{key}": moved(one) for key, one in inner.items()},
    }


def _escaped(name: str) -> str:
    """Return a key as it is spelt in a JSON pointer within a URI; RFC 6901 section 6."""
    from urllib.parse import quote

    return quote(name.replace("~", "~0").replace("/", "~1"))


# -- what a schema is made of ------------------------------------------------------------------


def _is_ipam(config_type: type[PluginConfig]) -> bool:
    """Say whether a plugin understands ``ipam`` itself, and so is one that others delegate to."""
    usual: object = declarations(PluginConfig)["ipam"].annotation
    own: object = declarations(config_type)["ipam"].annotation
    return own != usual


def _describe(made: Schema, model: Any) -> None:
    """Complete what pydantic says of a model: descriptions, and what unknown keys are."""
    cls = model.__dict__.get("__light__", model)
    if made.get("additionalProperties") is True and cls is not IPAMConfig:
        del made["additionalProperties"]
    if "description" in made:
        made["description"] = plain(made["description"])
    said = descriptions(cls)
    for name, field in declarations(cls).items():
        for key in field.keys:
            written = made["properties"].get(key)
            if written is None:
                continue
            if not field.is_required:
                _without_null(written)
            if name in said:
                written.setdefault("description", _spelt(said[name], cls))


def _without_null(written: Schema) -> None:
    """Leave null out, which is no value at all here, and which an editor would propose."""
    if written.get("default", ...) is None:
        del written["default"]
    choices = [one for one in written.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        del written["anyOf"]
        written.update(choices[0])
    elif choices:
        written["anyOf"] = choices


def _spelt(text: str, cls: type) -> str:
    """Return a docstring with fields named as they are in JSON."""
    for name, field in declarations(cls).items():
        if name not in field.keys:
            text = text.replace(f"`{name}`", f"`{field.keys[0]}`")
    return text


def _drop_unused(schema: Schema) -> None:
    """Leave out definitions that nothing refers to any more."""
    definitions = schema.pop("$defs", {})
    used: Schema = {}
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
