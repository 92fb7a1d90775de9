"""Results between all versions, against what SPEC says that each can hold."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from cnisdk import versions
from cnisdk.errors import DecodingError, IncompatibleVersionError, InvalidNetworkConfigError
from cnisdk.types import _json
from cnisdk.types.convert import from_wire, survives, to_wire
from cnisdk.types.result import Interface, IPConfig, Result, Route
from tests.unit.types.strategies import json_values, recorded_calls, results

FULL = Result.model_validate(
    {
        "interfaces": [
            {"name": "br0", "mac": "02:00:00:00:00:01"},
            {
                "name": "eth0",
                "mac": "02:00:00:00:00:02",
                "sandbox": "/run/netns/c",
                "mtu": 1400,
                "socketPath": "/s",
                "pciID": "0000:04:00.5",
            },
        ],
        "ips": [
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1},
            {"address": "fd00::2/64", "interface": 0},
            {"address": "10.2.0.2/24"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1300, "advmss": 1200},
            {"dst": "fd01::/48", "priority": 5, "table": 0, "scope": 0},
        ],
        "dns": {"search": ["s"], "nameservers": ["10.1.0.53"], "options": ["o"], "domain": "d"},
    }
)

OLD_DNS = {"nameservers": ["10.1.0.53"], "domain": "d", "search": ["s"], "options": ["o"]}
OLD = {
    "ip4": {
        "ip": "10.1.0.2/24",
        "gateway": "10.1.0.1",
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
    },
    "ip6": {"ip": "fd00::2/64", "routes": [{"dst": "fd01::/48"}]},
    "dns": OLD_DNS,
}
INTERFACES = [
    {"name": "br0", "mac": "02:00:00:00:00:01"},
    {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/c"},
]
ROUTES = [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "fd01::/48"}]
MIDDLE = {
    "interfaces": INTERFACES,
    "ips": [
        {"version": "4", "interface": 1, "address": "10.1.0.2/24", "gateway": "10.1.0.1"},
        {"version": "6", "interface": 0, "address": "fd00::2/64"},
        {"version": "4", "address": "10.2.0.2/24"},
    ],
    "routes": ROUTES,
    "dns": OLD_DNS,
}
NEW_DNS = {"domain": "d", "nameservers": ["10.1.0.53"], "options": ["o"], "search": ["s"]}
NEW_IPS = [
    {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1},
    {"address": "fd00::2/64", "interface": 0},
    {"address": "10.2.0.2/24"},
]
ONE_0 = {
    "dns": NEW_DNS,
    "interfaces": [
        {"mac": "02:00:00:00:00:01", "name": "br0"},
        {"mac": "02:00:00:00:00:02", "name": "eth0", "sandbox": "/run/netns/c"},
    ],
    "ips": NEW_IPS,
    "routes": ROUTES,
}
ONE_1 = {
    "dns": NEW_DNS,
    "interfaces": [
        {"mac": "02:00:00:00:00:01", "name": "br0"},
        {
            "mac": "02:00:00:00:00:02",
            "mtu": 1400,
            "name": "eth0",
            "pciID": "0000:04:00.5",
            "sandbox": "/run/netns/c",
            "socketPath": "/s",
        },
    ],
    "ips": NEW_IPS,
    "routes": [
        {"advmss": 1200, "dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1300},
        {"dst": "fd01::/48", "priority": 5, "scope": 0, "table": 0},
    ],
}
EXPECTED: dict[str, dict[str, Any]] = {
    "0.1.0": OLD,
    "0.2.0": OLD,
    "0.3.0": MIDDLE,
    "0.3.1": MIDDLE,
    "0.4.0": MIDDLE,
    "1.0.0": ONE_0,
    "1.1.0": ONE_1,
}


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_result_is_written_as_each_version_has_it_keys_in_the_order_of_go(version: str) -> None:
    expected = {"cniVersion": version, **EXPECTED[version]}
    # as text, since that shows the order of keys on every level
    assert json.dumps(to_wire(FULL, version)) == json.dumps(expected)


@pytest.mark.parametrize("to", versions.SUPPORTED)
@pytest.mark.parametrize("of", versions.SUPPORTED)
def test_every_version_converts_to_every_other(of: str, to: str) -> None:
    wire = to_wire(from_wire({"cniVersion": of, **EXPECTED[of]}), to)
    # what both can hold, written by the older and then the newer of the two
    older, newer = sorted((of, to))
    held = from_wire(to_wire(from_wire(to_wire(FULL, older)), newer))
    assert wire == to_wire(held, to)


@given(results, st.sampled_from(versions.SUPPORTED))
@settings(max_examples=100, deadline=None)
def test_what_a_version_holds_comes_back_from_it(result: Result, version: str) -> None:
    try:
        wire = to_wire(result, version)
    except InvalidNetworkConfigError:
        assert version in ("0.1.0", "0.2.0")
        assert not result.ips
        return
    back = from_wire(_json.loads(_json.dumps(wire)))
    assert to_wire(back, version) == wire
    if version == "1.1.0":
        assert back == result
    if versions.at_least(version, "0.3.0"):
        assert [str(r.dst) for r in back.routes] == [str(r.dst) for r in result.routes]
        assert back.ips == result.ips
        assert [i.name for i in back.interfaces] == [i.name for i in result.interfaces]
    assert back.dns == result.dns


@given(results, st.sampled_from(versions.SUPPORTED[:-1]))
@settings(max_examples=60, deadline=None)
def test_fields_of_1_1_0_never_reach_an_older_result(result: Result, version: str) -> None:
    if not result.ips:
        result = result.replace(ips=(IPConfig.model_validate({"address": "10.0.0.1/8"}),))
    wire = to_wire(result, version)
    families = [wire.get("ip4", {}), wire.get("ip6", {})]
    parts = [*wire.get("interfaces", ()), *wire.get("routes", ())]
    parts += [route for family in families for route in family.get("routes", ())]
    newer = {"mtu", "socketPath", "pciID", "advmss", "priority", "table", "scope"}
    assert not [part for part in parts if newer & part.keys()]


@given(json_values, st.sampled_from([*versions.SUPPORTED, "", "9.9.9"]))
@settings(max_examples=80, deadline=None)
def test_no_json_at_all_makes_reading_crash(value: Any, version: str) -> None:
    keys = ("ips", "interfaces", "routes", "dns", "ip4", "ip6", "ip", "cniVersion")
    for key in keys:
        for obj in ({key: value}, {key: [value]}, {key: {"ip": value, "routes": value}}):
            with suppress(DecodingError, IncompatibleVersionError):
                from_wire(obj, version)


@pytest.mark.parametrize("call", recorded_calls(), ids=lambda call: call.label)
def test_recorded_answer_is_written_again_as_it_was(call: Any) -> None:
    if not call.stdout.strip():
        return
    wire = json.loads(call.stdout)
    result = from_wire(wire)
    expected = dict(wire)
    if wire["cniVersion"] == "1.0.0":
        assert expected.pop("dns", {}) == {}  # older Go libraries print an empty one
    if wire.get("interfaces", [{}])[0].get("name") == "lo":
        expected["ips"] = [
            {"version": "6" if ":" in ip["address"] else "4", **ip} for ip in wire["ips"]
        ]
    assert to_wire(result, wire["cniVersion"]) == expected
    assert to_wire(from_wire(to_wire(result, "1.1.0")), wire["cniVersion"]) == expected


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_result_without_an_address_has_no_old_form(version: str) -> None:
    with pytest.raises(InvalidNetworkConfigError, match="cannot convert: no valid IP addresses"):
        to_wire(Result(interfaces=(Interface(name="eth0"),)), version)


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0"])
def test_empty_dns_is_written_up_to_0_4_0(version: str) -> None:
    assert to_wire(Result(), version) == {"cniVersion": version, "dns": {}}


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_empty_dns_is_left_out_since_1_0_0(version: str) -> None:
    assert to_wire(Result(), version) == {"cniVersion": version}


def test_route_goes_where_its_family_has_an_address() -> None:
    result = Result.model_validate(
        {"ips": [{"address": "10.0.0.2/8"}], "routes": [{"dst": "::/0"}, {"dst": "0.0.0.0/0"}]}
    )
    assert to_wire(result, "0.2.0") == {
        "cniVersion": "0.2.0",
        "ip4": {"ip": "10.0.0.2/8", "routes": [{"dst": "0.0.0.0/0"}]},
        "dns": {},
    }


def test_zero_is_written_only_where_it_says_something() -> None:
    route = Route.model_validate({"dst": "0.0.0.0/0", "mtu": 0, "priority": 0, "scope": 0})
    wire = to_wire(Result(routes=(route,), interfaces=(Interface(name="a", mtu=0),)), "1.1.0")
    assert wire["routes"] == [{"dst": "0.0.0.0/0", "scope": 0}]
    assert wire["interfaces"] == [{"name": "a"}]


def test_missing_version_is_the_given_one_and_else_the_oldest() -> None:
    assert from_wire({"ips": [{"address": "10.0.0.2/8"}]}, "1.0.0").ips
    assert from_wire({"ip4": {"ip": "10.0.0.2/8"}}).ips
    assert from_wire({"cniVersion": None, "ip4": {"ip": "10.0.0.2/8"}}).ips
    assert from_wire({"cniVersion": "0.4.0", "ips": [{"address": "10.0.0.2/8"}]}, "0.1.0").ips


def test_list_that_the_text_of_0_3_0_misspells_is_understood() -> None:
    wire = {"cniVersion": "0.3.0", "ip": [{"version": "4", "address": "10.0.0.2/8"}]}
    assert to_wire(from_wire(wire), "0.3.0")["ips"] == wire["ip"]


def test_keys_match_in_any_case_on_every_level() -> None:
    wire: dict[str, Any] = {
        "CNIVersion": "0.2.0",
        "IP4": {"IP": "10.0.0.2/8", "Routes": [{"DST": "0.0.0.0/0"}]},
    }
    assert to_wire(from_wire(wire), "0.2.0") == {
        "cniVersion": "0.2.0",
        "ip4": {"ip": "10.0.0.2/8", "routes": [{"dst": "0.0.0.0/0"}]},
        "dns": {},
    }
    wire = {"cniVersion": "1.1.0", "Interfaces": [{"Name": "a", "PCIID": "p", "SocketPath": "s"}]}
    (interface,) = from_wire(wire).interfaces
    assert (interface.name, interface.pci_id, interface.socket_path) == ("a", "p", "s")


def test_unknown_keys_and_exact_numbers_pass_through() -> None:
    text = (
        '{"cniVersion":"1.1.0","interfaces":[{"name":"a","x":1E+400}],'
        '"ips":[{"address":"10.0.0.2/8","y":[0.1000000000000000000001]}],"z":12345678901234567890}'
    )
    assert _json.dumps(to_wire(from_wire(_json.loads(text)), "1.1.0")) == text


def test_python_names_are_no_names_on_the_wire() -> None:
    wire = {"cniVersion": "1.1.0", "interfaces": [{"name": "a", "socket_path": 5}]}
    (interface,) = from_wire(wire).interfaces
    assert interface.socket_path == ""
    assert to_wire(from_wire(wire), "1.1.0") == wire


def test_unknown_key_never_becomes_an_address_of_an_older_version() -> None:
    wire = {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/8"}], "ip6": {"ip": "x"}}
    assert to_wire(from_wire(wire), "1.1.0") == wire
    assert "ip6" not in to_wire(from_wire(wire), "0.2.0")


@pytest.mark.parametrize(
    ("wire", "details"),
    [
        ({"cniVersion": "1.0.0", "ips": [{"address": "foo"}]}, '$.ips[0].address: "foo" is no '),
        ({"cniVersion": "1.0.0", "ips": [None]}, "$.ips[0]: null"),
        ({"cniVersion": "1.0.0", "ips": {}}, "$.ips: {}"),
        ({"cniVersion": "0.4.0", "interfaces": [{"name": "a"}, None]}, "$.interfaces[1]: null"),
        ({"cniVersion": "0.4.0", "routes": [{"gw": "10.0.0.1"}]}, "$.routes[0].dst is missing"),
        ({"cniVersion": "0.2.0", "ip4": {"ip": "foo"}}, '$.ip4.ip: "foo" is no address'),
        ({"cniVersion": "0.2.0", "ip4": {}}, "$.ip4.ip is missing"),
        ({"cniVersion": "0.2.0", "ip6": {"ip": "10.0.0.1/8"}}, '$.ip6.ip: "10.0.0.1/8" is no IPv6'),
        (
            {"ip4": {"ip": "10.0.0.1/8"}, "ip6": {"ip": "::1/8", "routes": [{"dst": 5}]}},
            "$.ip6.routes[0].dst: 5",
        ),
        ({"ip4": {"ip": "10.0.0.1/8", "routes": 5}}, "$.ip4.routes: 5"),
        ({"ip4": 5}, "$.ip4: 5"),
        ({"cniVersion": 1}, "$.cniVersion: 1"),
    ],
)
def test_malformed_result_is_refused_with_path_and_value(wire: Any, details: str) -> None:
    with pytest.raises(DecodingError) as caught:
        from_wire(wire)
    assert details in caught.value.details


def test_version_that_does_not_exist_is_refused_both_ways() -> None:
    with pytest.raises(IncompatibleVersionError) as caught:
        from_wire({"cniVersion": "2.0.0"})
    assert '$.cniVersion: "2.0.0"' in caught.value.details
    with pytest.raises(IncompatibleVersionError):
        to_wire(Result(), "2.0.0")


@given(results, st.sampled_from(versions.SUPPORTED))
def test_a_result_that_survives_is_read_as_it_was_written(result: Result, version: str) -> None:
    if survives(result, version):
        wire = _json.loads(_json.dumps(to_wire(result, version)))

        assert from_wire(wire, version) == result


@pytest.mark.parametrize(
    ("written", "survivors"),
    [
        ({"ips": [{"address": "10.1.0.2/24"}]}, {"1.0.0", "1.1.0"}),
        ({"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24"}]}, set()),
        ({"interfaces": [{"name": "eth0", "mtu": 1400}]}, set()),
        ({"routes": [{"dst": "0.0.0.0/0", "table": 0}]}, set()),
        ({"ips": [{"address": "10.1.0.2/24", "lease": 60}]}, set()),
        ({"dns": {"ttl": 60}}, set()),
    ],
)
def test_only_a_result_that_every_version_has_room_for_survives(
    written: dict[str, Any], survivors: set[str]
) -> None:
    result = Result.model_validate(written)

    assert {version for version in versions.SUPPORTED if survives(result, version)} == survivors
