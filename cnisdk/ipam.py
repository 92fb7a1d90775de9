"""Delegate to the IPAM plugin of a configuration, and put its result on a link.

SPEC section 4: "a network plugin may also support delegation to other plugins … the IPAM plugin's
responsibility is to determine the interface IP/subnet, Gateway and Routes".
"""

from typing import TYPE_CHECKING

from cnisdk import invoke
from cnisdk.call import Call, ValidAttachments
from cnisdk.errors import (
    CNIError,
    DecodingError,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
    PluginError,
    PluginNotAvailableError,
)
from cnisdk.types import _json
from cnisdk.types.config import PluginConfig
from cnisdk.types.convert import from_wire
from cnisdk.types.result import Result
from cnisdk.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address, IPv6Address

    from cnisdk.net import route
    from cnisdk.net.netns import NetNS
    from cnisdk.net.rtnl import RTNL


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
        handed: list[Result] = []
        out = invoke.delegate(
            self._call, plugin, command="ADD", undo=self._undo, hand_over=handed.append
        )
        result = handed[0] if handed else self._read(out, plugin, config.cni_version)
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
        """Raise why the IPAM plugin could not serve an ADD; one that is not there cannot."""
        try:
            self._forward(config, "STATUS")
        except InvalidEnvironmentError as err:
            raise PluginNotAvailableError(err.msg, err.details) from err

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
    def _read(out: bytes, plugin: str, version: str) -> Result:
        try:
            wire = _json.loads(out)
        except ValueError as err:
            raise DecodingError(f"IPAM plugin {plugin} answered no JSON", str(err)) from err
        if not isinstance(wire, dict):
            raise DecodingError(f"IPAM plugin {plugin} answered no JSON object", repr(wire)[:200])
        return from_wire(wire, version)

    @staticmethod
    def _plugin(config: PluginConfig) -> str:
        return config.ipam.type if config.ipam else ""


DAD_TIMEOUT = 5.0
"""Seconds that duplicate address detection may take; the kernel needs one to two."""


def configure(
    container: "RTNL", netns: "NetNS", ifname: str, result: Result, *, dad: bool = False
) -> None:
    """Put the addresses of ``result`` on ``ifname``, set it up and add the routes.

    ``container`` is a socket in ``netns``.  Addresses without an ``interface`` index are some
    other plugin's business and left alone; an index that does not lead to ``ifname`` is an
    error.  A route without ``gw`` goes through the first gateway of its family, on the link
    itself if there is none; of two routes that come out the same one is added.  IPv6 addresses
    are usable at once, since nobody else had a chance to take them; with ``dad`` the kernel
    looks for duplicates first, and this waits until it has.

    Nothing is undone here on failure: all of it goes with the link.
    """
    from cnisdk.net import addr, link, route, sysctl  # most plugins have no link to configure

    index = link.index_of(container, ifname)
    ours = [ip for ip in result.ips if _is_on(result, ip.interface, ifname)]
    if any(ip.address.version == 6 for ip in ours):
        with netns.enter():
            for name in ("all", ifname) if ifname == "lo" else (ifname,):
                sysctl.write(f"net/ipv6/conf/{name}/disable_ipv6", 0)
            sysctl.write(f"net/ipv6/conf/{ifname}/keep_addr_on_down", 1)
    gateways: dict[int, IPv4Address | IPv6Address] = {}
    for ip in ours:
        addr.add(container, index, ip.address, nodad=not dad)
        if ip.gateway is not None:
            gateways.setdefault(ip.gateway.version, ip.gateway)
    link.set_up(container, index)
    if dad:
        addr.wait_usable(container, index, DAD_TIMEOUT)
    for entry in _routes(result, index, gateways):
        # Several gateways for one destination share the traffic, as in the Go library.
        route.add(container, entry, append=True)


def _is_on(result: Result, interface: int | None, ifname: str) -> bool:
    if interface is None:
        return False
    if not 0 <= interface < len(result.interfaces):
        raise PluginError("IPAM result names no interface", f"ips[].interface {interface}")
    if result.interfaces[interface].name != ifname:
        raise PluginError(
            "IPAM result is for another interface",
            f"{result.interfaces[interface].name!r}, not {ifname!r}",
        )
    return True


def _routes(
    result: Result, index: int, gateways: "dict[int, IPv4Address | IPv6Address]"
) -> "list[route.Route]":
    """Return the routes of ``result`` as the kernel takes them, each once."""
    from cnisdk.net import route

    seen: dict[route.Route, None] = {}
    for entry in result.routes:
        wanted = route.Route(
            entry.dst,
            gw=entry.gw or gateways.get(entry.dst.version),
            index=index,
            table=entry.table or route.Route._field_defaults["table"],
            scope=entry.scope,
            priority=entry.priority or 0,
            mtu=entry.mtu or 0,
            advmss=entry.advmss or 0,
        )
        seen[wanted] = None
    return list(seen)


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
