"""What an administrator may write."""

import os
import subprocess
import sys
from typing import Any

import pytest

from cni_bridge import mac
from cni_bridge.config import Config
from cnisdk import InvalidEnvironmentError, InvalidNetworkConfigError
from cnisdk.types.config import parse_config

MAC = "c2:11:22:33:44:55"

_PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def config(**keys: Any) -> Config:
    return parse_config(Config, {"cniVersion": "1.1.0", "name": "net1", "type": "bridge", **keys})


def test_defaults_are_those_of_the_reference_plugin() -> None:
    read = config()

    assert read.bridge == "cni0"
    assert read.mtu == 0
    assert read.ip_masq_backend is None
    assert not read.has_gateway
    assert not read.force_address
    assert not read.enable_dad
    assert read.ipam is None


def test_default_gateway_implies_gateway() -> None:
    assert config(isDefaultGateway=True).has_gateway


def test_keys_match_in_any_case_as_in_go() -> None:
    assert config(HairpinMODE=True).hairpin_mode


@pytest.mark.parametrize("empty", [{}, None, {"type": ""}])
def test_ipam_without_a_type_is_none(empty: object) -> None:
    assert config(ipam=empty).ipam is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bridge", ""),
        ("bridge", "sixteen-bytes-xx"),
        ("bridge", "a/b"),
        ("bridge", 7),
        ("mtu", "1500"),
        ("mtu", -1),
        ("mtu", 65536),
        ("mtu", 1.5),
        ("isGateway", 1),
        ("ipMasqBackend", "foo"),
        ("vlan", "5"),
        ("vlanTrunk", 7),
        ("macspoofchk", 1),
        ("preserveDefaultVlan", "yes"),
    ],
)
def test_a_wrong_value_is_refused_by_key_and_value(key: str, value: object) -> None:
    with pytest.raises(InvalidNetworkConfigError) as caught:
        config(**{key: value})

    assert f"$.{key}" in caught.value.details
    assert str(value) in caught.value.details


@pytest.mark.parametrize(
    ("keys", "filters", "vids"),
    [
        ({}, False, ()),
        ({"vlan": 0}, False, ()),
        ({"vlan": 4094}, True, ()),
        ({"vlanTrunk": None}, False, ()),
        ({"vlanTrunk": []}, True, ()),
        ({"vlanTrunk": [{}]}, True, ()),
        ({"vlanTrunk": [{"minID": 100, "maxID": 105}]}, True, tuple(range(100, 106))),
        ({"vlanTrunk": [{"id": 10}]}, True, (10,)),
        ({"vlanTrunk": [{"ID": 5, "minid": 7, "maxID": 8}, {"id": 7}]}, True, (5, 7, 8)),
    ],
)
def test_vlans_are_those_that_the_reference_reads(
    keys: dict[str, Any], filters: bool, vids: tuple[int, ...]
) -> None:
    read = config(**keys)

    read.check_usable({})
    assert (read.filters_vlans, read.trunk_vids) == (filters, vids)


@pytest.mark.parametrize(
    ("keys", "msg", "named"),
    [
        ({"vlan": -100}, "invalid VLAN ID -100 (must be between 0 and 4094)", "$.vlan: -100"),
        ({"vlan": 5000}, "invalid VLAN ID 5000 (must be between 0 and 4094)", "$.vlan: 5000"),
        ({"vlanTrunk": [{"minID": 0, "maxID": 4}]}, "incorrect trunk minID parameter", "minID: 0"),
        (
            {"vlanTrunk": [{"id": 1}, {"minID": 4095, "maxID": 4096}]},
            "incorrect trunk minID parameter",
            "$.vlanTrunk[1].minID: 4095",
        ),
        (
            {"vlanTrunk": [{"minID": 1, "maxID": 4095}]},
            "incorrect trunk maxID parameter",
            "$.vlanTrunk[0].maxID: 4095",
        ),
        (
            {"vlanTrunk": [{"minID": 9, "maxID": 8}]},
            "minID is greater than maxID in trunk parameter",
            "$.vlanTrunk[0].minID: 9",
        ),
        (
            {"vlanTrunk": [{"minID": 9}]},
            "minID and maxID should be configured simultaneously, maxID is missing",
            "$.vlanTrunk[0].minID: 9",
        ),
        (
            {"vlanTrunk": [{"maxID": 9}]},
            "minID and maxID should be configured simultaneously, minID is missing",
            "$.vlanTrunk[0].maxID: 9",
        ),
        ({"vlanTrunk": [{"id": 0}]}, "incorrect trunk id parameter", "$.vlanTrunk[0].id: 0"),
        ({"vlanTrunk": [{"id": 4095}]}, "incorrect trunk id parameter", "id: 4095"),
        (
            {"bridge": "twelve-bytes", "vlan": 100, "isGateway": True, "ipam": {"type": "x"}},
            "name of the VLAN's gateway is no name for an interface",
            '"twelve-bytes.100"',
        ),
    ],
)
def test_vlans_that_make_no_sense_are_refused_in_the_reference_s_words(
    keys: dict[str, Any], msg: str, named: str
) -> None:
    read = config(**keys)  # DEL has to make do with it

    with pytest.raises(InvalidNetworkConfigError) as caught:
        read.check_usable({})

    assert caught.value.msg == msg
    assert named in caught.value.details


def test_a_trunk_needs_no_pydantic() -> None:
    code = (
        "import sys; from cni_bridge import Config; from cnisdk.types.config import parse_config;"
        "parse_config(Config, {'name': 'n', 'vlanTrunk': [{'id': 7}]}).trunk_vids;"
        "sys.exit('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=_PATHS, check=False)

    assert done.returncode == 0


@pytest.mark.parametrize(
    "keys",
    [
        {"hairpinMode": True, "promiscMode": True},
        {"disableContainerInterface": True, "ipam": {"type": "host-local"}},
        {"cniVersion": "0.2.0"},
        {"runtimeConfig": {"mac": "zz"}},
    ],
)
def test_keys_that_contradict_each_other_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(InvalidNetworkConfigError) as caught:
        config(**keys).check_usable({})

    assert "$." in caught.value.details


def test_mac_of_runtime_config_beats_args_and_cni_args() -> None:
    read = config(runtimeConfig={"mac": MAC}, args={"cni": {"mac": "c2:00:00:00:00:01"}})

    assert read.wanted_mac({"MAC": "c2:00:00:00:00:02"}) == MAC


def test_mac_of_args_beats_cni_args() -> None:
    read = config(args={"cni": {"mac": MAC}})

    assert read.wanted_mac({"MAC": "c2:00:00:00:00:02"}) == MAC


def test_mac_of_cni_args_is_taken_when_nothing_else_says_one() -> None:
    assert config().wanted_mac({"MAC": MAC.upper().replace(":", "-")}) == MAC


def test_no_mac_is_wanted_unless_somebody_says_one() -> None:
    assert config(runtimeConfig={"mac": ""}, args={"cni": {}}).wanted_mac({}) == ""


def test_a_wrong_mac_in_cni_args_is_an_error_of_the_environment() -> None:
    with pytest.raises(InvalidEnvironmentError, match="CNI_ARGS"):
        config().wanted_mac({"MAC": "zz"})


@pytest.mark.parametrize(
    "text", ["", "zz", "c2:11:22:33:44", "c2:11:22:33:44:+5", "01:00:5e:00:00:01", "00" + ":00" * 5]
)
def test_what_no_interface_can_have_is_no_mac(text: str) -> None:
    with pytest.raises(ValueError, match="MAC address"):
        mac.parse(text)


def test_a_chosen_mac_is_local_and_of_a_single_interface() -> None:
    chosen = {mac.choose() for _ in range(64)}

    assert len(chosen) == 64
    assert all(int(address[:2], 16) & 3 == 2 for address in chosen)
