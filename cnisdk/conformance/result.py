"""What SPEC section 5 of each version says about a result, read without cnisdk's own types.

A kit that judged with the code under test would overlook its errors.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

OLDEST = ("0.1.0", "0.2.0")
"""Versions whose results have ``ip4`` and ``ip6``."""

WITH_IP_VERSION = ("0.3.0", "0.3.1", "0.4.0")

_MAC = re.compile(r"([0-9a-fA-F]{2}:)+[0-9a-fA-F]{2}")
_UINT = ("mtu", "advmss", "priority", "table", "scope")


class Address(NamedTuple):
    """An address of a result, and the index of its interface."""

    address: str
    gateway: str
    interface: int | None


class Route(NamedTuple):
    """A route of a result."""

    dst: str
    gw: str


def problems(result: Any, version: str, *, abbreviated: bool = False) -> list[str]:
    """Return what keeps ``result`` from being a success result of ``version``.

    ``abbreviated`` is that of an IPAM plugin.
    """
    if not isinstance(result, dict):
        return [f"the result is no JSON object but {_kind(result)}"]
    found: list[str] = []
    if version in OLDEST:
        found += _oldest(result, version)
    else:
        for key in ("ip4", "ip6"):
            if key in result:
                found.append(f"$.{key}: results of {version} have 'ips' instead")
        if abbreviated:
            found += _abbreviated(result)
        else:
            found += _interfaces(result)
        found += _ips(result, version)
        found += _routes(result.get("routes"), "$.routes")
    return [*found, *_dns(result)]


def addresses(result: dict[str, Any]) -> list[Address]:
    """Return the addresses of a valid result of any version."""
    if "ip4" in result or "ip6" in result:
        return [
            Address(ip["ip"], ip.get("gateway") or "", None)
            for ip in (result.get("ip4"), result.get("ip6"))
            if ip
        ]
    return [
        Address(ip["address"], ip.get("gateway") or "", ip.get("interface"))
        for ip in result.get("ips") or ()
    ]


def routes(result: dict[str, Any]) -> list[Route]:
    """Return the routes of a valid result of any version."""
    listed = list(result.get("routes") or ())
    for key in ("ip4", "ip6"):
        listed += (result.get(key) or {}).get("routes") or ()
    return [Route(route["dst"], route.get("gw") or "") for route in listed]


def _abbreviated(result: dict[str, Any]) -> Iterator[str]:
    if result.get("interfaces"):
        yield "$.interfaces: an IPAM plugin knows none"
    for index, ip in enumerate(_list(result, "ips")):
        if isinstance(ip, dict) and ip.get("interface") is not None:
            yield f"$.ips[{index}].interface: an IPAM plugin knows none"


def _interfaces(result: dict[str, Any]) -> Iterator[str]:
    yield from _must_be_list(result, "interfaces")
    for index, interface in enumerate(_list(result, "interfaces")):
        where = f"$.interfaces[{index}]"
        if not isinstance(interface, dict):
            yield f"{where} is {_kind(interface)}, no object"
            continue
        if not isinstance(interface.get("name"), str) or not interface["name"]:
            yield f"{where}.name: {interface.get('name')!r} is no name"
        for key in ("mac", "sandbox", "socketPath", "pciID"):
            if not isinstance(interface.get(key, ""), str):
                yield f"{where}.{key}: {interface[key]!r} is no string"
        mac = interface.get("mac")
        if isinstance(mac, str) and mac and not _MAC.fullmatch(mac):
            yield f"{where}.mac: {mac!r} is no hardware address"
        yield from _uints(interface, where)


def _ips(result: dict[str, Any], version: str) -> Iterator[str]:
    yield from _must_be_list(result, "ips")
    count = len(_list(result, "interfaces"))
    for index, ip in enumerate(_list(result, "ips")):
        where = f"$.ips[{index}]"
        if not isinstance(ip, dict):
            yield f"{where} is {_kind(ip)}, no object"
            continue
        yield from _cidr(ip.get("address"), f"{where}.address")
        yield from _ip(ip.get("gateway"), f"{where}.gateway")
        number = ip.get("interface")
        if number is not None and (type(number) is not int or not 0 <= number < max(count, 1)):
            yield f"{where}.interface: {number!r} is no index into the {count} interfaces"
        if version in WITH_IP_VERSION:
            family = "6" if ":" in str(ip.get("address")) else "4"
            if ip.get("version") != family:
                yield f"{where}.version: {ip.get('version')!r}, {version} wants {family!r}"
        elif "version" in ip:
            yield f"{where}.version: 1.0.0 removed it"


def _oldest(result: dict[str, Any], version: str) -> Iterator[str]:
    for key in ("interfaces", "ips"):
        if result.get(key):
            yield f"$.{key}: results of {version} have 'ip4' and 'ip6'"
    if not result.get("ip4") and not result.get("ip6"):
        yield "neither $.ip4 nor $.ip6 is there"
    for key in ("ip4", "ip6"):
        ip = result.get(key)
        if ip is None:
            continue
        if not isinstance(ip, dict):
            yield f"$.{key} is {_kind(ip)}, no object"
            continue
        yield from _cidr(ip.get("ip"), f"$.{key}.ip", version=int(key[2]))
        yield from _ip(ip.get("gateway"), f"$.{key}.gateway")
        yield from _routes(ip.get("routes"), f"$.{key}.routes")


def _routes(listed: Any, where: str) -> Iterator[str]:
    if listed is None:
        return
    if not isinstance(listed, list):
        yield f"{where} is {_kind(listed)}, no list"
        return
    for index, route in enumerate(listed):
        if not isinstance(route, dict):
            yield f"{where}[{index}] is {_kind(route)}, no object"
            continue
        yield from _cidr(route.get("dst"), f"{where}[{index}].dst")
        yield from _ip(route.get("gw"), f"{where}[{index}].gw")
        yield from _uints(route, f"{where}[{index}]")


def _dns(result: dict[str, Any]) -> Iterator[str]:
    dns = result.get("dns")
    if dns is None:
        return
    if not isinstance(dns, dict):
        yield f"$.dns is {_kind(dns)}, no object"
        return
    for key in ("nameservers", "search", "options"):
        values = dns.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            yield f"$.dns.{key}: {values!r} is no list of strings"
        elif key == "nameservers":
            for index, value in enumerate(values):
                yield from _ip(value, f"$.dns.nameservers[{index}]")
    if not isinstance(dns.get("domain", ""), str):
        yield f"$.dns.domain: {dns['domain']!r} is no string"


def _uints(value: dict[str, Any], where: str) -> Iterator[str]:
    for key in _UINT:
        number = value.get(key)
        if number is not None and (type(number) is not int or number < 0):
            yield f"{where}.{key}: {number!r} is no unsigned integer"


def _cidr(value: Any, where: str, version: int = 0) -> Iterator[str]:
    try:
        interface = ipaddress.ip_interface(value if "/" in str(value) else "")
    except ValueError:
        yield f"{where}: {value!r} is no address in CIDR notation"
        return
    if version and interface.version != version:
        yield f"{where}: {value!r} is no IPv{version} address"


def _ip(value: Any, where: str) -> Iterator[str]:
    if value in (None, ""):
        return
    try:
        ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        yield f"{where}: {value!r} is no address"


def _must_be_list(result: dict[str, Any], key: str) -> Iterator[str]:
    if result.get(key) is not None and not isinstance(result[key], list):
        yield f"$.{key} is {_kind(result[key])}, no list"


def _list(result: dict[str, Any], key: str) -> list[Any]:
    value = result.get(key)
    return value if isinstance(value, list) else []


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "a boolean", str: "a string", list: "a list"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "an object")
