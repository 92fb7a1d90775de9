"""The CNI bridge plugin: connects containers to a Linux bridge."""

from cni_bridge.config import Config
from cni_bridge.plugin import Bridge

__all__ = ["Bridge", "Config"]
