"""What an administrator may write for the bridge plugin.

Keys, types and defaults are those of the reference plugin.  What concerns a single key is
checked where the key is declared; what ADD alone cannot do is checked by `Config.check_usable`,
so that DEL still releases what an older configuration made.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from cni_bridge import mac
from cni_bridge.trunk import MAX_VID, Trunk, vids
from cnisdk import (
    Field,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
    Parsed,
    PluginConfig,
    names,
    versions,
)

MAX_MTU = 65535
"""The largest MTU of a veth and of a bridge (ETH_MAX_MTU)."""


def _interface_name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is no string")  # noqa: TRY004 - one kind of refusal
    if problem := names.ifname_problem(value):
        raise ValueError(f"as the name of an interface it {problem}")
    return value


class Config(PluginConfig):
    """The bridge plugin's own keys."""

    bridge: Annotated[str, Parsed(_interface_name, {"type": "string"})] = "cni0"
    """Name of the bridge; made if there is none."""
    is_gateway: bool = Field(default=False, alias="isGateway")
    """Give the bridge the networks' gateway addresses and switch forwarding on."""
    is_default_gateway: bool = Field(default=False, alias="isDefaultGateway")
    """As ``is_gateway``, and the container's default route leads to it."""
    force_address: bool = Field(default=False, alias="forceAddress")
    """Replace an address of the bridge that is in the gateway's way."""
    ip_masq: bool = Field(default=False, alias="ipMasq")
    """Masquerade what containers send out of their networks."""
    ip_masq_backend: Literal["iptables", "nftables"] | None = Field(
        default=None, alias="ipMasqBackend"
    )
    """None takes iptables, or nftables where only that works."""
    mtu: int = Field(default=0, ge=0, le=MAX_MTU)
    """MTU of both ends of the veth, and of the bridge when it is made; 0 is the kernel's choice."""
    hairpin_mode: bool = Field(default=False, alias="hairpinMode")
    """Let the bridge send a frame back out of the port it came from."""
    promisc_mode: bool = Field(default=False, alias="promiscMode")
    """Make the bridge promiscuous; never switched off again."""
    enable_dad: bool = Field(default=False, alias="enabledad")
    """Let the container do IPv6 duplicate address detection, and wait for it."""
    disable_container_interface: bool = Field(default=False, alias="disableContainerInterface")
    """Leave the container's interface down."""
    port_isolation: bool = Field(default=False, alias="portIsolation")
    """Keep the ports of the bridge from reaching each other."""

    vlan: int = 0
    """VLAN of what the container sends without a tag; 0 for none."""
    vlan_trunk: tuple[Trunk, ...] | None = Field(default=None, alias="vlanTrunk")
    """VLANs that the container takes part in with tags."""
    preserve_default_vlan: bool = Field(default=False, alias="preserveDefaultVlan")
    """Leave the port in the bridge's default VLAN too."""
    macspoofchk: bool = False
    """Drop what the container sends under another MAC address than its own."""

    @property
    def has_gateway(self) -> bool:
        """Whether the bridge carries gateway addresses."""
        return self.is_gateway or self.is_default_gateway

    @property
    def filters_vlans(self) -> bool:
        """Whether the bridge is to keep VLANs apart."""
        return self.vlan != 0 or self.vlan_trunk is not None

    @property
    def vlan_gateway(self) -> str:
        """Name of the interface that carries the VLAN's gateway addresses, ``""`` if none does."""
        return f"{self.bridge}.{self.vlan}" if self.vlan and self.has_gateway and self.ipam else ""

    @property
    def routes_by_bridge(self) -> bool:
        """Whether the bridge itself is the containers' gateway, and its MAC address theirs."""
        return self.has_gateway and self.ipam is not None and not self.vlan_gateway

    @property
    def trunk_vids(self) -> tuple[int, ...]:
        """The VLANs of ``vlan_trunk``, sorted, each once."""
        return vids(self.vlan_trunk or ())

    def check_usable(self, cni_args: Mapping[str, str]) -> None:
        """Raise what keeps ADD from doing as the configuration and CNI_ARGS say."""
        self._check_vlans()
        self.wanted_mac(cni_args)
        if self.ipam is None and not versions.at_least(self.cni_version, "0.3.0"):
            raise InvalidNetworkConfigError(
                "cannot convert: no valid IP addresses",
                f'$.cniVersion: "{self.cni_version}" has no result without addresses, and there '
                "is no $.ipam.type",
            )
        if self.ipam is not None and self.disable_container_interface:
            raise InvalidNetworkConfigError(
                "cannot use IPAM when disableContainerInterface is set",
                "$.disableContainerInterface: true, and $.ipam.type: "
                f'"{self.ipam.type}" would have addresses to put on the interface',
            )
        if self.hairpin_mode and self.promisc_mode:
            raise InvalidNetworkConfigError(
                "cannot set hairpin mode and promiscuous mode at the same time",
                "$.hairpinMode: true, and $.promiscMode: true would deliver frames twice",
            )

    def _check_vlans(self) -> None:
        if not 0 <= self.vlan <= MAX_VID:
            raise InvalidNetworkConfigError(
                f"invalid VLAN ID {self.vlan} (must be between 0 and {MAX_VID})",
                f"$.vlan: {self.vlan}",
            )
        _ = self.trunk_vids
        if self.vlan_gateway and (problem := names.ifname_problem(self.vlan_gateway)):
            raise InvalidNetworkConfigError(
                "name of the VLAN's gateway is no name for an interface",
                f'$.bridge: "{self.bridge}", and $.vlan: {self.vlan} make '
                f'"{self.vlan_gateway}", which {problem}',
            )

    def wanted_mac(self, cni_args: Mapping[str, str]) -> str:
        """Return the MAC address to give the container's interface, ``""`` for any.

        ``runtimeConfig.mac`` comes before ``args.cni.mac``, and that before MAC of CNI_ARGS.
        """
        if self.runtime_config.mac:
            return _parsed(self.runtime_config.mac, "$.runtimeConfig.mac")
        cni = self.args.get("cni")
        if isinstance(cni, Mapping) and cni.get("mac"):
            return _parsed(cni["mac"], "$.args.cni.mac")
        if text := cni_args.get("MAC"):
            try:
                return mac.parse(text)
            except ValueError as err:
                raise InvalidEnvironmentError("invalid MAC in CNI_ARGS", str(err)) from err
        return ""


def _parsed(value: object, path: str) -> str:
    try:
        return mac.parse(value)
    except ValueError as err:
        raise InvalidNetworkConfigError("invalid MAC address", f"{path}: {err}") from err
