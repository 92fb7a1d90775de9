"""What ADD answers; SPEC section 5, "ADD Success".

The shape in memory is always that of the newest version; `cnisdk.types.convert` reads and writes
the others.
"""

from typing import Any, Self

from pydantic import Field

from cnisdk import versions
from cnisdk.types._wire import IPInterface, IPNetwork, OptionalIPAddress, WireModel


class Interface(WireModel):
    """An interface the attachment created, in the container or on the host."""

    name: str = ""
    mac: str = ""
    """Hardware address, ``""`` if it has none or it is not told."""
    mtu: int | None = Field(default=None, ge=0)
    sandbox: str = ""
    """CNI_NETNS as it was given for an interface in the container, ``""`` on the host."""
    socket_path: str = Field(default="", alias="socketPath")
    """Absolute path to a socket file corresponding to this interface."""
    pci_id: str = Field(default="", alias="pciID")
    """Platform's name of the PCI device behind the interface."""


class IPConfig(WireModel):
    """An address the attachment assigned."""

    address: IPInterface
    gateway: OptionalIPAddress = None
    interface: int | None = None
    """Index into the result's ``interfaces``."""


class Route(WireModel):
    """A route the attachment made, or an IPAM plugin wants made."""

    dst: IPNetwork
    gw: OptionalIPAddress = None
    """Next hop; where it is missing a ``gateway`` of ``ips`` may be used."""
    mtu: int | None = Field(default=None, ge=0)
    advmss: int | None = Field(default=None, ge=0)
    priority: int | None = Field(default=None, ge=0)
    table: int | None = Field(default=None, ge=0)
    scope: int | None = Field(default=None, ge=0)


class DNS(WireModel):
    """What a container's resolver should be told; SPEC section 5, ``dns``."""

    nameservers: tuple[str, ...] = ()
    """Addresses of DNS servers, in order of preference."""
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Result(WireModel):
    """The outcome of an ADD."""

    cni_version: str = Field(default=versions.CURRENT, alias="cniVersion")
    interfaces: tuple[Interface, ...] = ()
    ips: tuple[IPConfig, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: DNS = DNS.model_construct()

    def replace(self, **changes: Any) -> Self:
        """Return the result with ``changes``, everything else as it is."""
        return self.model_copy(update=changes)
