"""The executable that was typed: its plugin, its name, and how to call it."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnisdk.call import Served
from cnisdk.plugin import Plugin
from cnisdk.runtime.attachment import AttachmentParameters, variables
from cnisdk.runtime.config import PluginObject
from cnisdk.runtime.defaults import PLUGIN_DIRS


class Subject(NamedTuple):
    """One plugin executable."""

    plugin: type[Plugin[Any]]
    name: str
    """What configurations call it: ``type``."""
    executable: str
    """As it was called."""
    served: Served | None = None
    """Runs plugins that are in the same payload; see `cnisdk.call.Call.served`."""
    cni_path: str = ""
    """What was typed as CNI_PATH, ``""`` for the default."""

    @property
    def plugin_dirs(self) -> tuple[str, ...]:
        """Where its delegates are: beside it, or at the usual places."""
        if self.cni_path:
            return tuple(self.cni_path.split(os.pathsep))
        own = os.path.dirname(os.path.abspath(self.executable))
        return (own, *(d for d in PLUGIN_DIRS if d != own and os.path.isdir(d)))

    @property
    def command(self) -> str:
        """How it is typed: by its path where its name alone is another program.

        iproute2 has a ``bridge`` too.
        """
        found = shutil.which(self.name)
        if found and os.path.exists(self.executable) and os.path.samefile(found, self.executable):
            return self.name
        path = self.executable if "/" in self.executable else f"./{self.executable}"
        if os.access(path, os.X_OK):
            return shlex.quote(path)
        return shlex.join([os.path.basename(sys.executable), self.executable])

    def runs(self, part: PluginObject) -> bool:
        """Say whether a plugin configuration object is for this plugin, or delegates to it."""
        return self.name in (part.type, part.ipam_type)

    def call(
        self, command: str, request: bytes, attachment: AttachmentParameters | None = None
    ) -> bytes:
        """Make one call and return what the plugin printed; raises the error it reported."""
        from cnisdk.console import process

        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CNI_")}
        environ = {**inherited, **variables(command, attachment, self.plugin_dirs)}
        return process.call(self.plugin, self.name, environ, request, self.served)


def name_of(executable: str) -> str:
    """Return what a runtime calls an executable; of a Python file what it is going to be called."""
    return os.path.basename(executable).removesuffix(".py")


def listed(parts: Sequence[PluginObject]) -> str:
    """Return the names of a chain's plugins for a sentence."""
    return ", ".join(part.type for part in parts)
