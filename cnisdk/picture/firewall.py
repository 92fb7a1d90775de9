"""Published ports and masquerading: rules of CNI plugins, ours and the reference's.

Both backends are read, whichever has any.  Without a table of a plugin nothing is executed.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cnisdk.call import DEFAULT_PATH
from cnisdk.net.execute import tool
from cnisdk.picture.model import Masqueraded, Published
from cnisdk.types import _json

if sys.platform == "linux":
    from cnisdk.net import _uapi as k, iptables, nfnetlink, nft

HOSTPORT = "cni_hostport"
"""portmap's table of nftables."""

_BY_KEY = re.compile("[0-9a-f]{16}-[0-9a-f]{16}")
_IN_WORDS = re.compile("net: (.*), if: .*, id: (.*)")
_COMMENT = re.compile(r'name: "(.*)" id: "(.*?)"?$')


class Rules(NamedTuple):
    """What the firewall does for containers."""

    published: list[Published]
    masqueraded: list[Masqueraded]


Owners = Mapping[str, tuple[str, str]]
"""Network and container ID by the attachment's mark, as `cnisdk.net.mark.key` has it."""


def read(owners: Owners) -> Rules:
    """Return the rules of the calling thread's namespace; OSError if a tool fails."""
    rules = Rules([], [])
    for text in iptables.saved(DEFAULT_PATH):
        of_iptables(text, rules)
    for family, word, table in (
        (k.NFPROTO_INET, "inet", nft.TABLE),
        (k.NFPROTO_IPV4, "ip", HOSTPORT),
        (k.NFPROTO_IPV6, "ip6", HOSTPORT),
    ):
        if nfnetlink.has_table(family, table):
            argv = ["nft", "-j", "list", "table", word, table]
            of_nft(tool(argv, search_path=DEFAULT_PATH), rules, owners)
    return rules


# -- iptables -------------------------------------------------------------------------------


def of_iptables(text: str, rules: Rules) -> None:
    """Add what iptables-save prints; what is no such lines is an OSError."""
    try:
        lines = [shlex.split(line) for line in text.splitlines() if _concerns_us(line)]
    except ValueError as err:
        raise OSError(f"iptables-save printed what is not to be understood: {err}") from err
    owners: dict[str, tuple[str, str]] = {}
    for words in lines:
        network, owner = _named(_after(words, "--comment"))
        target = _after(words, "-j")
        if words[1] == "POSTROUTING":
            address = _after(words, "-s").partition("/")[0]
            rules.masqueraded.append(
                Masqueraded(address=address, backend="iptables", network=network, owner=owner)
            )
        elif words[1] == "CNI-HOSTPORT-DNAT":
            owners[target] = (network, owner)
    for words in lines:
        if _after(words, "-j") != "DNAT":
            continue
        network, owner = owners.get(words[1], ("", ""))
        bound = _after(words, "-d").partition("/")[0]
        port = _after(words, "--dport") or _after(words, "--dports")
        rules.published.append(
            Published(
                protocol=_after(words, "-p"),
                host=_socket(bound, port),
                container=_after(words, "--to-destination"),
                backend="iptables",
                network=network,
                owner=owner,
            )
        )


def _concerns_us(line: str) -> bool:
    if line.startswith("-A POSTROUTING "):
        return re.search(" -s .* -j CNI-[0-9a-f]{24}$", line) is not None
    return line.startswith(("-A CNI-HOSTPORT-DNAT ", "-A CNI-DN-"))


def _after(words: list[str], option: str) -> str:
    """Return the word that follows an option, ``""`` without one."""
    return words[words.index(option) + 1] if option in words[:-1] else ""


def _named(comment: str) -> tuple[str, str]:
    found = _COMMENT.search(comment)
    return (found[1], found[2]) if found else ("", "")


# -- nftables -------------------------------------------------------------------------------


def of_nft(text: bytes, rules: Rules, owners: Owners) -> None:
    """Add what ``nft -j list table`` prints; what is no such JSON is an OSError."""
    try:
        listed = [one["rule"] for one in _json.loads(text)["nftables"] if "rule" in one]
        read = [(rule, _Said(rule.get("expr", ()))) for rule in listed]
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise OSError(f"nft printed what is not to be understood: {err}") from err
    for rule, said in read:
        comment = str(rule.get("comment", ""))
        if rule.get("chain") == nft.CHAIN and "masquerade" in said.does:
            network, owner = _of_mark(comment, owners)
            rules.masqueraded.append(
                Masqueraded(
                    address=said.equal.get("saddr", ""),
                    backend="nftables",
                    network=network,
                    owner=owner,
                )
            )
        elif rule.get("table") == HOSTPORT and isinstance(to := said.does.get("dnat"), dict):
            rules.published.append(
                Published(
                    protocol=said.protocol,
                    host=_socket(said.equal.get("daddr", ""), said.equal.get("dport", "")),
                    container=_socket(str(to.get("addr", "")), str(to.get("port", ""))),
                    backend="nftables",
                    owner=comment,
                )
            )


class _Said:
    """The expressions of a rule: what it compares, and what it does."""

    def __init__(self, expressions: Any) -> None:
        self.equal: dict[str, str] = {}
        self.protocol = ""
        self.does: dict[str, Any] = {}
        for expression in expressions:
            ((name, body),) = expression.items()
            if name != "match":
                self.does[name] = body
                continue
            payload = body["left"].get("payload") if isinstance(body["left"], dict) else None
            if payload and body["op"] == "==" and isinstance(body["right"], str | int):
                self.equal[payload["field"]] = str(body["right"])
                if payload["field"] == "dport":
                    self.protocol = payload["protocol"]


def _of_mark(comment: str, owners: Owners) -> tuple[str, str]:
    """Return whose mark it is, in its own words if nobody's that we know."""
    key = _BY_KEY.match(comment)
    if key and key.group() in owners:
        return owners[key.group()]
    words = _IN_WORDS.search(comment)
    return (words[1], words[2]) if words else ("", "")


def _socket(address: str, port: str) -> str:
    if not address:
        return port
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def addresses(rules: Rules) -> Iterator[tuple[Published | Masqueraded, str]]:
    """Yield each rule with the container's address in it."""
    for mapped in rules.published:
        yield mapped, mapped.container.rpartition(":")[0].strip("[]")
    for masqueraded in rules.masqueraded:
        yield masqueraded, masqueraded.address


def say(rule: Published | Masqueraded) -> str:
    """Say what a rule does, address last."""
    if isinstance(rule, Published):
        return f"publishes {rule.protocol} {rule.host} as {rule.container}"
    return f"masquerades {rule.address}"
