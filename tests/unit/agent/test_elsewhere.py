"""What children see of CNI_NETNS, and what is taken out of their answers again."""

import json

import pytest

from cnisdk.agent.elsewhere import with_sandbox

OLD, NEW = "/run/netns/c", "/proc/1/fd/9"


def test_only_sandboxes_of_interfaces_are_replaced() -> None:
    result = {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "eth0", "sandbox": OLD},
            {"name": "veth0"},
            {"name": "eth1", "sandbox": "/run/netns/other"},
        ],
        "x": OLD,
    }
    replaced = json.loads(with_sandbox(json.dumps(result).encode(), OLD, NEW))

    assert replaced["interfaces"][0] == {"name": "eth0", "sandbox": NEW}
    assert replaced["interfaces"][1:] == result["interfaces"][1:]
    assert replaced["x"] == OLD


def test_a_configuration_has_them_in_its_prev_result() -> None:
    config = {"name": "n", "prevResult": {"interfaces": [{"name": "eth0", "sandbox": OLD}]}}
    data = json.dumps(config).encode()

    replaced = with_sandbox(data, OLD, NEW, within="prevResult")

    assert json.loads(replaced)["prevResult"]["interfaces"][0]["sandbox"] == NEW
    assert with_sandbox(data, OLD, NEW) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no JSON",
        b"[1]",
        b"null",
        b'{"interfaces": null}',
        b'{"interfaces": {"sandbox": "/run/netns/c"}}',
        b'{"interfaces": [null, 1, []]}',
        b'{"prevResult": 1}',
    ],
)
def test_what_has_none_stays_as_it_is(data: bytes) -> None:
    assert with_sandbox(data, OLD, NEW) == data
    assert with_sandbox(data, OLD, NEW, within="prevResult") == data


def test_numbers_survive() -> None:
    data = b'{"interfaces": [{"sandbox": "/run/netns/c"}], "big": 12345678901234567890, "f": 1e400}'

    assert b"12345678901234567890" in with_sandbox(data, OLD, NEW)
    assert b"1e+400" in with_sandbox(data, OLD, NEW).lower()
