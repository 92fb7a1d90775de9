"""Plugins whose configuration is known: installed here, or executables that say it themselves."""

import os
from collections.abc import Sequence
from typing import Any

from cnisdk import invoke
from cnisdk.agent import trailer
from cnisdk.agent.installed import GROUP
from cnisdk.errors import CNIError, InternalError
from cnisdk.plugin import Plugin
from cnisdk.runtime.declared import Declared, of_class, of_schema
from cnisdk.types import _json

TIMEOUT = 10.0
"""Seconds that an executable may take to say its schema."""


class Plugins:
    """What there is to know about the plugins of one machine; each is asked once."""

    def __init__(self, plugin_dirs: Sequence[str]) -> None:
        self.plugin_dirs = plugin_dirs
        self._found: dict[str, Declared | None] = {}

    def declared(self, name: str) -> Declared | None:
        """Return what the plugin ``name`` declares, None if nobody here can say.

        An installed class says it, else the executable in CNI_PATH, if it was made with this
        SDK: no other is executed with an argument, for nobody knows what it would do.
        """
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    def names(self) -> list[str]:
        """Return the plugins whose configuration is known, sorted."""
        found = set(_entry_points())
        for directory in self.plugin_dirs:
            if os.path.isdir(directory):
                paths = (os.path.join(directory, name) for name in os.listdir(directory))
                found.update(os.path.basename(path) for path in paths if is_ours(path))
        return sorted(found)

    def _look(self, name: str) -> Declared | None:
        plugin = installed(name)
        if plugin is not None:
            return of_class(plugin, name)
        try:
            path = invoke.find(name, self.plugin_dirs)
        except CNIError:
            return None
        return of_schema(schema_of(path)) if is_ours(path) else None


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def installed(name: str) -> type[Plugin[Any]] | None:
    """Return the plugin of the entry point ``name``, None if there is none.

    Raises InternalError for one that cannot be imported.
    """
    point = _entry_points().get(name)
    if point is None:
        return None
    try:
        loaded = point.load()
    except Exception as err:
        raise InternalError(
            f"plugin {name} is installed, and cannot be imported", f"{point.value}: {err!r}"
        ) from err
    if isinstance(loaded, type) and issubclass(loaded, Plugin):
        return loaded
    raise InternalError(f"plugin {name} is installed, and is no Plugin class", point.value)


def is_ours(path: str) -> bool:
    """Say whether a file is an executable made with this SDK, which answers to verbs.

    One that only an agent serves does not: it has nothing to execute.
    """
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        return False
    try:
        found = trailer.read(path)
    except OSError:
        return False
    if found is None:
        return False
    # a script has its own launcher, which needs no program
    return bool(found.value("exec" if found.value("mode") else "payload-id"))


def schema_of(path: str) -> dict[str, Any]:
    """Ask an executable of ours for the schema of its configuration.

    Raises InternalError for an answer that is none.
    """
    from cnisdk.net import execute

    environ = {key: value for key, value in os.environ.items() if not key.startswith("CNI_")}
    try:
        done = execute.run([path, "schema"], env=environ, stdin=b"", timeout=TIMEOUT)
        schema = _json.loads(done.stdout)
    except (OSError, ValueError) as err:
        raise InternalError(f"{path} does not say its schema", str(err)) from err
    if done.status != 0 or not isinstance(schema, dict) or "properties" not in schema:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise InternalError(f"{path} does not say its schema", said or f"status {done.status}")
    return schema
