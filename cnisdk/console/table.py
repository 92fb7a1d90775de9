"""Results and the like as a person reads them: ``--human``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnisdk.types.result import Result


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under their heads, columns as wide as they need to be."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def of_result(wire: Mapping[str, Any]) -> str:
    """Return what ADD answered, of whatever version, as one table for each kind of thing."""
    from cnisdk.types.convert import from_wire

    return "\n\n".join(_tables(from_wire(wire))) or "nothing in the result"


def _tables(result: "Result") -> Iterator[str]:
    names = [interface.name for interface in result.interfaces]
    if result.interfaces:
        rows = [
            (i.name, i.mac or "-", str(i.mtu or "-"), i.sandbox or "host")
            for i in result.interfaces
        ]
        yield table(("INTERFACE", "MAC", "MTU", "WHERE"), rows)
    if result.ips:
        addresses = [
            (str(ip.address), str(ip.gateway or "-"), _at(names, ip.interface)) for ip in result.ips
        ]
        yield table(("ADDRESS", "GATEWAY", "INTERFACE"), addresses)
    if result.routes:
        yield table(("ROUTE", "VIA"), [(str(r.dst), str(r.gw or "-")) for r in result.routes])
    if result.dns.nameservers:
        yield table(("NAMESERVER",), [(server,) for server in result.dns.nameservers])


def _at(names: Sequence[str], index: int | None) -> str:
    return names[index] if index is not None and index < len(names) else "-"


def of_schema(schema: Mapping[str, Any]) -> str:
    """Return the keys of a configuration, those of its ``ipam`` and other objects too."""
    return table(("KEY", "TYPE", "DEFAULT"), list(_keys(schema, schema.get("$defs", {}), "")))


def _keys(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str, str]]:
    from cnisdk.types import _json

    required = schema.get("required", ())
    for key, declared in schema.get("properties", {}).items():
        default = _json.dumps(declared["default"]) if "default" in declared else "-"
        default = "required" if key in required else "-" if default == "null" else default
        yield prefix + key, _kind(declared), default
        for inner in _objects(declared, definitions):
            yield from _keys(inner, definitions, f"{prefix}{key}.")


def _objects(
    declared: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    for one in declared.get("anyOf", [declared]):
        if "$ref" in one:
            yield definitions[one["$ref"].removeprefix("#/$defs/")]


def _kind(declared: Mapping[str, Any]) -> str:
    if "anyOf" in declared:
        kinds = [_kind(one) for one in declared["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in declared:
        return " or ".join(map(str, declared["enum"]))
    if "$ref" in declared:
        return "object"
    if declared.get("type") == "array":
        return f"list of {_kind(declared.get('items', {}))}"
    return str(declared.get("type", "any"))
