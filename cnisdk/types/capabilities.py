"""What a runtime passes as ``runtimeConfig``; CONVENTIONS, "Dynamic plugin specific fields".

A plugin sees what it declared a capability for and the runtime has a value for.  Runtimes differ
in the case of keys (containerd sends ``HostPort``), which reading takes care of.
"""

from typing import Annotated

from cnisdk.types._wire import Field, WireModel

_LENIENT = Field(strict=False)  # a list is as good as a tuple


class PortMapping(WireModel, strict=True):
    """A port of the host that leads to a port of the container."""

    host_port: int = Field(alias="hostPort", ge=0, le=65535)
    container_port: int = Field(alias="containerPort", ge=0, le=65535)
    protocol: str = "tcp"
    host_ip: str = Field(default="", alias="hostIP")
    """Address of the host to listen on; empty for every one."""


class IPRange(WireModel, strict=True):
    """Addresses to choose from; text, as each IPAM plugin has its own idea of the details."""

    subnet: str | None = None
    range_start: str | None = Field(default=None, alias="rangeStart")
    range_end: str | None = Field(default=None, alias="rangeEnd")
    gateway: str | None = None


class Bandwidth(WireModel, strict=True):
    """Limits in bits per second, and bursts in bits; 0 is none."""

    ingress_rate: int = Field(default=0, alias="ingressRate", ge=0)
    ingress_burst: int = Field(default=0, alias="ingressBurst", ge=0)
    egress_rate: int = Field(default=0, alias="egressRate", ge=0)
    egress_burst: int = Field(default=0, alias="egressBurst", ge=0)


class RuntimeDNS(WireModel, strict=True):
    """Resolver settings; the names differ from those of a result's ``dns``."""

    searches: Annotated[tuple[str, ...], _LENIENT] = ()
    servers: Annotated[tuple[str, ...], _LENIENT] = ()
    options: Annotated[tuple[str, ...], _LENIENT] = ()


class RuntimeConfig(WireModel, strict=True):
    """Values of the well-known capabilities; others are in ``model_extra``."""

    port_mappings: Annotated[tuple[PortMapping, ...], _LENIENT] = Field(
        default=(), alias="portMappings"
    )
    ip_ranges: Annotated[tuple[Annotated[tuple[IPRange, ...], _LENIENT], ...], _LENIENT] = Field(
        default=(), alias="ipRanges"
    )
    """A container gets one address of each set of ranges."""
    bandwidth: Bandwidth | None = None
    dns: RuntimeDNS | None = None
    ips: Annotated[tuple[str, ...], _LENIENT] = ()
    """Addresses to use, ``address`` or ``address/prefix``."""
    mac: str = ""
    infiniband_guid: str = Field(default="", alias="infinibandGUID")
    device_id: str = Field(default="", alias="deviceID")
    aliases: Annotated[tuple[str, ...], _LENIENT] | dict[str, list[str]] = ()
    """Names of the container; podman gives them by network."""
    cgroup_path: str = Field(default="", alias="cgroupPath")
