"""The base of every JSON object of the specification."""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema


class WireModel(BaseModel):
    """Frozen, spelt on the wire exactly as the specification spells it, unknown keys kept."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, extra="allow", defer_build=True, strict=True
    )


def _address(value: Any) -> IPv4Address | IPv6Address:
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    if isinstance(value, str):
        return ip_address(value)
    raise ValueError("an IP address is a string")


def _address_or_none(value: Any) -> IPv4Address | IPv6Address | None:
    """``""`` is none, as Go prints a nil address inside some structures."""
    return None if value is None or value == "" else _address(value)


def _interface(value: Any) -> IPv4Interface | IPv6Interface:
    """``address/prefix length``, host bits kept; neither half may be missing, as in Go."""
    if isinstance(value, IPv4Interface | IPv6Interface):
        return value
    text = value if isinstance(value, str) else ""
    _, slash, prefix = text.partition("/")
    if not slash or not (prefix.isascii() and prefix.isdigit()):
        raise ValueError("an address with prefix length looks like 10.0.0.1/24")
    return ip_interface(text)


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    return _interface(value).network


IPAddress = Annotated[
    IPv4Address | IPv6Address,
    PlainValidator(_address),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]
OptionalIPAddress = Annotated[
    IPv4Address | IPv6Address | None,
    PlainValidator(_address_or_none),
    PlainSerializer(str, when_used="unless-none"),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]
IPInterface = Annotated[
    IPv4Interface | IPv6Interface,
    PlainValidator(_interface),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "description": "address/prefix length"}),
]
IPNetwork = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(_network),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "description": "network/prefix length"}),
]
