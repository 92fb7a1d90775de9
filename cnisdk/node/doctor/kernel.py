"""What the kernel has to do for containers: forward, masquerade, and let through.

rp_filter and bridge-nf-call-iptables are left alone: with every value that they can have there
are networks that work, and nothing here tells which are meant.
"""

import os

from cnisdk.call import DEFAULT_PATH
from cnisdk.errors import CNIError
from cnisdk.node import wants
from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node
from cnisdk.runtime.config import NetworkConfig
from cnisdk.types.convert import from_wire

_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_FIREWALL = ("portmap", "firewall")
"""Plugins that execute iptables or nft; others do where ``ipMasq`` is true."""


def check(node: Node, report: Report) -> None:
    """Look at forwarding, and at the firewall and its tools."""
    _tools(node, report)
    if not node.shares_network():
        report.not_seen(
            "forwarding, and the firewall's policy",
            "this is another network namespace than the node's; use hostNetwork, or nsenter",
        )
        return
    _forwarding(node, report)
    _policy(node, report)


def _forwarding(node: Node, report: Report) -> None:
    from cnisdk.net import sysctl

    attached = _attached_families(node, report)
    configured = {
        family
        for network in node.networks
        for plugin in network.plugins
        for family in wants.families(plugin)
    }
    for family, name in _FORWARDING.items():
        if family not in attached | configured:
            continue
        try:
            if sysctl.read(name) != "0":
                continue
        except FileNotFoundError:
            continue  # a kernel without IPv6 says so in other ways
        dotted = name.replace("/", ".")
        mend = f"sysctl -w {dotted}=1, and a line {dotted}=1 in a file of /etc/sysctl.d"
        if family in attached:
            text = "is 0: what containers send to other networks ends here"
            report.problem(Check.FORWARDING, dotted, text, mend)
        else:
            text = "is 0; a plugin that is a gateway turns it on with the first container, no other"
            report.warning(Check.FORWARDING, dotted, text, mend)


def _attached_families(node: Node, report: Report) -> set[int]:
    """Return the IP versions that containers here have."""
    families: set[int] = set()
    try:
        attachments = node.attachments
    except CNIError as err:
        report.not_seen("attachments", str(err))
        return families
    for attachment in attachments:
        try:
            families |= {ip.address.version for ip in from_wire(attachment.result).ips}
        except CNIError:
            continue  # no result that says so
    return families


def _wants_firewall(network: NetworkConfig) -> bool:
    return any(p.type in _FIREWALL or p.raw.get("ipMasq") is True for p in network.plugins)


def _tools(node: Node, report: Report) -> None:
    needing = [network.name for network in node.networks if _wants_firewall(network)]
    if needing and not any(_has(node, tool) for tool in ("nft", "iptables")):
        report.problem(
            Check.NO_FIREWALL,
            ", ".join(sorted(set(needing))),
            "is to masquerade, map ports or filter, and there is neither nft nor iptables",
            "install nftables, or iptables",
        )


def _has(node: Node, tool: str) -> bool:
    return any(
        os.path.isfile(path) and os.access(path, os.X_OK)
        for directory in DEFAULT_PATH.split(":")
        for path in [node.root.locate(f"{directory}/{tool}")]
    )


def _policy(node: Node, report: Report) -> None:
    """Docker makes DROP the policy for all that is forwarded, its own containers excepted."""
    alone = [n.name for n in node.networks if not any(p.type == "firewall" for p in n.plugins)]
    if not alone or not _has(node, "nft") or not node.root.is_ours:
        return
    from cnisdk.net import execute
    from cnisdk.types import _json

    try:
        out = execute.tool(["nft", "-j", "list", "chains"], search_path=DEFAULT_PATH)
        listed = _json.loads(out)["nftables"]
    except (OSError, ValueError, KeyError) as err:
        report.not_seen("the firewall's policy", str(err))
        return
    chains = [entry["chain"] for entry in listed if isinstance(entry.get("chain"), dict)]
    for chain in chains:
        if (chain.get("hook"), chain.get("policy")) == ("forward", "drop"):
            report.warning(
                Check.FORWARD_POLICY,
                f"chain {chain['family']} {chain['table']} {chain['name']}",
                "drops what no rule accepts; nothing in "
                f"{', '.join(sorted(set(alone)))} makes rules for its containers",
                "append the plugin firewall to the network, or accept what its subnets send",
            )
