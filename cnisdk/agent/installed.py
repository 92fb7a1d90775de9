"""Which plugins the agent serves: the installed ones, by their entry points."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from cnisdk.agent import journal
from cnisdk.plugin import Plugin
from cnisdk.types.config import prepare

GROUP = "cnisdk.plugins"

_USUAL = ("traceback", "signal", "select", "cnisdk.net.execute")
"""What a hook or the runner imports when first needed."""


def load(names: Sequence[str] = ()) -> dict[str, type[Plugin[Any]]]:
    """Return the plugins of entry point group ``cnisdk.plugins``, or those ``names`` of it.

    One that cannot be imported is left out with a line in the log, so that it does not take the
    others down; a name asked for that is not installed is an error (LookupError).
    """
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=GROUP)}
    missing = [name for name in names if name not in found]
    if missing:
        raise LookupError(f"no such plugin installed: {', '.join(missing)}")
    plugins: dict[str, type[Plugin[Any]]] = {}
    for name in names or sorted(found):
        try:
            loaded = found[name].load()
        except Exception as err:  # noqa: BLE001 - another project's import
            journal.write("error", "plugin cannot be imported", plugin=name, error=repr(err))
            continue
        if isinstance(loaded, type) and issubclass(loaded, Plugin):
            plugins[name] = loaded
        else:
            journal.write("error", "entry point is no Plugin class", plugin=name)
    return plugins


def warm(plugins: Sequence[type[Plugin[Any]]]) -> None:
    """Do now what the first calls would otherwise wait for."""
    for module in _USUAL:
        import_module(module)
    for plugin in plugins:
        prepare(plugin.config_type)
