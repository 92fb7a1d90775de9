"""Masquerade with iptables, in the same chains, rules and comments as the Go reference plugins.

A container has one chain for each network, named by a hash of both, to which POSTROUTING jumps
for each of its addresses.  The usual case is tried at once: a chain that is not there yet is
added, a chain that is this attachment's alone is deleted, by one execution of iptables-restore
for each address family, which does all or nothing.  Where the case is not the usual one (the
chain serves several interfaces of a container, which the reference does not tell apart; an ADD
was left half done) it fails; then what there is gets listed, and the next try is made to measure.

There are two iptables, one on nftables and one with tables of its own in the kernel ("legacy").
`add` uses what ``iptables-restore`` is here, the others look in both.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface, ip_network
from typing import NamedTuple

from cnisdk.net import _uapi as k, nfnetlink
from cnisdk.net.execute import ExecutionError, find, tool
from cnisdk.net.sha512 import hexdigest

Address = IPv4Interface | IPv6Interface

_ATTEMPTS = 5  # at a change that other calls get in the way of
_COMMENT_MAX = 255
_PREFIX = "CNI-"  # of all chains that CNI plugins make with iptables

# as iptables-save prints rules
_RULE = re.compile(r"-A (?:(CNI-[0-9a-f]{24}) |POSTROUTING .*-j (CNI-[0-9a-f]{24})$)")
_CHAIN = re.compile(r":(CNI-[0-9a-f]{24}) ")
_SOURCE = re.compile(r" -s (\S+)")
_ACCEPTED = re.compile(r" -d (\S+) .*-j ACCEPT$")


class _Family(NamedTuple):
    version: int
    nfproto: int
    tools: str
    legacy_tables: str
    multicast: str


_FAMILIES = (
    _Family(4, k.NFPROTO_IPV4, "iptables", "ip_tables_names", "224.0.0.0/4"),
    _Family(6, k.NFPROTO_IPV6, "ip6tables", "ip6_tables_names", "ff00::/8"),
)


class _Chain(NamedTuple):
    """A container's chain; rules as iptables-save prints them, without ``-A``."""

    exists: bool = False
    rules: tuple[str, ...] = ()
    jumps: tuple[str, ...] = ()


class _Tools(NamedTuple):
    """An iptables-save and an iptables-restore."""

    save: str
    restore: str
    search_path: str

    def saved(self) -> str:
        """Return the nat table as iptables-save prints it."""
        text = tool([self.save, "-t", "nat"], search_path=self.search_path).decode()
        if "is incompatible" in text:
            raise ExecutionError(self.save, 0, text)
        return text

    def chains(self) -> dict[str, _Chain]:
        """Return all containers' chains by name."""
        return parse(self.saved())

    def change(self, lines: Iterable[str]) -> None:
        """Do all that ``lines`` say, or nothing."""
        script = "".join(f"{line}\n" for line in ("*nat", *lines, "COMMIT"))
        argv = [self.restore, "--noflush", "--wait"]
        tool(argv, search_path=self.search_path, stdin=script.encode())


def chain_name(network: str, container_id: str) -> str:
    """Return the name of a container's chain."""
    return _PREFIX + hexdigest(network + container_id, 24)


def comment(network: str, container_id: str) -> str:
    """Return the comment of all of a container's rules."""
    return f'name: "{network}" id: "{container_id}"'[:_COMMENT_MAX]


def available(search_path: str) -> bool:
    """Say whether there is an iptables to execute."""
    return find("iptables-restore", search_path) is not None


def add(ips: Collection[Address], *, network: str, container_id: str, search_path: str) -> None:
    """Masquerade what comes from ``ips`` and leaves their subnets."""
    chain = chain_name(network, container_id)
    for family in _FAMILIES:
        wanted = _wanted(family, ips, network, container_id)
        if wanted.jumps:
            tools = _Tools(f"{family.tools}-save", f"{family.tools}-restore", search_path)
            _change(tools, chain, partial(_addition, chain, wanted), _Chain())


def delete(
    ips: Collection[Address],
    *,
    keep: Collection[Address] = (),
    network: str,
    container_id: str,
    search_path: str,
) -> None:
    """Stop masquerading what comes from ``ips``; execute nothing if there is no such chain.

    Without ``ips``, all the container's addresses in the network but those to ``keep``.  The
    chain goes with the last address.
    """
    chain = chain_name(network, container_id)
    # Reference plugins before 0.9 jumped for the subnet.
    sources = {str(ip.ip) for ip in ips} | {str(ip.network) for ip in ips}
    plan = partial(_deletion, chain, sources, {str(ip.ip) for ip in keep})
    for family in _FAMILIES:
        usual = _wanted(family, ips, network, container_id)
        if nfnetlink.has_chain(family.nfproto, "nat", chain):
            _change(_nft(family, search_path), chain, plan, usual if usual.jumps else None)
        if legacy := _legacy(family, search_path):
            _change(legacy, chain, plan)


def has(*, network: str, container_id: str) -> bool:
    """Say whether nftables holds the container's chain; executes nothing, so not of legacy."""
    chain = chain_name(network, container_id)
    return any(nfnetlink.has_chain(family.nfproto, "nat", chain) for family in _FAMILIES)


def gc(*, network: str, container_ids: Iterable[str], search_path: str) -> None:
    """Delete the network's chains of all containers but ``container_ids``."""
    valid = {chain_name(network, container_id) for container_id in container_ids}
    of_network = f'--comment "name: \\"{network}\\" id: '
    for tools in _everywhere(search_path):
        for name, found in tools.chains().items():
            rules = (*found.rules, *found.jumps)
            if name not in valid and any(of_network in rule for rule in rules):
                _change(tools, name, partial(_deletion, name, (), ()), found)


def masqueraded(
    ips: Iterable[Address], *, network: str, container_id: str, search_path: str
) -> list[Address]:
    """Return those of ``ips`` that the container's chain masquerades."""
    name = chain_name(network, container_id)
    sources: set[str] = set()
    for tools in _everywhere(search_path):
        chain = tools.chains().get(name, _Chain())
        if any(rule.endswith("-j MASQUERADE") for rule in chain.rules):
            sources.update(_source(jump) for jump in chain.jumps)
    return [ip for ip in ips if str(ip.ip) in sources]


def saved(search_path: str) -> Iterator[str]:
    """Yield what iptables-save prints of each nat table that may have chains of CNI plugins."""
    for tools in _everywhere(search_path):
        yield tools.saved()


def parse(text: str) -> dict[str, _Chain]:
    """Read what iptables-save prints; the chains of containers, by name."""
    exists: list[str] = []
    rules: dict[str, list[str]] = {}
    jumps: dict[str, list[str]] = {}
    for line in text.splitlines():
        if found := _CHAIN.match(line):
            exists.append(found[1])
        elif found := _RULE.match(line):
            of, name = (rules, found[1]) if found[1] else (jumps, found[2])
            of.setdefault(name, []).append(line.removeprefix("-A "))
    return {
        name: _Chain(True, tuple(rules.get(name, ())), tuple(jumps.get(name, ())))
        for name in exists
    }


def _change(
    tools: _Tools,
    chain: str,
    plan: Callable[[_Chain], list[str]],
    assumed: _Chain | None = None,
) -> None:
    """Do what ``plan`` makes of the chain, first as it is assumed to be, then as it is."""
    there = assumed or tools.chains().get(chain, _Chain())
    surprises = 0
    for attempt in range(1, _ATTEMPTS + 1):
        lines = plan(there)
        if not lines:
            return
        try:
            tools.change(lines)
        except ExecutionError:
            found = tools.chains().get(chain, _Chain())
            # Once it may have been otherwise for a moment, by another call for this container.
            surprises += found == there
            if surprises > 1 or attempt == _ATTEMPTS:
                raise
            there = found
        else:
            return


def _wanted(family: _Family, ips: Iterable[Address], network: str, container_id: str) -> _Chain:
    chain = chain_name(network, container_id)
    quoted = comment(network, container_id).replace("\\", "\\\\").replace('"', '\\"')
    match = f'-m comment --comment "{quoted}"'
    mine = dict.fromkeys(ip for ip in ips if ip.version == family.version)
    subnets = dict.fromkeys(ip.network for ip in mine)
    return _Chain(
        exists=True,
        rules=(
            *(f"{chain} -d {subnet} {match} -j ACCEPT" for subnet in subnets),
            f"{chain} ! -d {family.multicast} {match} -j MASQUERADE",
        ),
        jumps=tuple(f"POSTROUTING -s {ip.ip}/{ip.max_prefixlen} {match} -j {chain}" for ip in mine),
    )


def _addition(chain: str, wanted: _Chain, there: _Chain) -> list[str]:
    lines = [] if there.exists else [f"-N {chain}"]
    for rule in wanted.rules:
        if rule not in there.rules:
            # Where there is a rule that masquerades, an exception has to come before it.
            insert = there.rules and rule.endswith("-j ACCEPT")
            lines.append(f"{'-I' if insert else '-A'} {rule}")
    lines.extend(f"-A {jump}" for jump in wanted.jumps if jump not in there.jumps)
    return lines


def _deletion(
    chain: str, sources: Collection[str], keep: Collection[str], there: _Chain
) -> list[str]:
    gone = [
        jump
        for jump in there.jumps
        if (_source(jump) in sources if sources else _source(jump) not in keep)
    ]
    left = {_source(jump) for jump in there.jumps if jump not in gone}
    lines = [f"-D {jump}" for jump in gone]
    if not left:
        return [*lines, f"-F {chain}", f"-X {chain}"] if there.exists else lines
    for rule in there.rules:
        accepted = _ACCEPTED.search(rule)
        if gone and accepted and not _any_in(left, accepted[1]):
            lines.append(f"-D {rule}")
    return lines


def _source(jump: str) -> str:
    """Return the address a jump is for; with its length if it is none of a single host."""
    found = _SOURCE.search(jump)
    return re.sub(r"/(32|128)$", "", found[1]) if found else ""


def _any_in(sources: Iterable[str], subnet: str) -> bool:
    """Say whether any of ``sources`` is in ``subnet``; one that cannot be read may be."""
    with suppress(ValueError):
        network = ip_network(subnet)
        return any(ip_network(source).subnet_of(network) for source in sources)  # type: ignore[arg-type]
    return True


def _nft(family: _Family, search_path: str) -> _Tools:
    return _named(family, "nft", search_path)


def _legacy(family: _Family, search_path: str) -> _Tools | None:
    """Return what looks into the legacy table; None where there is no such table.

    Nor where there is nothing to look with: a table that others made is all there can be.
    """
    if not _has_legacy(family):
        return None
    tools = _named(family, "legacy", search_path)
    return tools if find(tools.save, search_path) else None


def _named(family: _Family, variant: str, search_path: str) -> _Tools:
    """Return this variant's own tools; those of no variant where they have no such names."""
    name = f"{family.tools}-{variant}"
    if find(f"{name}-restore", search_path) is None:
        name = family.tools
    return _Tools(f"{name}-save", f"{name}-restore", search_path)


def _everywhere(search_path: str) -> Iterator[_Tools]:
    """Yield the tools of every variant and family that may have chains of CNI plugins.

    A table nat without them may be one that iptables does not understand.
    """
    for family in _FAMILIES:
        chains = nfnetlink.chains(family.nfproto, "nat", containing=_PREFIX.encode())
        if any(chain.startswith(_PREFIX) for chain in chains):
            yield _nft(family, search_path)
        if legacy := _legacy(family, search_path):
            yield legacy


def _has_legacy(family: _Family) -> bool:
    """Say whether the calling thread's namespace has a nat table outside nftables."""
    try:
        with open(f"/proc/thread-self/net/{family.legacy_tables}", encoding="ascii") as names:
            return "nat" in names.read().split()
    except OSError:
        return False  # no such module, or not allowed to ask, and so to change it neither
