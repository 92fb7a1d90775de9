"""Look into nftables without executing anything.

Reading only: changes are for nft(8) and iptables(8), whose rules both are found here.  What is
not there, down to a kernel without nftables, is an answer and no error.
"""

import errno
import struct
from typing import ClassVar, NamedTuple

from cnisdk.net import _uapi as k
from cnisdk.net.rtnetlink import attributes, items, string, to_string
from cnisdk.net.rtnl import RTNL

NFGENMSG = struct.Struct("=BBH")  # family, version, resource (network byte order)

# EINVAL is what nfnetlink says of a subsystem that this kernel does not have, ERANGE of a name
# longer than any that it can have.
_ABSENT = (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ERANGE)


class Rule(NamedTuple):
    """A rule of nftables."""

    handle: int
    comment: str
    expressions: bytes
    """NFTA_RULE_EXPRESSIONS as it is."""


def tables() -> set[tuple[int, str]]:
    """Return family and name of all tables of the calling thread's namespace."""
    entries = _list("list tables", k.NFT_MSG_GETTABLE, k.NFPROTO_UNSPEC, b"")
    return {
        (entry[0], to_string(attributes(entry, NFGENMSG.size).get(k.NFTA_TABLE_NAME)))
        for entry in entries
    }


def has_table(family: int, table: str) -> bool:
    """Say whether the calling thread's namespace has this table; ``family`` is an NFPROTO_…."""
    return _has(f"find table {table}", k.NFT_MSG_GETTABLE, family, string(k.NFTA_TABLE_NAME, table))


def has_chain(family: int, table: str, chain: str) -> bool:
    """Say whether the calling thread's namespace has this chain."""
    body = string(k.NFTA_CHAIN_TABLE, table) + string(k.NFTA_CHAIN_NAME, chain)
    return _has(f"find chain {table} {chain}", k.NFT_MSG_GETCHAIN, family, body)


def chains(family: int, table: str, *, containing: bytes = b"") -> list[str]:
    """Return the names of a table's chains, none if there is no such table.

    ``containing`` is as in `rules`.
    """
    # The kernel lists the chains of all the family's tables.
    entries = _list(f"list chains of {table}", k.NFT_MSG_GETCHAIN, family, b"")
    found = (attributes(entry, NFGENMSG.size) for entry in entries if containing in entry)
    return [
        to_string(chain.get(k.NFTA_CHAIN_NAME))
        for chain in found
        if to_string(chain.get(k.NFTA_CHAIN_TABLE)) == table
    ]


def rules(family: int, table: str, chain: str, *, containing: bytes = b"") -> list[Rule]:
    """Return the rules of a chain, none if there is no such chain.

    Only those with ``containing`` somewhere in the kernel's answer, and maybe nowhere that
    matters; it saves to take the others apart.
    """
    body = string(k.NFTA_RULE_TABLE, table) + string(k.NFTA_RULE_CHAIN, chain)
    entries = _list(f"list chain {table} {chain}", k.NFT_MSG_GETRULE, family, body)
    found = (attributes(entry, NFGENMSG.size) for entry in entries if containing in entry)
    # A kernel before 4.7 lists all chains.
    return [
        _rule(rule)
        for rule in found
        if to_string(rule.get(k.NFTA_RULE_TABLE)) == table
        and to_string(rule.get(k.NFTA_RULE_CHAIN)) == chain
    ]


def available() -> bool:
    """Say whether this kernel has nftables, and lets the caller look into it."""
    try:
        with _NFNL() as kernel:
            kernel.query("find nftables", _type(k.NFT_MSG_GETGEN), NFGENMSG.pack(0, 0, 0))
    except OSError:
        return False
    return True


def compared_name(expressions: bytes) -> str:
    """Return the interface's name that a rule compares with first, ``""`` if it does not."""
    for _, element in items(expressions):
        expression = attributes(element)
        if to_string(expression.get(k.NFTA_EXPR_NAME)) == "cmp":
            compared = attributes(expression.get(k.NFTA_EXPR_DATA, b"")).get(k.NFTA_CMP_DATA, b"")
            value = attributes(compared).get(k.NFTA_DATA_VALUE, b"")
            return to_string(value) if len(value) == k.IFNAMSIZ else ""
    return ""


def comment(userdata: bytes) -> str:
    """Return the comment that nft(8) put into a rule: type, length, value, one byte each."""
    offset = 0
    while offset + 2 <= len(userdata):
        kind, length = userdata[offset : offset + 2]
        if kind == k.NFTNL_UDATA_RULE_COMMENT:
            return to_string(userdata[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""


class _NFNL(RTNL):
    """A NETLINK_NETFILTER socket."""

    protocol: ClassVar[int] = k.NETLINK_NETFILTER


def _has(what: str, message: int, family: int, body: bytes) -> bool:
    try:
        with _NFNL() as kernel:
            kernel.query(what, _type(message), NFGENMSG.pack(family, 0, 0) + body)
    except OSError as err:
        if err.errno in _ABSENT:
            return False
        raise
    return True


def _list(what: str, message: int, family: int, body: bytes) -> list[bytes]:
    try:
        with _NFNL() as kernel:
            return kernel.dump(what, _type(message), NFGENMSG.pack(family, 0, 0) + body)
    except OSError as err:
        if err.errno in _ABSENT:
            return []
        raise


def _type(message: int) -> int:
    return k.NFNL_SUBSYS_NFTABLES << 8 | message


def _rule(found: dict[int, bytes]) -> Rule:
    return Rule(
        int.from_bytes(found.get(k.NFTA_RULE_HANDLE, b""), "big"),
        comment(found.get(k.NFTA_RULE_USERDATA, b"")),
        found.get(k.NFTA_RULE_EXPRESSIONS, b""),
    )
