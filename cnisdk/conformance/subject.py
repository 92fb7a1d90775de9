"""The plugin under test: its executable, what it is for, how it is configured."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnisdk import versions
from cnisdk.conformance.check import Kind
from cnisdk.conformance.execution import Spawn, spawn

NETWORK = "conformance"
"""Network name of a configuration that gives none."""

UPLINK = "uplink0"
"""Name of a link on the host that a plugin may take for its master."""

# Plugins of which it is known that they make no interface.
_KINDS = {
    **dict.fromkeys(("host-local", "static", "dhcp", "whereabouts", "ipam"), Kind.IPAM),
    **dict.fromkeys(
        ("bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf", "debug"), Kind.CHAINED
    ),
}

# What is configured for a plugin by its name when nobody says how, beyond the kind's default.
_KNOWN: dict[str, dict[str, Any]] = {
    "macvlan": {"master": UPLINK},
    "ipvlan": {"master": UPLINK},
    "vlan": {"master": UPLINK, "vlanId": 7},
    "tuning": {"mtu": 1400},
    "bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 800_000},
    "portmap": {
        "capabilities": {"portMappings": True},
        "runtimeConfig": {
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A plugin, and the configuration it is tested with.

    ``config`` is a plugin configuration, as a runtime would send it without ``prevResult``.  An
    interface plugin without ``ipam`` in it has no IPAM; ``config`` None takes a default.
    """

    executable: str
    kind: Kind
    config: Mapping[str, Any] | None = None
    cni_path: tuple[str, ...] = ()
    """Directories in which the plugins that it delegates to are found, beside its own."""
    cni_version: str = ""
    """The version to test with; the newest that the plugin claims if empty."""
    spawn: Spawn = field(default=spawn, repr=False)

    @property
    def name(self) -> str:
        """What the executable is called: ``type`` in a configuration."""
        return os.path.basename(self.executable)

    @property
    def search_path(self) -> tuple[str, ...]:
        """CNI_PATH but for the double's directory."""
        own = os.path.dirname(os.path.abspath(self.executable))
        return (own, *(path for path in self.cni_path if path != own))

    def base_config(self, ipam: str, state: Path) -> dict[str, Any]:
        """Return the configuration without version; ``ipam`` is the type of a default's IPAM.

        What a default keeps in files is kept under ``state``.
        """
        if self.config is not None:
            config = copy.deepcopy(dict(self.config))
            config.setdefault("name", NETWORK)
            return config
        config = {"name": NETWORK, "type": self.name}
        if self.kind is Kind.INTERFACE:
            config |= {"bridge": "conform0", "isGateway": True, "ipam": {"type": ipam}}
        elif self.kind is Kind.IPAM:
            config["ipam"] = {
                "type": self.name,
                "subnet": "10.78.0.0/24",
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(state / "networks"),
            }
            if self.name == "static":
                del config["ipam"]["subnet"]
                config["ipam"]["addresses"] = [{"address": "10.78.0.9/24"}]
        return config | copy.deepcopy(_KNOWN.get(self.name, {}))

    def usable_versions(self, claimed: list[str]) -> list[str]:
        """Return the versions to test of those that the plugin claims, oldest first."""
        known = [version for version in versions.SUPPORTED if version in claimed]
        if self.cni_version:
            return [v for v in known if versions.parse(v) <= versions.parse(self.cni_version)]
        return known


def guess_kind(executable: str, config: Mapping[str, Any] | None = None) -> Kind:
    """Return what a plugin is for, by its name and its configuration."""
    name = os.path.basename(executable)
    if name in _KINDS:
        return _KINDS[name]
    if config is not None:
        ipam = config.get("ipam")
        if "prevResult" in config:
            return Kind.CHAINED
        if isinstance(ipam, Mapping) and ipam.get("type") == name:
            return Kind.IPAM
    return Kind.INTERFACE
