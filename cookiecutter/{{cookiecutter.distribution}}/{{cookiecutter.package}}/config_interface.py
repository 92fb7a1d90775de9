"""What an administrator may write."""

from cnisdk import Field, PluginConfig


class Config(PluginConfig):
    """The configuration; unknown keys are left alone, as the specification wants it."""

    mtu: int = Field(default=0, ge=0, le=65535)
    """MTU of both ends of the cable; 0 is the kernel's choice."""
