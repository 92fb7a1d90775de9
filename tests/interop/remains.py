"""What attachments have left on a host, told by ``ip``, ``nft``, ``iptables-save`` and the disk.

Says in words what must not be there once no container is attached.  What plugins leave for good is
no remainder, whoever made it: a bridge and its gateway addresses, forwarding, tables and chains of
the firewall that lead nowhere, the lock of host-local, the addresses whose turn it was, and an
index that the Go plugin does not know and that is made anew by ours.
"""

import os
import re

from tests.host import Host

_KEPT = re.compile(r"ipam/[^/]+/(lock|last_reserved_ip\.\d+)|ipam/\.index/.*")
_BASE_CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")

# The nft rules of ``table inet cni_plugins_masquerade`` that are no attachment's.
_BASE_RULES = 3


def remains(host: Host, bridge: str = "br0") -> list[str]:
    """Return what is left; nothing if all is well."""
    return [*_links(host, bridge), *_routes(host, bridge), *_rules(host), *_files(host)]


def _links(host: Host, bridge: str) -> list[str]:
    return [f"link {name}" for name in host.links() if name not in ("lo", bridge)]


def _routes(host: Host, bridge: str) -> list[str]:
    devices = ("lo", bridge)
    return [f"route {route}" for route in host.routes() if route.get("dev") not in devices]


def _rules(host: Host) -> list[str]:
    found = []
    for tool in ("iptables-save", "ip6tables-save"):
        for line in host.run(tool).stdout.splitlines():
            own_chain = line.startswith(":") and line[1:].split()[0] not in _BASE_CHAINS
            if line.startswith("-") or own_chain:
                found.append(f"{tool}: {line}")
    base = []
    for entry in host.json("nft", "list", "ruleset")["nftables"]:
        rule, chain = entry.get("rule"), entry.get("chain")
        if chain and "hook" not in chain and chain["name"] != "masq_checks":
            found.append(f"nft: chain {chain['name']}")
        if rule and rule["table"] == "cni_plugins_masquerade" and rule["chain"] == "postrouting":
            base.append(rule)
        elif rule:
            found.append(f"nft: {rule}")
    if len(base) not in (0, _BASE_RULES):
        found.append(f"nft: {base}")
    return found


def _files(host: Host) -> list[str]:
    files = (
        os.path.relpath(os.path.join(directory, name), host.state)
        for directory, _, names in os.walk(host.state)
        for name in names
    )
    return [file for file in files if not _KEPT.fullmatch(file)]
