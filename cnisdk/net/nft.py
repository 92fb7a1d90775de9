"""Masquerade with nftables, in the same table, rules and comments as the Go reference plugins.

A rule belongs to an attachment by its comment, which begins with a hash of the network's name and
one of interface and container.  So rules are found, replaced and deleted whatever addresses they
have.  What is there is read from the kernel; what is to be done is one transaction of nft(8).
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Interface, IPv6Interface

from cnisdk.net import _uapi as k, mark
from cnisdk.net.execute import ExecutionError, tool
from cnisdk.net.nfnetlink import Rule, rules
from cnisdk.net.rtnetlink import attribute, string

TABLE = "cni_plugins_masquerade"
CHAIN = "masq_checks"

_T = f"inet {TABLE}"

POSTROUTING = "postrouting"

_BASE = f"""\
add table {_T} {{ comment "Masquerading for plugins from github.com/containernetworking/plugins"; }}
add chain {_T} {CHAIN} {{ comment \
"Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"; }}
add chain {_T} {POSTROUTING} {{ type nat hook postrouting priority 100; }}
flush chain {_T} {POSTROUTING}
add rule {_T} {POSTROUTING} ip daddr == 224.0.0.0/4 return
add rule {_T} {POSTROUTING} ip6 daddr == ff00::/8 return
add rule {_T} {POSTROUTING} goto {CHAIN}
"""

# What tells the rules of the postrouting chain: constants they compare with, where they go.
_BASE_MARKS = (
    attribute(k.NFTA_DATA_VALUE, bytes([224, 0, 0, 0])),
    attribute(k.NFTA_DATA_VALUE, bytes([255])),
    string(k.NFTA_VERDICT_CHAIN, CHAIN),
)

_ATTEMPTS = 5  # at a transaction whose rules another call deleted first


def add(
    ips: Collection[IPv4Interface | IPv6Interface],
    *,
    network: str,
    ifname: str,
    container_id: str,
    search_path: str,
) -> None:
    """Masquerade what comes from ``ips`` and leaves their subnets, instead of what was before."""
    said = mark.of(network, ifname, container_id)
    wanted = "".join(
        f"add rule {_T} {CHAIN} {ip} saddr == {address.ip} {ip} daddr != {address.network} "
        f'masquerade comment "{said}"\n'
        for address, ip in ((address, "ip" if address.version == 4 else "ip6") for address in ips)
    )
    key = mark.key(network, ifname, container_id)
    _replace(key, (), wanted, search_path)


def delete(*, network: str, ifname: str, container_id: str, search_path: str) -> None:
    """Delete the attachment's rules; executes nothing if there are none."""
    key = mark.key(network, ifname, container_id)
    _replace(key, (), "", search_path)


def has(*, network: str, ifname: str, container_id: str) -> bool:
    """Say whether the attachment has any rule."""
    return bool(_rules(mark.key(network, ifname, container_id)))


def gc(*, network: str, valid: Iterable[tuple[str, str]], search_path: str) -> None:
    """Delete the network's rules of all but the ``valid`` pairs of container ID and interface."""
    keep = tuple(mark.key(network, ifname, container_id) for container_id, ifname in valid)
    _replace(mark.network_key(network), keep, "", search_path)


def masqueraded(
    ips: Iterable[IPv4Interface | IPv6Interface],
    *,
    network: str,
    ifname: str,
    container_id: str,
) -> list[IPv4Interface | IPv6Interface]:
    """Return those of ``ips`` for which the attachment has a rule."""
    found = _rules(mark.key(network, ifname, container_id))
    return [ip for ip in ips if any(ip.packed in rule.expressions for rule in found)]


def _has_base() -> bool:
    found = rules(k.NFPROTO_INET, TABLE, POSTROUTING)
    return len(found) == len(_BASE_MARKS) and all(
        mark in rule.expressions for mark, rule in zip(_BASE_MARKS, found, strict=True)
    )


def _rules(key: str) -> list[Rule]:
    """Return the rules of attachments whose comment begins with ``key``."""
    found = rules(k.NFPROTO_INET, TABLE, CHAIN, containing=key.encode())
    return [rule for rule in found if rule.comment.startswith(key)]


def _replace(key: str, keep: tuple[str, ...], wanted: str, search_path: str) -> None:
    """Put ``wanted`` in place of all rules of ``key`` but those to ``keep``; one transaction."""
    for attempt in range(1, _ATTEMPTS + 1):
        # The reference rewrites the base each time, which makes the kernel take 10 ms more.
        base = _BASE if wanted and not _has_base() else ""
        stale = [rule.handle for rule in _rules(key) if not rule.comment.startswith(keep)]
        script = base + "".join(f"delete rule {_T} {CHAIN} handle {n}\n" for n in stale) + wanted
        if not script:
            return
        try:
            tool(["nft", "-f", "-"], search_path=search_path, stdin=script.encode())
        except ExecutionError:
            # Nothing was done.  Somebody may have deleted first what the script relies on.
            if attempt == _ATTEMPTS or (base and not stale):
                raise
        else:
            return
