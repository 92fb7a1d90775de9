"""Rules of portmap and of masquerading, as the tools print them."""

import json

import pytest

from cnisdk.net import mark
from cnisdk.picture import firewall
from cnisdk.picture.firewall import Rules

# As portmap 1.1.1 and the bridge plugin left them, printed by iptables-save 1.8.9.
SAVED = r"""
*nat
:PREROUTING ACCEPT [0:0]
:CNI-DN-1b369ec4a7f5bd6ad6f27 - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A POSTROUTING -s 10.88.0.2/32 -m comment --comment "name: \"web\" id: \"c1\"" -j CNI-0123456789abcdef01234567
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A CNI-0123456789abcdef01234567 -d 10.88.0.0/16 -m comment --comment "name: \"web\" id: \"c1\"" -j ACCEPT
-A CNI-DN-1b369ec4a7f5bd6ad6f27 -s 10.88.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-1b369ec4a7f5bd6ad6f27 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.2:80
-A CNI-DN-1b369ec4a7f5bd6ad6f27 -d 192.0.2.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.88.0.2:5353
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"web\" id: \"c1\"" -m multiport --dports 8080 -j CNI-DN-1b369ec4a7f5bd6ad6f27
COMMIT
"""  # noqa: E501


def test_iptables_tells_published_ports_and_masquerading() -> None:
    rules = Rules([], [])

    firewall.of_iptables(SAVED, rules)

    assert [(p.protocol, p.host, p.container, p.network, p.owner) for p in rules.published] == [
        ("tcp", "8080", "10.88.0.2:80", "web", "c1"),
        ("udp", "192.0.2.1:53", "10.88.0.2:5353", "web", "c1"),
    ]
    assert [(m.address, m.network, m.owner) for m in rules.masqueraded] == [
        ("10.88.0.2", "web", "c1")
    ]


def _match(field: str, value: object, protocol: str = "ip") -> dict[str, object]:
    left = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": "==", "left": left, "right": value}}


def _listed(**rule: object) -> bytes:
    return json.dumps({"nftables": [{"metainfo": {}}, {"rule": rule}]}).encode()


def test_nft_tells_masquerading_and_whose_by_its_mark() -> None:
    rules = Rules([], [])
    comment = mark.of("web", "eth0", "c1")
    text = _listed(
        table="cni_plugins_masquerade",
        chain="masq_checks",
        comment=comment,
        expr=[_match("saddr", "10.88.0.2"), {"masquerade": None}],
    )

    firewall.of_nft(text, rules, {mark.key("web", "eth0", "c1"): ("web", "c1")})
    firewall.of_nft(text, rules, {})

    assert [(m.address, m.network, m.owner) for m in rules.masqueraded] == [
        ("10.88.0.2", "web", "c1")
    ] * 2


def test_nft_tells_published_ports() -> None:
    rules = Rules([], [])
    text = _listed(
        table="cni_hostport",
        chain="hostports",
        comment="c1",
        expr=[
            _match("daddr", "2001:db8::1", "ip6"),
            _match("dport", 8080, "tcp"),
            {"dnat": {"addr": "fd00::2", "port": 80}},
        ],
    )

    firewall.of_nft(text, rules, {})

    (published,) = rules.published
    assert (published.protocol, published.host) == ("tcp", "[2001:db8::1]:8080")
    assert list(firewall.addresses(rules)) == [(published, "fd00::2")]


UNKNOWN: list[object] = ["accept", [{"a": 1, "b": 2}], [{"match": {}}]]


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[]", b"{}", b'{"nftables": [1]}', b"nonsense"),
        *(_listed(expr=expressions) for expressions in UNKNOWN),
    ],
)
def test_what_is_no_listing_is_an_error_and_no_crash(text: bytes) -> None:
    with pytest.raises(OSError, match="not to be understood"):
        firewall.of_nft(text, Rules([], []), {})


def test_an_iptables_comment_without_its_end_is_an_error_and_no_crash() -> None:
    line = '-A CNI-HOSTPORT-DNAT -m comment --comment "name: -j CNI-DN-0123456789abcdef01234'

    with pytest.raises(OSError, match="not to be understood"):
        firewall.of_iptables(line, Rules([], []))
