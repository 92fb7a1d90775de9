"""Delegate to the IPAM plugin of a configuration, and put its result on a link.

SPEC section 4: "a network plugin may also support delegation to other plugins … the IPAM plugin's
responsibility is to determine the interface IP/subnet, Gateway and Routes".
"""

from typing import TYPE_CHECKING

from cnisdk import invoke
from cnisdk.call import Call, ValidAttachments
from cnisdk.errors import CNIError, DecodingError, InvalidNetworkConfigError, PluginError
from cnisdk.types import _json
from cnisdk.types.config import PluginConfig
from cnisdk.types.convert import from_wire
from cnisdk.types.result import Result
from cnisdk.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable


class IPAM:
    """The IPAM plugin of one call.

    Every method does nothing but return where the configuration has no ``ipam.type``, so that a
    plugin which can do without addresses needs no case of its own; `add` raises there, as an
    address that was asked for cannot be had.
    """

    def __init__(self, call: Call, undo: Undo) -> None:
        self._call = call
        self._undo = undo

    def add(self, config: PluginConfig) -> Result:
        """Reserve addresses; they are released again if this ADD fails later.

        The result is abbreviated as SPEC has it: no interfaces, no ``ips[].interface``.
        """
        plugin = self._plugin(config)
        if not plugin:
            raise InvalidNetworkConfigError("no IPAM plugin configured", "$.ipam.type")
        out = invoke.delegate(self._call, plugin, command="ADD", undo=self._undo)
        try:
            wire = _json.loads(out)
        except ValueError as err:
            raise DecodingError(f"IPAM plugin {plugin} answered no JSON", str(err)) from err
        if not isinstance(wire, dict):
            raise DecodingError(f"IPAM plugin {plugin} answered no JSON object", repr(wire)[:200])
        result = from_wire(wire, config.cni_version)
        if not result.ips:
            raise PluginError("IPAM plugin returned missing IP config", plugin)
        return result

    def delete(self, config: PluginConfig) -> None:
        """Release what `add` reserved; succeeds where there is nothing to release."""
        self._forward(config, "DEL")

    def check(self, config: PluginConfig) -> None:
        """Raise what the IPAM plugin finds wrong with the attachment's addresses."""
        self._forward(config, "CHECK")

    def status(self, config: PluginConfig) -> None:
        """Raise why the IPAM plugin could not serve an ADD."""
        self._forward(config, "STATUS")

    def gc(self, config: PluginConfig, valid: ValidAttachments) -> None:
        """Have the IPAM plugin release what no attachment in ``valid`` holds.

        The delegate reads the list from the configuration that the runtime gave; ``valid`` says
        at the place of the call what it is about.
        """
        self._forward(config, "GC")

    def _forward(self, config: PluginConfig, command: str) -> None:
        if plugin := self._plugin(config):
            invoke.delegate(self._call, plugin, command=command)

    @staticmethod
    def _plugin(config: PluginConfig) -> str:
        return config.ipam.type if config.ipam else ""


def collect(*steps: "Callable[[], object]") -> None:
    """Take every step of a DEL or a GC, whatever fails, and report all failures at the end.

    A single failure is raised as it is; several become one error that names them all, with the
    code of the first.
    """
    failures: list[CNIError | OSError] = []
    for step in steps:
        try:
            step()
        except (CNIError, OSError) as err:
            failures.append(err)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        first = next((f for f in failures if isinstance(f, CNIError)), None)
        text = "; ".join(str(f) for f in failures)
        raise CNIError.of(first.code if first else 5, f"{len(failures)} steps failed", text)
