"""STATUS: what keeps every ADD from succeeding and can be known before.

Nothing is made and nothing is executed to find out.
"""

from cni_bridge import bridge as bridges, vlan
from cni_bridge.config import Config
from cni_bridge.errors import HostConflictError
from cnisdk import PluginNotAvailableError, UnsupportedFieldError
from cnisdk.net.rtnl import RTNL


def check(config: Config, search_path: str) -> None:
    """Raise `PluginNotAvailableError` with the first thing that is in the way."""
    try:
        with RTNL() as host:
            _check_links(host, config)
    except (UnsupportedFieldError, HostConflictError) as err:
        raise PluginNotAvailableError(err.msg, err.details) from err
    if config.macspoofchk:
        _check_nft("$.macspoofchk: true", search_path)
    if config.ip_masq and config.ipam is not None:
        _check_masquerade(config, search_path)


def _check_links(host: RTNL, config: Config) -> None:
    bridge = bridges.find(host, config.bridge)
    vlan.refuse_without_kernel(host, config)
    if config.vlan_gateway:
        vlan.find_gateway(host, bridge, config)


def _check_masquerade(config: Config, search_path: str) -> None:
    from cnisdk.net import iptables  # few calls ask for it

    backend = config.ip_masq_backend
    said = "$.ipMasq: true" + (f', and $.ipMasqBackend: "{backend}"' if backend else "")
    if backend == "nftables":
        _check_nft(said, search_path)
    elif not iptables.available(search_path):
        if backend == "iptables":
            raise PluginNotAvailableError("iptables is not there", f"{said}; PATH={search_path}")
        _check_nft(f"{said}, and there is no iptables", search_path)


def _check_nft(said: str, search_path: str) -> None:
    from cnisdk.net import nfnetlink
    from cnisdk.net.execute import find

    if find("nft", search_path) is None:
        raise PluginNotAvailableError("nft is not there", f"{said}; PATH={search_path}")
    if not nfnetlink.available():
        raise PluginNotAvailableError("the kernel has no nftables", said)
