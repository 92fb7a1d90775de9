"""Results between the versions of the specification; SPEC section 5 of each version.

`Result` has the shape of 1.1.0.  `from_wire` reads any version into it, `to_wire` writes any
version of it: what a version cannot hold is left out, and never written under a key it lacks.
Keys no version knows stay where they are.  The order of keys is the Go library's.

What differs:

- 0.1.0, 0.2.0   ``ip4`` and ``ip6``, at most one address each, with the routes of that family
- 0.3.0 - 0.4.0  ``interfaces``, ``ips`` with ``version``, ``routes``
- 1.0.0          ``ips`` without ``version``; an empty ``dns`` is left out
- 1.1.0          ``mtu``, ``socketPath``, ``pciID`` of interfaces; ``mtu``, ``advmss``,
                 ``priority``, ``table``, ``scope`` of routes
"""

from collections.abc import Mapping
from typing import Any

from cnisdk import versions
from cnisdk.errors import DecodingError, IncompatibleVersionError, InvalidNetworkConfigError
from cnisdk.types import _checks, _problems
from cnisdk.types._keys import keys_of
from cnisdk.types._problems import InvalidError, Path, Problem
from cnisdk.types.result import DNS, Interface, IPConfig, Result, Route

_IP4_IP6 = frozenset({"0.1.0", "0.2.0"})
_OF_OLD_RESULT = frozenset({"ip4", "ip6"})
_OF_IP4 = frozenset({"ip", "gateway", "routes"})
_IPS_WITH_VERSION = frozenset({"0.3.0", "0.3.1", "0.4.0"})
_SINCE_1_1 = {
    "interfaces": ("mtu", "socketPath", "pciID"),
    "routes": ("mtu", "advmss", "priority", "table", "scope"),
}
_NEW_IN_INTERFACE = ("mtu", "socket_path", "pci_id")
_NEW_IN_ROUTE = _SINCE_1_1["routes"]
_ZERO_COUNTS = ("table", "scope")
"""Of what 1.1.0 added, where 0 says something; as any other value it is the kernel's choice."""

Wire = dict[str, Any]


def from_wire(obj: Mapping[str, Any], default_version: str = "") -> Result:
    """Return the result that ``obj`` is, in its own ``cniVersion`` or else in ``default_version``.

    Raises IncompatibleVersionError for a version that does not exist, and DecodingError, whose
    details name path and value, for what is no result of that version.
    """
    try:
        return read(obj, default_version)
    except InvalidError as err:
        details = _problems.describe(obj, err.problems)
        if any(problem.kind == "version" for problem in err.problems):
            raise IncompatibleVersionError("unsupported CNI result version", details) from err
        raise DecodingError("malformed CNI result", details) from err


def read(obj: Mapping[str, Any], default_version: str = "") -> Result:
    """Do what `from_wire` does, for a result within something larger: raises `InvalidError`."""
    if not isinstance(obj, Mapping):
        raise InvalidError([Problem((), "is no JSON object")])
    stated = _string(obj, "cniVersion")
    version = stated or default_version or versions.UNSTATED
    if version not in versions.SUPPORTED:
        supported = ", ".join(versions.SUPPORTED)
        path = ("cniVersion",) if stated else ()
        raise InvalidError([Problem(path, f"no version {version}, only {supported}", "version")])
    origin: dict[Path, Path] = {}
    wire = _from_ip4_ip6(obj, origin) if version in _IP4_IP6 else _from_ips(obj, version)
    wire["cniVersion"] = versions.CURRENT
    made = _checks.accept(Result, wire)
    if made is not None:
        return made
    from cnisdk.types import _pydantic

    try:
        return _pydantic.read(Result, wire)
    except InvalidError as err:
        raise InvalidError(_renamed(err.problems, origin)) from err


def _string(obj: Mapping[str, Any], key: str) -> str:
    path, value = _problems.locate(obj, (key,))
    if not path or value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidError([Problem((key,), "Input should be a valid string")])
    return value


def _from_ips(obj: Mapping[str, Any], version: str) -> Wire:
    wire: Wire = keys_of(Result).canonical(obj)
    if version == "0.3.0" and "ips" not in wire and isinstance(wire.get("ip"), list):
        # the text of 0.3.0 alone calls the list "ip"; no plugin is known that does
        wire = keys_of(Result).canonical({**wire, "ips": wire.pop("ip")})
    for ip in _objects(wire.get("ips")):
        ip.pop("version", None)  # what the address itself says
    if version != versions.CURRENT:
        for key, fields in _SINCE_1_1.items():
            for item in _objects(wire.get(key)):
                for field in fields:
                    item.pop(field, None)
    return wire


def _objects(items: object) -> list[Wire]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _from_ip4_ip6(obj: Mapping[str, Any], origin: dict[Path, Path]) -> Wire:
    """Return the 1.1.0 shape; ``origin`` is told where each part of it comes from."""
    wire = keys_of(Result).canonical(obj)
    for key in ("interfaces", "ips", "routes"):
        wire.pop(key, None)  # no keys of these versions
    for key in [key for key in wire if key.lower() in _OF_OLD_RESULT]:
        del wire[key]
    ips: list[Any] = []
    routes: list[Any] = []
    for family in ("ip4", "ip6"):
        _, found = _problems.locate(obj, (family,))
        if found is None or found is obj:
            continue
        if not isinstance(found, Mapping):
            raise InvalidError([Problem((family,), "Input should be a valid dictionary")])
        origin["ips", len(ips)] = (family,)
        ip, its_routes = _from_ip(found)
        if ip.get("address") is not None and (":" in str(ip["address"])) != (family == "ip6"):
            raise InvalidError([Problem((family, "ip"), f"is no IPv{family[2]} address")])
        ips.append(ip)
        if not isinstance(its_routes, list | tuple):
            raise InvalidError([Problem((family, "routes"), "Input should be a valid list")])
        for index, route in enumerate(its_routes):
            origin["routes", len(routes)] = (family, "routes", index)
            routes.append(_from_route(route))
    return {**wire, "ips": ips, "routes": routes}


def _from_ip(found: Mapping[str, Any]) -> tuple[Wire, Any]:
    """Return an ``ip4`` or ``ip6`` as a member of ``ips``, and its routes."""
    ip: Wire = {}
    routes: Any = []
    for written, value in found.items():
        key = written.lower()
        if key not in ("ip", "gateway", "routes"):
            if key not in ("address", "interface", "version"):
                ip[written] = value
        elif value is None or (written != key and key in found):
            continue
        elif key == "routes":
            routes = value
        else:
            ip["address" if key == "ip" else key] = value
    return ip, routes


def _from_route(route: Any) -> Any:
    route = keys_of(Route).canonical(route)
    if isinstance(route, dict):
        for field in _SINCE_1_1["routes"]:
            route.pop(field, None)
    return route


def _renamed(problems: list[Problem], origin: dict[Path, Path]) -> list[Problem]:
    """Return ``problems`` with the paths that the reader's own object has."""
    renamed = []
    for problem in problems:
        path, rest = origin.get(problem.path[:2]), problem.path[2:]
        if path is not None:
            problem = problem._replace(path=path + (("ip",) if rest == ("address",) else rest))
        renamed.append(problem)
    return renamed


def to_wire(result: Result, version: str) -> Wire:
    """Return ``result`` as the JSON object of ``version``; ``""`` is the oldest, as everywhere.

    Raises IncompatibleVersionError for a version that does not exist, and
    InvalidNetworkConfigError where a configuration of 0.1.0 or 0.2.0 has asked for a result
    that those versions cannot express: one without an address.
    """
    version = version or versions.UNSTATED
    if version in _IP4_IP6:
        return _to_ip4_ip6(result, version)
    if version in _IPS_WITH_VERSION:
        return _to_ips_with_version(result, version)
    if version in versions.SUPPORTED:
        return _to_ips(result, version)
    raise IncompatibleVersionError(
        "unsupported CNI result version", f"{version!r} is not of {', '.join(versions.SUPPORTED)}"
    )


def survives(result: Result, version: str) -> bool:
    """Whether reading what `to_wire` writes of ``result`` gives the same result for certain.

    So a plugin in this process can be handed it as it is, without any JSON.
    """
    if result.cni_version != versions.CURRENT or version not in (versions.CURRENT, "1.0.0"):
        return False
    parts = (*result.interfaces, *result.ips, *result.routes)
    if any(part.model_extra for part in (result, result.dns, *parts)):
        return False
    # Of what 1.1.0 added, 1.0.0 loses all, and 1.1.0 itself some zeros.
    return not any(
        getattr(item, name) not in (None, "")
        for items, names in ((result.interfaces, _NEW_IN_INTERFACE), (result.routes, _NEW_IN_ROUTE))
        for item in items
        for name in names
    )


def _to_ip4_ip6(result: Result, version: str) -> Wire:
    wire: Wire = {"cniVersion": version}
    for family in (4, 6):
        ip = next((ip for ip in result.ips if ip.address.version == family), None)
        if ip is None:
            continue
        entry: Wire = {"ip": str(ip.address)}
        if ip.gateway is not None:
            entry["gateway"] = str(ip.gateway)
        routes = [_old_route(route) for route in result.routes if route.dst.version == family]
        if routes:
            entry["routes"] = routes
        wire[f"ip{family}"] = _with_extra(entry, ip, but=_OF_IP4)
    if len(wire) == 1:
        raise InvalidNetworkConfigError(
            "cannot convert: no valid IP addresses",
            f"a result of version {version}, as $.cniVersion asks for, has at least one",
        )
    wire["dns"] = _old_dns(result.dns)
    return _with_extra(wire, result, but=_OF_OLD_RESULT)


def _to_ips_with_version(result: Result, version: str) -> Wire:
    wire: Wire = {"cniVersion": version}
    if result.interfaces:
        wire["interfaces"] = [_old_interface(interface) for interface in result.interfaces]
    if result.ips:
        wire["ips"] = [_old_ip(ip) for ip in result.ips]
    if result.routes:
        wire["routes"] = [_old_route(route) for route in result.routes]
    wire["dns"] = _old_dns(result.dns)
    return _with_extra(wire, result)


def _to_ips(result: Result, version: str) -> Wire:
    full = version == versions.CURRENT
    wire: Wire = {"cniVersion": version}
    if dns := _sorted(_old_dns(result.dns)):
        wire["dns"] = dns
    if result.interfaces:
        wire["interfaces"] = [_interface(interface, full=full) for interface in result.interfaces]
    if result.ips:
        wire["ips"] = [_ip(ip) for ip in result.ips]
    if result.routes:
        wire["routes"] = [_route(route, full=full) for route in result.routes]
    return _sorted(_with_extra(wire, result)) if result.model_extra else wire


def _interface(interface: Interface, *, full: bool) -> Wire:
    wire: Wire = {}
    if interface.mac:
        wire["mac"] = interface.mac
    if full and interface.mtu:
        wire["mtu"] = interface.mtu
    wire["name"] = interface.name
    if full and interface.pci_id:
        wire["pciID"] = interface.pci_id
    if interface.sandbox:
        wire["sandbox"] = interface.sandbox
    if full and interface.socket_path:
        wire["socketPath"] = interface.socket_path
    return _sorted(_with_extra(wire, interface)) if interface.model_extra else wire


def _old_interface(interface: Interface) -> Wire:
    wire: Wire = {"name": interface.name}
    if interface.mac:
        wire["mac"] = interface.mac
    if interface.sandbox:
        wire["sandbox"] = interface.sandbox
    return _with_extra(wire, interface)


def _ip(ip: IPConfig) -> Wire:
    wire: Wire = {"address": str(ip.address)}
    if ip.gateway is not None:
        wire["gateway"] = str(ip.gateway)
    if ip.interface is not None:
        wire["interface"] = ip.interface
    return _sorted(_with_extra(wire, ip)) if ip.model_extra else wire


def _old_ip(ip: IPConfig) -> Wire:
    wire: Wire = {"version": str(ip.address.version)}
    if ip.interface is not None:
        wire["interface"] = ip.interface
    wire["address"] = str(ip.address)
    if ip.gateway is not None:
        wire["gateway"] = str(ip.gateway)
    return _with_extra(wire, ip)


def _route(route: Route, *, full: bool) -> Wire:
    wire: Wire = {"dst": str(route.dst)}
    if route.gw is not None:
        wire["gw"] = str(route.gw)
    if full:
        for key in _SINCE_1_1["routes"]:
            value = getattr(route, key)
            if value or (value == 0 and key in _ZERO_COUNTS):
                wire[key] = value
    return _sorted(_with_extra(wire, route))


def _old_route(route: Route) -> Wire:
    wire: Wire = {"dst": str(route.dst)}
    if route.gw is not None:
        wire["gw"] = str(route.gw)
    return _with_extra(wire, route)


def _old_dns(dns: DNS) -> Wire:
    wire: Wire = {}
    if dns.nameservers:
        wire["nameservers"] = list(dns.nameservers)
    if dns.domain:
        wire["domain"] = dns.domain
    if dns.search:
        wire["search"] = list(dns.search)
    if dns.options:
        wire["options"] = list(dns.options)
    return _with_extra(wire, dns)


def _with_extra(
    wire: Wire,
    model: Result | Interface | IPConfig | Route | DNS,
    *,
    but: frozenset[str] = frozenset(),
) -> Wire:
    """Add the keys that are not declared, ``but`` those that mean something in this version."""
    if model.model_extra:
        for key, value in model.model_extra.items():
            if key.lower() not in but:
                wire.setdefault(key, value)
    return wire


def _sorted(wire: Wire) -> Wire:
    return dict(sorted(wire.items()))
