"""What an administrator may write."""

from ipaddress import IPv4Address, IPv4Network

from cnisdk import Field, IPAMConfig, PluginConfig


class IPAM(IPAMConfig):
    """The ``ipam`` object."""

    subnet: IPv4Network | None = None
    """The containers' subnet; its first address is the gateway's.  DEL does without it."""
    range_start: IPv4Address | None = Field(default=None, alias="rangeStart")
    """The first address to give; None is the subnet's first after the gateway's."""
    range_end: IPv4Address | None = Field(default=None, alias="rangeEnd")
    """The last address to give; None is the subnet's last."""
    data_dir: str = Field(default="/var/lib/cni/{{ cookiecutter.name }}", alias="dataDir")
    """Where reservations are kept, a file for each address."""


class Config(PluginConfig):
    """The configuration; unknown keys are left alone, as the specification wants it."""

    ipam: IPAM | None = None
