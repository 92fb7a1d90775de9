"""What is known about the configuration of a plugin: its class, or the schema it gives itself."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnisdk.call import Call
from cnisdk.errors import CNIError
from cnisdk.plugin import Plugin
from cnisdk.types import examine
from cnisdk.types._problems import Problem
from cnisdk.types.config import parse_config
from cnisdk.types.schema import plugin_schema


class Declared(NamedTuple):
    """A plugin whose configuration is known."""

    schema: Mapping[str, Any]
    """JSON Schema of its configuration, as `cnisdk.types.schema` makes them."""
    problems: Callable[[Mapping[str, Any]], list[Problem]]
    """Says what is wrong with the values of what the plugin would be given."""
    note: str = ""
    """What was not looked at, and why."""


Known = Callable[[str], Declared | None]
"""Returns what is known about the plugin of a name, None for nothing."""


def nothing(name: str) -> Declared | None:
    """Know nothing about any plugin."""
    return None


def of_class(plugin: type[Plugin[Any]], name: str) -> Declared:
    """Return what the class of the plugin ``name`` declares."""
    schema = plugin_schema(plugin.config_type, name=name, about=plugin.__doc__ or "")
    return Declared(schema, lambda raw: _problems(plugin, raw))


def _problems(plugin: type[Plugin[Any]], raw: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with values: each by itself, or else together."""
    try:
        config = parse_config(plugin.config_type, raw)
    except CNIError:
        return examine.problems(plugin.config_type, raw)
    except Exception as err:  # noqa: BLE001 - of an author's validator, as in a call
        return [_bug(err)]
    try:
        plugin(Call(command="")).validate(config)
    except CNIError as err:
        return [examine.problem_of(err)]
    except Exception as err:  # noqa: BLE001 - of an author's hook
        return [_bug(err)]
    return []


def _bug(err: Exception) -> Problem:
    return Problem((), f"the plugin cannot judge it: {err!r}")


def of_schema(schema: Mapping[str, Any]) -> Declared:
    """Return what a plugin declares by its schema alone."""
    try:
        import jsonschema  # type: ignore[import-untyped]
    except ImportError:
        note = "only its keys were looked at: values take pip install 'cnisdk[validate]'"
        return Declared(schema, lambda raw: [], note)
    del jsonschema
    return Declared(schema, lambda raw: examine.problems_by_schema(schema, raw))
