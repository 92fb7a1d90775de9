"""Hypothesis strategies for what a plugin is given and what it gives, as JSON has it.

For authors' tests: all that a strategy yields is valid by the specification, however odd.
``configurations("bridge").map(lambda config: {**config, "bridge": "br0"})`` adds what a plugin
needs to have.
"""

import ipaddress
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cnisdk import names, versions as _versions

_ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_OLDEST = ("0.1.0", "0.2.0")


def versions(minimum: str = "0.1.0") -> SearchStrategy[str]:
    """Return versions of the specification from ``minimum`` on."""
    return st.sampled_from([v for v in _versions.SUPPORTED if _versions.at_least(v, minimum)])


def container_ids(max_size: int = 64) -> SearchStrategy[str]:
    """Return values for CNI_CONTAINERID; SPEC section 2."""
    rest = st.text(_ALNUM + "_.-", max_size=max_size - 1)
    return st.builds(lambda first, rest: first + rest, st.sampled_from(_ALNUM), rest)


network_names = container_ids
"""``name`` of a network; SPEC section 1 wants the same characters."""


def ifnames() -> SearchStrategy[str]:
    """Return values for CNI_IFNAME that Linux can use."""
    usual = st.sampled_from(("eth0", "net1", "eth0.100", "a", "fifteen-letters"))
    odd = st.text(
        st.characters(exclude_categories=("C", "Z"), exclude_characters="/:%"),
        min_size=1,
        max_size=names.IFNAMSIZ - 1,
    )
    return st.one_of(usual, odd.filter(lambda text: not names.ifname_problem(text)))


def cni_args() -> SearchStrategy[str]:
    """Return values for CNI_ARGS: ``K=V`` pairs between semicolons."""
    text = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters=";=")
    key = st.text(text, min_size=1, max_size=12)
    value = st.text(text | st.just("="), max_size=12)
    usual = st.sampled_from(("IgnoreUnknown=1", "K8S_POD_NAME=web-0", "IP=10.1.0.9"))
    pair = st.one_of(usual, st.builds(lambda k, v: f"{k}={v}", key, value))
    return st.lists(pair, max_size=4).map(";".join)


def macs() -> SearchStrategy[str]:
    """Return hardware addresses of single interfaces."""
    octets = st.binary(min_size=6, max_size=6)
    return octets.map(lambda b: ":".join(f"{x:02x}" for x in (b[0] & 0xFC | 2, *b[1:])))


def subnets(version: int = 4) -> SearchStrategy[str]:
    """Return subnets that have room for some containers, out of private space."""
    space = ipaddress.ip_network("10.0.0.0/8" if version == 4 else "fd00::/8")
    base, bits = int(space.network_address), space.max_prefixlen

    def subnet(prefixlen: int, number: int) -> str:
        network = base + (number % (1 << (prefixlen - space.prefixlen)) << (bits - prefixlen))
        return f"{ipaddress.ip_address(network)}/{prefixlen}"

    lengths = st.integers(16, 28) if version == 4 else st.sampled_from((48, 64, 112))
    return st.builds(subnet, lengths, st.integers(0, 1 << 48))


def addresses(version: int = 4) -> SearchStrategy[str]:
    """Return addresses with their prefix length."""

    def address(subnet: str, number: int) -> str:
        network = ipaddress.ip_network(subnet)
        return f"{network[1 + number % (network.num_addresses - 2)]}/{network.prefixlen}"

    return st.builds(address, subnets(version), st.integers(0, 1 << 32))


def dns() -> SearchStrategy[dict[str, Any]]:
    """Return ``dns``, empty too."""
    server = st.one_of(addresses(4), addresses(6)).map(lambda text: text.partition("/")[0])
    domain = st.sampled_from(("example", "svc.cluster.local", "xn--bcher-kva.example"))
    return st.fixed_dictionaries(
        {},
        optional={
            "nameservers": st.lists(server, max_size=3),
            "domain": domain,
            "search": st.lists(domain, max_size=3),
            "options": st.lists(st.sampled_from(("ndots:5", "edns0")), max_size=2),
        },
    )


def routes(cni_version: str = _versions.CURRENT) -> SearchStrategy[dict[str, Any]]:
    """Return elements of ``routes``; some keys are of 1.1.0 and later alone."""

    def of(version: int) -> SearchStrategy[dict[str, Any]]:
        default = "0.0.0.0/0" if version == 4 else "::/0"
        optional: dict[str, SearchStrategy[Any]] = {
            "gw": addresses(version).map(lambda text: text.partition("/")[0])
        }
        if _versions.at_least(cni_version, "1.1.0"):
            numbers = st.integers(1, 1 << 16)
            optional |= dict.fromkeys(("mtu", "advmss", "priority", "table"), numbers)
            optional["scope"] = st.sampled_from((0, 200, 253))
        required = {"dst": st.one_of(st.just(default), subnets(version))}
        return st.fixed_dictionaries(required, optional=optional)

    return st.one_of(of(4), of(6))


def results(
    cni_version: str = _versions.CURRENT, *, abbreviated: bool = False
) -> SearchStrategy[dict[str, Any]]:
    """Return success results of a version; ``abbreviated`` are those of an IPAM plugin."""
    if cni_version in _OLDEST:
        return _oldest(cni_version)
    return _results(cni_version, abbreviated)


@st.composite
def _results(draw: st.DrawFn, cni_version: str, abbreviated: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"cniVersion": cni_version}
    count = 0
    if not abbreviated:
        interfaces = draw(st.lists(_interfaces(cni_version), min_size=1, max_size=3))
        result["interfaces"] = interfaces
        count = len(interfaces)
    ips = []
    for version in draw(st.lists(st.sampled_from((4, 6)), min_size=1, max_size=3)):
        ip: dict[str, Any] = {"address": draw(addresses(version))}
        if not _versions.at_least(cni_version, "1.0.0"):
            ip["version"] = str(version)
        if draw(st.booleans()):
            ip["gateway"] = draw(addresses(version)).partition("/")[0]
        if count:
            ip["interface"] = draw(st.integers(0, count - 1))
        ips.append(ip)
    result["ips"] = ips
    if draw(st.booleans()):
        result["routes"] = draw(st.lists(routes(cni_version), max_size=3))
    if draw(st.booleans()):
        result["dns"] = draw(dns())
    return result


def _interfaces(cni_version: str) -> SearchStrategy[dict[str, Any]]:
    optional: dict[str, SearchStrategy[Any]] = {
        "mac": macs(),
        "sandbox": st.just("/run/netns/container"),
    }
    if _versions.at_least(cni_version, "1.1.0"):
        optional |= {
            "mtu": st.integers(68, 65535),
            "pciID": st.just("0000:00:1f.6"),
            "socketPath": st.just("/run/vhost.sock"),
        }
    return st.fixed_dictionaries({"name": ifnames()}, optional=optional)


def _oldest(cni_version: str) -> SearchStrategy[dict[str, Any]]:
    def of(version: int) -> SearchStrategy[dict[str, Any]]:
        gateway = addresses(version).map(lambda text: text.partition("/")[0])
        route = st.fixed_dictionaries({"dst": subnets(version)}, optional={"gw": gateway})
        return st.fixed_dictionaries(
            {"ip": addresses(version)},
            optional={"gateway": gateway, "routes": st.lists(route, max_size=2)},
        )

    stated = {"cniVersion": st.just(cni_version)}
    more = {"dns": dns()}
    return st.one_of(
        st.fixed_dictionaries({**stated, "ip4": of(4)}, optional={**more, "ip6": of(6)}),
        st.fixed_dictionaries({**stated, "ip6": of(6)}, optional=more),
    )


def configurations(
    type: str, *, ipam: str = "host-local", minimum: str = "0.1.0"
) -> SearchStrategy[dict[str, Any]]:
    """Return plugin configurations; without IPAM if ``ipam`` is ``""``.

    Some have keys that no plugin knows, which a plugin has to put up with.
    """
    scalars = st.one_of(st.none(), st.booleans(), st.integers(-(1 << 53), 1 << 53), st.text())
    unknown = st.dictionaries(st.text(_ALNUM, min_size=1).map("x-{}".format), scalars, max_size=2)
    required: dict[str, SearchStrategy[Any]] = {
        "cniVersion": versions(minimum),
        "name": network_names(),
        "type": st.just(type),
    }
    if ipam:
        required["ipam"] = st.fixed_dictionaries(
            {"type": st.just(ipam), "subnet": subnets()},
            optional={"routes": st.just([{"dst": "0.0.0.0/0"}])},
        )
    known = st.fixed_dictionaries(
        required,
        optional={
            "dns": dns(),
            "args": st.just({"cni": {"labels": []}}),
            "runtimeConfig": st.fixed_dictionaries({}, optional={"mac": macs(), "dns": dns()}),
        },
    )
    return st.builds(lambda config, more: {**more, **config}, known, unknown)
