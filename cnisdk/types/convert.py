"""Results in every version of the specification, both ways; SPEC section 5 and its history.

``to_wire(from_wire(x, v), v)`` says what ``x`` said as far as version ``v`` can say it.  The keys
stand in the order in which the Go library prints them.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from cnisdk import versions
from cnisdk.errors import CNIError, DecodingError, InvalidNetworkConfigError
from cnisdk.types import _json
from cnisdk.types._invalid import describe
from cnisdk.types.result import DNS, Interface, IPConfig, Result, Route

_EXTENDED = (1, 1, 0)  # mtu, socketPath, pciID; route metrics, table and scope
_NO_FAMILY = (1, 0, 0)  # ips[].version is gone
_LISTS = (0, 3, 0)  # interfaces, ips and routes instead of ip4 and ip6

_ROUTE_EXTRAS = ("mtu", "advmss", "priority", "table", "scope")


def to_wire(result: Result, version: str) -> dict[str, Any]:
    """Return ``result`` as JSON of ``version``; what that version has no words for is left out.

    Raises `CNIError` for 0.1.0 and 0.2.0 if there is no address, since they can say nothing else.
    """
    if version not in versions.SUPPORTED:
        raise DecodingError("unsupported CNI result version", repr(version))
    number = versions.parse(version)
    if number < _LISTS:
        return _to_families(result, version)
    wire: dict[str, Any] = {"cniVersion": version}
    if result.interfaces:
        wire["interfaces"] = [_interface(i, number) for i in result.interfaces]
    if result.ips:
        wire["ips"] = [_ip(ip, number) for ip in result.ips]
    if result.routes:
        wire["routes"] = [_route(r, number) for r in result.routes]
    dns = _dns(result.dns)
    if dns or number < _NO_FAMILY:
        wire["dns"] = dns
    wire.update(result.model_extra or {})
    return wire


def from_wire(obj: Mapping[str, Any], default_version: str = "") -> Result:
    """Read a result of the version it states, else of ``default_version``.

    The `Result` keeps that version in ``cni_version``.  Raises DecodingError.
    """
    version = obj.get("cniVersion") or default_version or versions.UNSTATED
    if not isinstance(version, str) or version not in versions.SUPPORTED:
        raise DecodingError("unsupported CNI result version", f"$.cniVersion: {version!r}")
    number = versions.parse(version)
    wire = dict(obj)
    if number < _LISTS:
        wire = _from_families(wire)
    wire["cniVersion"] = version
    if number < _NO_FAMILY and isinstance(wire.get("ips"), list):
        wire["ips"] = [
            {k: v for k, v in ip.items() if k != "version"} if isinstance(ip, dict) else ip
            for ip in wire["ips"]
        ]
    for key in ("interfaces", "ips", "routes", "dns"):
        if wire.get(key, ()) is None:
            del wire[key]  # null, as an unset slice or pointer of Go
    try:
        return Result.model_validate_json(_json.dumps(wire), strict=True)
    except ValidationError as err:
        raise DecodingError("malformed result", describe(err, wire)) from err


def _interface(interface: Interface, number: tuple[int, int, int]) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": interface.name}
    if interface.mac:
        wire["mac"] = interface.mac
    if number >= _EXTENDED and interface.mtu:
        wire["mtu"] = interface.mtu
    if interface.sandbox:
        wire["sandbox"] = interface.sandbox
    if number >= _EXTENDED:
        if interface.pci_id:
            wire["pciID"] = interface.pci_id
        if interface.socket_path:
            wire["socketPath"] = interface.socket_path
    wire.update(interface.model_extra or {})
    return wire


def _ip(ip: IPConfig, number: tuple[int, int, int]) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    if number < _NO_FAMILY:
        wire["version"] = str(ip.address.version)
    if ip.interface is not None:
        wire["interface"] = ip.interface
    wire["address"] = str(ip.address)
    if ip.gateway is not None:
        wire["gateway"] = str(ip.gateway)
    wire.update(ip.model_extra or {})
    return wire


def _route(route: Route, number: tuple[int, int, int]) -> dict[str, Any]:
    wire: dict[str, Any] = {"dst": str(route.dst)}
    if route.gw is not None:
        wire["gw"] = str(route.gw)
    if number >= _EXTENDED:
        for key in _ROUTE_EXTRAS:
            value = getattr(route, key)
            # 0 means "none given" but for table and scope, where it is a value.
            if value or (value == 0 and key in ("table", "scope")):
                wire[key] = value
    wire.update(route.model_extra or {})
    return wire


def _dns(dns: DNS) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    if dns.nameservers:
        wire["nameservers"] = list(dns.nameservers)
    if dns.domain:
        wire["domain"] = dns.domain
    if dns.search:
        wire["search"] = list(dns.search)
    if dns.options:
        wire["options"] = list(dns.options)
    wire.update(dns.model_extra or {})
    return wire


# -- 0.1.0 and 0.2.0: one address of each family, with its routes ---------------------------


def _to_families(result: Result, version: str) -> dict[str, Any]:
    wire: dict[str, Any] = {"cniVersion": version}
    for family in (4, 6):
        ip = next((ip for ip in result.ips if ip.address.version == family), None)
        if ip is None:
            continue
        entry: dict[str, Any] = {"ip": str(ip.address)}
        if ip.gateway is not None:
            entry["gateway"] = str(ip.gateway)
        routes = [r for r in result.routes if r.dst.version == family]
        if routes:
            entry["routes"] = [
                {"dst": str(r.dst), **({"gw": str(r.gw)} if r.gw is not None else {})}
                for r in routes
            ]
        wire[f"ip{family}"] = entry
    if len(wire) == 1:
        raise InvalidNetworkConfigError(
            "cannot convert: no valid IP addresses",
            f"a result of version {version} consists of addresses",
        )
    wire["dns"] = _dns(result.dns)
    return wire


def _from_families(wire: dict[str, Any]) -> dict[str, Any]:
    lists: dict[str, Any] = {k: v for k, v in wire.items() if k not in ("ip4", "ip6")}
    ips: list[Any] = []
    routes: list[Any] = []
    for key in ("ip4", "ip6"):
        entry = wire.get(key)
        if entry is None:
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("routes") or [], list):
            raise DecodingError("malformed result", f"$.{key}: {entry!r}")
        ip = {"address": entry.get("ip")}
        if entry.get("gateway"):
            ip["gateway"] = entry["gateway"]
        ips.append(ip)
        routes += entry.get("routes") or []
    return {**lists, "ips": ips, "routes": routes}


__all__ = ["CNIError", "from_wire", "to_wire"]
