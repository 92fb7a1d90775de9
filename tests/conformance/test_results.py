"""What the kit takes for a result of a version."""

from typing import Any

import pytest

from cnisdk.conformance.result import addresses, problems, routes

IP = {"address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 0}
RESULT: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x"}],
    "ips": [IP],
    "routes": [{"dst": "0.0.0.0/0", "gw": "10.0.0.1", "mtu": 1400}],
    "dns": {"nameservers": ["10.0.0.1"], "search": ["example"]},
}
OLD: dict[str, Any] = {
    "cniVersion": "0.2.0",
    "ip4": {"ip": "10.0.0.2/24", "routes": [{"dst": "0.0.0.0/0"}]},
    "dns": {},
}


@pytest.mark.parametrize(
    ("result", "version"),
    [
        (RESULT, "1.1.0"),
        ({**RESULT, "ips": [{**IP, "version": "4"}]}, "0.4.0"),
        ({"cniVersion": "1.0.0"}, "1.0.0"),
        (OLD, "0.2.0"),
    ],
)
def test_a_right_result_has_no_problem(result: dict[str, Any], version: str) -> None:
    assert problems(result, version) == []


@pytest.mark.parametrize(
    ("result", "version", "problem"),
    [
        ([], "1.1.0", "the result is no JSON object but a list"),
        (OLD, "1.0.0", "$.ip4: results of 1.0.0 have 'ips' instead"),
        (RESULT, "0.2.0", "$.ips: results of 0.2.0 have 'ip4' and 'ip6'"),
        (RESULT, "0.4.0", "$.ips[0].version: None, 0.4.0 wants '4'"),
        ({**RESULT, "ips": [{**IP, "version": "4"}]}, "1.0.0", "1.0.0 removed it"),
        ({**RESULT, "ips": [{"address": "10.0.0.2"}]}, "1.1.0", "no address in CIDR notation"),
        ({**RESULT, "ips": [{**IP, "interface": 1}]}, "1.1.0", "1 is no index into the 1"),
        ({**RESULT, "ips": [{**IP, "interface": True}]}, "1.1.0", "True is no index"),
        ({**RESULT, "ips": {}}, "1.1.0", "$.ips is an object, no list"),
        ({**RESULT, "ips": [None]}, "1.1.0", "$.ips[0] is null, no object"),
        ({**RESULT, "interfaces": [{"name": ""}]}, "1.1.0", "'' is no name"),
        ({**RESULT, "interfaces": [{"name": "a", "mac": "x"}]}, "1.1.0", "no hardware address"),
        ({**RESULT, "interfaces": [{"name": "a", "mtu": "9"}]}, "1.1.0", "no unsigned integer"),
        ({**RESULT, "routes": [{"dst": "default"}]}, "1.1.0", "$.routes[0].dst: 'default'"),
        ({**RESULT, "dns": {"nameservers": "10.0.0.1"}}, "1.1.0", "no list of strings"),
        ({"cniVersion": "0.1.0"}, "0.1.0", "neither $.ip4 nor $.ip6 is there"),
        ({"ip4": {"ip": "fd00::1/64"}}, "0.1.0", "is no IPv4 address"),
    ],
)
def test_a_wrong_result_is_told_by_path_and_value(result: Any, version: str, problem: str) -> None:
    found = problems(result, version)

    assert any(problem in one for one in found), found


def test_an_ipam_plugin_knows_no_interfaces() -> None:
    found = problems(RESULT, "1.1.0", abbreviated=True)

    assert [one.partition(":")[0] for one in found] == ["$.interfaces", "$.ips[0].interface"]


def test_addresses_and_routes_are_found_in_every_shape() -> None:
    assert [tuple(a) for a in addresses(RESULT)] == [("10.0.0.2/24", "10.0.0.1", 0)]
    assert [tuple(a) for a in addresses(OLD)] == [("10.0.0.2/24", "", None)]
    assert [tuple(r) for r in routes(OLD)] == [("0.0.0.0/0", "")]
