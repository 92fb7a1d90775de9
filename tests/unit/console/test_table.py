from cni_host_local.config import Config
from cnisdk.console.table import of_result, of_schema
from cnisdk.types.schema import plugin_schema


def test_a_result_of_any_version_is_a_table() -> None:
    old = {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/24", "gateway": "10.0.0.1"}}

    assert of_result(old) == ("ADDRESS      GATEWAY   INTERFACE\n10.0.0.2/24  10.0.0.1  -")


def test_interfaces_routes_and_nameservers_are_shown() -> None:
    wire = {
        "cniVersion": "1.0.0",
        "interfaces": [
            {"name": "br0", "mac": "02:00:00:00:00:01"},
            {"name": "eth0", "sandbox": "/n"},
        ],
        "ips": [
            {"address": "fd00::2/64", "interface": 1},
            {"address": "10.0.0.2/24", "interface": 9},
        ],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["10.0.0.1"]},
    }

    assert of_result(wire).splitlines() == [
        "INTERFACE  MAC                MTU  WHERE",
        "br0        02:00:00:00:00:01  -    host",
        "eth0       -                  -    /n",
        "",
        "ADDRESS      GATEWAY  INTERFACE",
        "fd00::2/64   -        eth0",
        "10.0.0.2/24  -        -",
        "",
        "ROUTE      VIA",
        "0.0.0.0/0  -",
        "",
        "NAMESERVER",
        "10.0.0.1",
    ]


def test_an_empty_result_says_so() -> None:
    assert of_result({"cniVersion": "1.0.0"}) == "nothing in the result"


def test_a_schema_is_shown_with_the_keys_of_its_objects() -> None:
    lines = of_schema(plugin_schema(Config)).splitlines()

    assert [line.split() for line in lines if line.startswith("ipam.range")] == [
        ["ipam.rangeStart", "string", "-"],
        ["ipam.rangeEnd", "string", "-"],
        ["ipam.ranges", "list", "of", "list", "of", "object", "-"],
    ]
    assert ["type", "string", "required"] in [line.split() for line in lines]
