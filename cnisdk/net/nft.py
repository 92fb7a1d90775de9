"""Masquerade with nftables, in the same table, rules and comments as the Go reference plugins.

A rule belongs to an attachment by its comment, which begins with a hash of the network's name and
one of interface and container.  So rules are found, replaced and deleted whatever addresses they
have.  What is there is read from the kernel; what is to be done is one transaction of nft(8).
"""

from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Interface, IPv6Interface

from cnisdk.net import _uapi as k
from cnisdk.net.execute import ExecutionError, tool
from cnisdk.net.nfnetlink import Rule, rules
from cnisdk.net.sha512 import hexdigest

TABLE = "cni_plugins_masquerade"
CHAIN = "masq_checks"

_T = f"inet {TABLE}"

# Says itself what it needs, as the reference does each time: somebody may have deleted part of it.
_BASE = f"""\
add table {_T} {{ comment "Masquerading for plugins from github.com/containernetworking/plugins"; }}
add chain {_T} {CHAIN} {{ comment \
"Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"; }}
add chain {_T} postrouting {{ type nat hook postrouting priority 100; }}
flush chain {_T} postrouting
add rule {_T} postrouting ip daddr == 224.0.0.0/4 return
add rule {_T} postrouting ip6 daddr == ff00::/8 return
add rule {_T} postrouting goto {CHAIN}
"""

_COMMENT_MAX = 128
_ATTEMPTS = 5  # at a transaction whose rules another call deleted first


def comment(network: str, ifname: str, container_id: str) -> str:
    """Return the comment of an attachment's rules."""
    key = _key(network, ifname, container_id)
    text = f"{key}, net: {network}, if: {ifname}, id: {container_id}"
    return text.replace('"', "")[:_COMMENT_MAX]


def add(
    ips: Collection[IPv4Interface | IPv6Interface],
    *,
    network: str,
    ifname: str,
    container_id: str,
    search_path: str,
) -> None:
    """Masquerade what comes from ``ips`` and leaves their subnets, instead of what was before."""
    said = comment(network, ifname, container_id)
    wanted = "".join(
        f"add rule {_T} {CHAIN} {ip} saddr == {address.ip} {ip} daddr != {address.network} "
        f'masquerade comment "{said}"\n'
        for address, ip in ((address, "ip" if address.version == 4 else "ip6") for address in ips)
    )
    key = _key(network, ifname, container_id)
    _replace(lambda rule: rule.comment.startswith(key), _BASE, wanted, search_path)


def delete(*, network: str, ifname: str, container_id: str, search_path: str) -> None:
    """Delete the attachment's rules; executes nothing if there are none."""
    key = _key(network, ifname, container_id)
    _replace(lambda rule: rule.comment.startswith(key), "", "", search_path)


def gc(*, network: str, valid: Iterable[tuple[str, str]], search_path: str) -> None:
    """Delete the network's rules of all but the ``valid`` pairs of container ID and interface."""
    of_network = hexdigest(network, 16) + "-"
    keep = tuple(_key(network, ifname, container_id) for container_id, ifname in valid)

    def is_stale(rule: Rule) -> bool:
        return rule.comment.startswith(of_network) and not rule.comment.startswith(keep)

    _replace(is_stale, "", "", search_path)


def masqueraded(
    ips: Iterable[IPv4Interface | IPv6Interface],
    *,
    network: str,
    ifname: str,
    container_id: str,
) -> list[IPv4Interface | IPv6Interface]:
    """Return those of ``ips`` for which the attachment has a rule."""
    key = _key(network, ifname, container_id)
    found = [rule for rule in _rules() if rule.comment.startswith(key)]
    return [ip for ip in ips if any(ip.packed in rule.expressions for rule in found)]


def _key(network: str, ifname: str, container_id: str) -> str:
    return f"{hexdigest(network, 16)}-{hexdigest(f'{ifname}:{container_id}', 16)}"


def _rules() -> list[Rule]:
    return rules(k.NFPROTO_INET, TABLE, CHAIN)


def _replace(is_stale: Callable[[Rule], bool], before: str, wanted: str, search_path: str) -> None:
    """Put the rules that are ``wanted`` in place of the stale ones, in one transaction."""
    for attempt in range(1, _ATTEMPTS + 1):
        stale = [rule.handle for rule in _rules() if is_stale(rule)]
        script = before + "".join(f"delete rule {_T} {CHAIN} handle {n}\n" for n in stale) + wanted
        if not script:
            return
        try:
            tool(["nft", "-f", "-"], search_path=search_path, stdin=script.encode())
        except ExecutionError:
            # Another call may have deleted one of them; nothing was done then.
            if not stale or attempt == _ATTEMPTS:
                raise
        else:
            return
