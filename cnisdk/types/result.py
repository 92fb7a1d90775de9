"""What ADD answers; SPEC section 5, "ADD Success".

A result always has the shape of version 1.1.0 here; `cnisdk.types.convert` knows the others.
"""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Annotated, Any, Self

from cnisdk.types import _address
from cnisdk.types._fields import Parsed
from cnisdk.types._light import values
from cnisdk.types._wire import Field, WireModel

_TEXT = {"type": "string"}
_ADDRESS = Parsed(_address.address, _TEXT)
_UINT32 = Field(ge=0, le=2**32 - 1)
_LENIENT = Field(strict=False)  # a list is as good as a tuple


class ResultModel(WireModel, strict=True):
    """What a plugin changes in a result that it was given: the result, or a part of it."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with ``changes`` in the named fields, checked as any other value.

        Keys that are not declared stay as they are.  A name that is no field's is a TypeError.
        """
        fields = values(self)
        if unknown := changes.keys() - fields.keys():
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        made = type(self)(**{**fields, **changes})
        if made.model_extra is not None:
            for key, value in (self.model_extra or {}).items():
                made.model_extra.setdefault(key, value)
        return made


class Interface(ResultModel):
    """An interface that the attachment created, in the container or on the host."""

    name: str
    mac: str = ""
    sandbox: str = ""
    """The container's CNI_NETNS; empty for an interface on the host."""
    mtu: Annotated[int | None, _UINT32] = None
    socket_path: str = Field(default="", alias="socketPath")
    """Where a socket stands in for the interface (vhost-user)."""
    pci_id: str = Field(default="", alias="pciID")
    """The platform's name of the PCI device behind the interface."""


class IPConfig(ResultModel):
    """An address that the attachment assigned."""

    address: Annotated[IPv4Interface | IPv6Interface, Parsed(_address.interface, _TEXT)]
    gateway: Annotated[IPv4Address | IPv6Address | None, _ADDRESS] = None
    interface: Annotated[int | None, Field(ge=0)] = None
    """Index into the result's ``interfaces``; None while it is nobody's, as from IPAM."""


class Route(ResultModel):
    """A route in the container."""

    dst: Annotated[IPv4Network | IPv6Network, Parsed(_address.network, _TEXT)]
    gw: Annotated[IPv4Address | IPv6Address | None, _ADDRESS] = None
    """The next hop; None leaves the choice to the plugin, which may take an IP's gateway."""
    mtu: Annotated[int | None, _UINT32] = None
    advmss: Annotated[int | None, _UINT32] = None
    priority: Annotated[int | None, _UINT32] = None
    table: Annotated[int | None, _UINT32] = None
    scope: Annotated[int | None, Field(ge=0, le=255)] = None
    """0 is global, 253 link, 254 host."""


class DNS(ResultModel):
    """Resolver settings; also what a configuration says about them."""

    nameservers: Annotated[tuple[str, ...], _LENIENT] = ()
    domain: str = ""
    search: Annotated[tuple[str, ...], _LENIENT] = ()
    options: Annotated[tuple[str, ...], _LENIENT] = ()

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(
            self.nameservers or self.domain or self.search or self.options or self.model_extra
        )


class Result(ResultModel):
    """What the container got."""

    cni_version: str = Field(default="1.1.0", alias="cniVersion")
    """Version of this shape; the runner answers in the version of the configuration."""
    interfaces: Annotated[tuple[Interface, ...], _LENIENT] = ()
    ips: Annotated[tuple[IPConfig, ...], _LENIENT] = ()
    routes: Annotated[tuple[Route, ...], _LENIENT] = ()
    dns: DNS = Field(default_factory=DNS)
