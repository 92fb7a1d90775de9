"""Drop what a port sends under another MAC address than its own, with nftables on the bridge.

Table, chains, rules and comments are those of the Go reference plugins, so that either can take
away what the other made.  Of an attachment there are two chains: one to which a rule for its port
jumps, and one that lets its address pass and nothing else.  What is there is read from the kernel;
each change is one transaction of nft(8), in JSON, as names of interfaces may hold what its
language has other uses for.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from cnisdk.net import _uapi as k, nfnetlink
from cnisdk.net.execute import ExecutionError, tool
from cnisdk.net.nfnetlink import Rule
from cnisdk.net.rtnetlink import attribute, string

TABLE = "nat"
BASE = "PREROUTING"

_COMMENT = "macspoofchk-"
_DROP = attribute(k.NFTA_VERDICT_CODE, bytes(4))  # NF_DROP
_ATTEMPTS = 5  # at a transaction whose rules another call deleted first


class _Names(NamedTuple):
    """What an attachment's objects are called."""

    comment: str
    port_chain: str
    address_chain: str


def _names(container_id: str, ifname: str) -> _Names:
    return _named(f"{container_id}-{ifname}")


def _named(reference: str) -> _Names:
    chain = f"cni-br-iface-{reference}"
    return _Names(_COMMENT + reference, chain, f"{chain}-mac")


def add(port: str, address: str, *, container_id: str, ifname: str, search_path: str) -> None:
    """Let ``address`` alone pass from ``port``, instead of what was before."""
    names = _names(container_id, ifname)
    table = {"family": "bridge", "name": TABLE}
    base = {"type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}

    def changes(stale: list[Rule]) -> list[Any]:
        return [
            {"add": {"table": table}},
            {"add": {"chain": _chain(BASE) | base}},
            *({"add": {"chain": _chain(name)}} for name in names[1:]),
            *({"flush": {"chain": _chain(name)}} for name in names[1:]),
            *_deletions(stale),
            _rule(BASE, names, _is({"meta": {"key": "iifname"}}, port), _jump(names.port_chain)),
            _rule(names.port_chain, names, _jump(names.address_chain)),
            _rule(
                names.address_chain,
                names,
                _is({"payload": {"protocol": "ether", "field": "saddr"}}, address),
                {"return": None},
            ),
            _rule(names.address_chain, names, {"drop": None}),
        ]

    _change(lambda: changes(_jumps(names)), search_path)


def delete(*, container_id: str, ifname: str, search_path: str) -> None:
    """Delete an attachment's rules and chains; executes nothing if there are none."""
    _change(lambda: _removal(_names(container_id, ifname)), search_path)


def has(port: str, address: str, *, container_id: str, ifname: str) -> bool:
    """Say whether ``port`` is held to ``address``."""
    names = _names(container_id, ifname)
    jumps = [rule for rule in _jumps(names) if port_of(rule) == port]
    on = nfnetlink.rules(k.NFPROTO_BRIDGE, TABLE, names.port_chain)
    last = nfnetlink.rules(k.NFPROTO_BRIDGE, TABLE, names.address_chain)
    return (
        any(_leads_to(rule, names.port_chain) for rule in jumps)
        and any(_leads_to(rule, names.address_chain) for rule in on)
        and len(last) == 2
        and attribute(k.NFTA_DATA_VALUE, bytes.fromhex(address.replace(":", "")))
        in last[0].expressions
        and _DROP in last[1].expressions
    )


def gc(is_stale: Callable[[str], bool], *, search_path: str) -> None:
    """Delete the rules and chains of ports of which ``is_stale`` says that they are.

    To which network an attachment belongs they do not say.
    """
    for rule in nfnetlink.rules(k.NFPROTO_BRIDGE, TABLE, BASE, containing=_COMMENT.encode()):
        port = port_of(rule)
        if rule.comment.startswith(_COMMENT) and port and is_stale(port):
            names = _named(rule.comment.removeprefix(_COMMENT))
            _change(lambda names=names: _removal(names), search_path)  # type: ignore[misc]


def port_of(rule: Rule) -> str:
    """Return the name of the interface that a rule is for, ``""`` if it is for none."""
    return nfnetlink.compared_name(rule.expressions)


def _leads_to(rule: Rule, chain: str) -> bool:
    return string(k.NFTA_VERDICT_CHAIN, chain) in rule.expressions


def _jumps(names: _Names) -> list[Rule]:
    found = nfnetlink.rules(k.NFPROTO_BRIDGE, TABLE, BASE, containing=names.comment.encode())
    return [rule for rule in found if rule.comment == names.comment]


def _removal(names: _Names) -> list[Any]:
    chains = [name for name in names[1:] if nfnetlink.has_chain(k.NFPROTO_BRIDGE, TABLE, name)]
    return [
        *_deletions(_jumps(names)),
        *({"flush": {"chain": _chain(name)}} for name in chains),
        *({"delete": {"chain": _chain(name)}} for name in chains),
    ]


def _deletions(rules: Iterable[Rule]) -> list[Any]:
    place = {"family": "bridge", "table": TABLE, "chain": BASE}
    return [{"delete": {"rule": place | {"handle": rule.handle}}} for rule in rules]


def _chain(name: str) -> dict[str, Any]:
    return {"family": "bridge", "table": TABLE, "name": name}


def _rule(chain: str, names: _Names, *statements: Any) -> Any:
    place = {"family": "bridge", "table": TABLE, "chain": chain}
    return {"add": {"rule": place | {"expr": statements, "comment": names.comment}}}


def _is(left: Any, right: str) -> Any:
    return {"match": {"op": "==", "left": left, "right": right}}


def _jump(chain: str) -> Any:
    return {"jump": {"target": chain}}


def _change(plan: Callable[[], list[Any]], search_path: str) -> None:
    """Do what ``plan`` makes of what is there, in one transaction."""
    before: list[Any] = []
    for attempt in range(1, _ATTEMPTS + 1):
        changes = plan()
        if not changes:
            return
        try:
            script = json.dumps({"nftables": changes}).encode()
            tool(["nft", "-j", "-f", "-"], search_path=search_path, stdin=script)
        except ExecutionError:
            # Nothing was done.  Somebody may have deleted first what was planned to be deleted.
            if attempt == _ATTEMPTS or changes == before:
                raise
            before = changes
        else:
            return
