"""What an administrator may write."""

from ipaddress import IPv4Network, IPv6Network

from cnisdk import PluginConfig

METADATA = IPv4Network("169.254.169.254/32")
"""Where clouds hand out credentials to whoever asks."""


class Config(PluginConfig):
    """The configuration; unknown keys are left alone, as the specification wants it."""

    deny: tuple[IPv4Network | IPv6Network, ...] = (METADATA,)
    """Networks that the container is kept away from."""
