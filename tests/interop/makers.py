"""Who serves a call: ours, the Go plugins as installed, and what newer Go plugins would do.

Debian's Go plugins masquerade with iptables alone.  Newer ones know nftables, and `Newer` stands
for them: the installed ones do everything else, and the rules are laid down and taken away by
nft(8), with the names, the comments and the order of steps of their release 1.6 and later.
"""

import hashlib
import re
from collections.abc import Mapping
from ipaddress import ip_interface
from typing import Any, Protocol

from tests.host import REFERENCE, Container, Host, Outcome
from tests.netns.agent.agents import RunningAgent

Config = Mapping[str, Any]


class Maker(Protocol):
    """Plugins of one maker."""

    def call(
        self,
        host: Host,
        command: str,
        config: Config,
        container: Container | None,
        *,
        netns: str | None = None,
    ) -> Outcome:
        """Execute its ``bridge``, whose IPAM plugin is its own; with another ``CNI_NETNS``."""
        ...


class Ours:
    """This checkout's, through an agent."""

    def __init__(self, agent: RunningAgent) -> None:
        self._agent = agent

    def call(
        self,
        host: Host,
        command: str,
        config: Config,
        container: Container | None,
        *,
        netns: str | None = None,
    ) -> Outcome:
        """See `Maker`."""
        return self._agent.call(host, "bridge", command, config, container, env=_env(netns))


class Go:
    """The installed Go plugins."""

    def call(
        self,
        host: Host,
        command: str,
        config: Config,
        container: Container | None,
        *,
        netns: str | None = None,
    ) -> Outcome:
        """See `Maker`."""
        return host.plugin(
            "bridge", command, config, container, path=REFERENCE, env=_env(netns), check=False
        )


class Newer(Go):
    """The installed Go plugins, masquerading as newer ones do with nftables."""

    def call(
        self,
        host: Host,
        command: str,
        config: Config,
        container: Container | None,
        *,
        netns: str | None = None,
    ) -> Outcome:
        """See `Maker`."""
        assert container is not None
        outcome = super().call(host, command, {**config, "ipMasq": False}, container, netns=netns)
        if outcome.status == 0 and command == "ADD":
            addresses = [ip["address"] for ip in outcome.json["ips"]]
            self._replace(host, config["name"], container.id, addresses)
        elif outcome.status == 0 and command == "DEL" and netns is None:
            # Without a namespace they forget the rules.
            self._replace(host, config["name"], container.id, [])
        return outcome

    def _replace(self, host: Host, network: str, container_id: str, addresses: list[str]) -> None:
        if addresses:
            host.run("nft", "-f", "-", input=BASE)
        key = f"{_hash(network)}-{_hash(f'eth0:{container_id}')}"
        listed = host.run("nft", "-a", "list", "table", *TABLE.split(), check=False).stdout
        stale = re.findall(rf'comment "{key}, .*" # handle (\d+)$', listed, re.MULTILINE)
        script = [f"delete rule {TABLE} masq_checks handle {handle}" for handle in stale]
        for address in map(ip_interface, addresses):
            ip = "ip" if address.version == 4 else "ip6"
            script.append(
                f"add rule {TABLE} masq_checks {ip} saddr {address.ip} {ip} daddr != "
                f'{address.network} masquerade comment "{key}, net: {network}, if: eth0, '
                f'id: {container_id}"'
            )
        host.run("nft", "-f", "-", input="\n".join(script))


TABLE = "inet cni_plugins_masquerade"

BASE = f"""\
add table {TABLE} {{ comment \
"Masquerading for plugins from github.com/containernetworking/plugins"; }}
add chain {TABLE} masq_checks {{ comment \
"Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"; }}
add chain {TABLE} postrouting {{ type nat hook postrouting priority 100; }}
flush chain {TABLE} postrouting
add rule {TABLE} postrouting ip daddr 224.0.0.0/4 return
add rule {TABLE} postrouting ip6 daddr ff00::/8 return
add rule {TABLE} postrouting goto masq_checks
"""


def _hash(text: str) -> str:
    return hashlib.sha512(text.encode()).hexdigest()[:16]


def _env(netns: str | None) -> dict[str, str | None]:
    return {} if netns is None else {"CNI_NETNS": netns}
