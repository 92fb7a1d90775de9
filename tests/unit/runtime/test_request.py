import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from cnisdk.call import AttachmentKey
from cnisdk.runtime import NetworkConfig
from cnisdk.runtime.request import derive, is_runtimes_own
from cnisdk.types import _json
from tests.unit.runtime.double import network

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8
)
OWN = {"type", "name", "cniVersion", "capabilities"}
UNKNOWN = st.text().filter(lambda key: key not in OWN and not is_runtimes_own(key))
CAPABILITIES = st.sampled_from(["portMappings", "mac", "ips", "bandwidth", "x.y"])


def request(plugin: dict[str, Any], **keys: Any) -> dict[str, Any]:
    net = network({"type": "a", **plugin}, version="1.0.0")
    wire: dict[str, Any] = json.loads(derive(net, net.plugins[0], **keys))
    return wire


@given(st.dictionaries(UNKNOWN, VALUES))
def test_unknown_keys_pass_unchanged(unknown: dict[str, Any]) -> None:
    assert request(unknown) == {**unknown, "type": "a", "name": "net", "cniVersion": "1.0.0"}


@given(
    st.dictionaries(CAPABILITIES, st.booleans()),
    st.dictionaries(CAPABILITIES, VALUES),
)
def test_runtime_config_is_what_is_declared_and_supplied(
    declared: dict[str, bool], supplied: dict[str, Any]
) -> None:
    wire = request({"capabilities": declared}, capability_args=supplied)

    both = {name: v for name, v in supplied.items() if declared.get(name)}
    assert wire.get("runtimeConfig", {}) == both
    assert ("runtimeConfig" in wire) == bool(both)
    assert "capabilities" not in wire


@pytest.mark.parametrize(
    "number", ["12345678901234567890", "1e400", "0.1000000000000000000001", "1.0", "-0.0"]
)
def test_numbers_pass_digit_by_digit(number: str) -> None:
    text = f'{{"name": "net", "plugins": [{{"type": "a", "n": [{number}]}}]}}'
    net = NetworkConfig.parse(text.encode())

    derived = derive(net, net.plugins[0])

    assert _json.loads(derived)["n"] == _json.loads(f"[{number}]")
    assert b"1.0" in derived or number != "1.0"


@pytest.mark.parametrize(
    "key",
    [
        "capabilities",
        "Capabilities",
        "prevResult",
        "PrevResult",
        "runtimeConfig",
        "runtimeconfig",
        "cni.dev/valid-attachments",
        "cni.dev/attachments",
        "cni.dev/anything",
    ],
)
def test_what_is_the_runtimes_to_say_never_comes_from_the_file(key: str) -> None:
    assert key not in request({key: {"mac": True}})


def test_name_and_version_are_those_of_the_list() -> None:
    wire = request({"name": "mine", "cniVersion": "0.1.0"})

    assert (wire["name"], wire["cniVersion"]) == ("net", "1.0.0")


def test_name_and_version_come_last_so_that_go_takes_them() -> None:
    wire = request({"Name": "mine", "CNIVersion": "0.1.0"})

    assert list(wire)[-2:] == ["cniVersion", "name"]


def test_args_of_the_file_reach_the_plugin() -> None:
    assert request({"args": {"cni": {"ips": ["10.0.0.2"]}}})["args"]["cni"]["ips"] == ["10.0.0.2"]


def test_a_previous_result_passes_as_it_is() -> None:
    wire = request({}, prev_result={"cniVersion": "1.0.0", "unknown": [1]})

    assert wire["prevResult"] == {"cniVersion": "1.0.0", "unknown": [1]}


def test_without_a_previous_result_there_is_no_key() -> None:
    assert "prevResult" not in request({})


@pytest.mark.parametrize("keys", [[], [AttachmentKey("b", "eth0"), AttachmentKey("a", "eth1")]])
def test_gc_has_the_valid_attachments_under_both_keys(keys: list[AttachmentKey]) -> None:
    wire = request({}, valid=keys)

    expected = [{"containerID": key.container_id, "ifname": key.ifname} for key in sorted(keys)]
    assert wire["cni.dev/valid-attachments"] == expected
    assert wire["cni.dev/attachments"] == expected
