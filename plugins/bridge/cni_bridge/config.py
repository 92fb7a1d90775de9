"""What an administrator may write for the bridge plugin.

Keys, types and defaults are those of the reference plugin.  What concerns a single key is
checked where the key is declared; what ADD alone cannot do is checked by `Config.check_usable`,
so that DEL still releases what an older configuration made.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cni_bridge import mac
from cnisdk import (
    Field,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
    Parsed,
    PluginConfig,
    UnsupportedFieldError,
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
    vlan_trunk: list[dict[str, Any]] | None = Field(default=None, alias="vlanTrunk")
    preserve_default_vlan: bool = Field(default=False, alias="preserveDefaultVlan")
    macspoofchk: bool = False

    @property
    def has_gateway(self) -> bool:
        """Whether the bridge carries gateway addresses."""
        return self.is_gateway or self.is_default_gateway

    def check_usable(self, cni_args: Mapping[str, str]) -> None:
        """Raise what keeps ADD from doing as the configuration and CNI_ARGS say."""
        self._check_supported()
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

    def _check_supported(self) -> None:
        refused: tuple[tuple[str, object], ...] = (
            ("vlan", self.vlan),
            ("vlanTrunk", self.vlan_trunk),
            ("preserveDefaultVlan", self.preserve_default_vlan),
            ("macspoofchk", self.macspoofchk),
        )
        for key, value in refused:
            if value:
                raise UnsupportedFieldError(
                    "unsupported field", f"$.{key}: this version has no {key}", key=key, value=value
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
