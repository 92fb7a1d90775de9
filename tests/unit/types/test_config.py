"""What an author's configuration class is given, and what an administrator is told."""

from ipaddress import IPv4Address
from typing import Any, Literal

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cnisdk.errors import (
    CNIError,
    InvalidNetworkConfigError,
    PluginError,
    UnsupportedFieldError,
)
from cnisdk.types import _json, args
from cnisdk.types.capabilities import RuntimeConfig
from cnisdk.types.config import IPAMConfig, PluginConfig, parse_config, salvage_config
from cnisdk.types.convert import to_wire
from cnisdk.types.result import DNS, Result
from tests.unit.types.strategies import json_values, recorded_calls

NET: dict[str, Any] = {"cniVersion": "1.1.0", "name": "net", "type": "test"}


class Range(BaseModel):
    """Not a model of ours: an author may use pydantic's own."""

    subnet: str
    size: int = 0


class OwnIPAM(IPAMConfig):
    ranges: tuple[tuple[Range, ...], ...] = ()


class Config(PluginConfig):
    bridge: str = "cni0"
    is_gateway: bool = Field(default=False, alias="isGateway")
    mtu: int = Field(default=0, ge=0)
    mode: Literal["l2", "l3"] = "l2"
    server: IPv4Address | None = None
    ranges: dict[str, Range] = Field(default_factory=dict)
    rate: float = 0.0
    ipam: OwnIPAM | None = None

    @field_validator("bridge")
    @classmethod
    def _usable(cls, value: str) -> str:
        if value == "taken":
            raise PluginError("bridge is taken", value, code=100)
        if "/" in value:
            raise ValueError("has a slash")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if self.mode == "l3" and self.mtu == 1:
            raise ValueError("mode l3 needs another mtu")
        return self


class Forbidding(PluginConfig):
    model_config = ConfigDict(extra="forbid")

    mtu: int = 0


def parse(**keys: Any) -> Config:
    return parse_config(Config, {**NET, **keys})


def refused(**keys: Any) -> str:
    with pytest.raises(InvalidNetworkConfigError) as caught:
        parse(**keys)
    return caught.value.details


def salvaged(**keys: Any) -> Config:
    config = salvage_config(Config, {**NET, **keys})
    assert config is not None
    return config


# -- what is read ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", recorded_calls(), ids=lambda call: call.label)
def test_recorded_configuration_is_understood(call: Any) -> None:
    raw = _json.loads(call.stdin)
    config = parse_config(PluginConfig, raw)
    assert (config.name, config.type) == (raw["name"], raw["type"])
    assert (config.prev_result is None) == ("prevResult" not in raw)
    if config.prev_result is not None:
        again = to_wire(config.prev_result, raw["cniVersion"])
        assert again["interfaces"] == raw["prevResult"]["interfaces"]
    for ours, theirs in zip(
        config.runtime_config.port_mappings,
        raw.get("runtimeConfig", {}).get("portMappings", ()),
        strict=True,
    ):
        folded = {key.lower(): value for key, value in theirs.items()}
        assert ours.host_port == folded["hostport"]
        assert ours.host_ip == folded["hostip"]
    args.parse(call.args)


def test_author_gets_fields_of_the_declared_types() -> None:
    config = parse(isGateway=True, mtu=1400, server="10.0.0.1", ranges={"A": {"subnet": "s"}})
    assert (config.is_gateway, config.mtu) == (True, 1400)
    assert config.server == IPv4Address("10.0.0.1")
    assert config.ranges == {"A": Range(subnet="s")}


def test_what_is_not_said_has_its_default() -> None:
    config = parse_config(PluginConfig, {"name": "net"})
    assert (config.cni_version, config.type, config.ipam, config.prev_result) == (
        "0.1.0",
        "",
        None,
        None,
    )
    assert (config.dns, config.args, config.runtime_config) == (DNS(), {}, RuntimeConfig())


def test_null_and_an_empty_version_say_nothing() -> None:
    config = parse(cniVersion="", mtu=None, ipam=None, dns=None, args=None, prevResult=None)
    assert (config.cni_version, config.mtu, config.dns) == ("0.1.0", 0, DNS())
    assert parse(runtimeConfig={"ips": None}).runtime_config.ips == ()


@pytest.mark.parametrize("ipam", [{}, {"type": ""}, {"type": None}, {"ranges": []}])
def test_ipam_without_a_type_is_none(ipam: dict[str, Any]) -> None:
    assert parse(ipam=ipam).ipam is None


def test_keys_match_in_any_case_where_a_model_says_what_is_below() -> None:
    config = parse(
        ISGATEWAY=True,
        Ipam={"TYPE": "host-local", "Ranges": [[{"SubNet": "10.0.0.0/8", "Size": 5}]]},
        Ranges={"Key": {"SUBNET": "s"}},
        RuntimeConfig={"PortMappings": [{"HostPort": 1, "ContainerPort": 2}], "MAC": "aa"},
    )
    assert config.is_gateway
    assert config.ipam is not None
    assert config.ipam.ranges == ((Range(subnet="10.0.0.0/8", size=5),),)
    assert config.ranges == {"Key": Range(subnet="s")}
    assert config.runtime_config.port_mappings[0].container_port == 2
    assert config.runtime_config.mac == "aa"


def test_keys_of_free_objects_stay_as_they_are() -> None:
    config = parse(args={"CNI": {"Type": 1}}, vendor={"MTU": 1})
    assert config.args == {"CNI": {"Type": 1}}
    assert config.model_extra == {"vendor": {"MTU": 1}}


def test_exact_key_wins_and_else_the_last() -> None:
    assert parse(mtu=1, MTU=2).mtu == 1
    assert parse(MTU=2, mtu=1).mtu == 1
    assert parse(MTU=2, Mtu=3).mtu == 3
    assert parse(MTU=2, mtu=1).model_extra == {}


@given(
    st.dictionaries(st.sampled_from(["bridge", "isGateway", "mtu", "mode"]), st.none(), max_size=4),
    st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_case_of_keys_makes_no_difference(chosen: dict[str, None], random: Any) -> None:
    values = {"bridge": "br1", "isGateway": True, "mtu": 9, "mode": "l3"}
    raw = {key: values[key] for key in chosen}
    mixed = {"".join(random.choice((c.lower(), c.upper())) for c in k): v for k, v in raw.items()}
    assert parse(**mixed) == parse(**raw)


def test_python_names_are_no_keys() -> None:
    config = parse(is_gateway=True)
    assert not config.is_gateway
    assert Config(name="net", is_gateway=True).is_gateway


def test_unknown_keys_and_exact_numbers_are_kept() -> None:
    text = """{"name": "net", "x": 1e400, "y": [0.1000000000000000000001],
        "ipam": {"type": "t", "z": {"n": 1e-400}}, "args": {"a": 1e400}, "rate": 0.25,
        "prevResult": {"cniVersion": "1.0.0", "v": 1e400}}"""
    raw = _json.loads(text)
    config = parse_config(Config, raw)
    assert config.model_extra == {"x": raw["x"], "y": raw["y"]}
    assert config.ipam is not None
    assert config.ipam.model_extra == {"z": raw["ipam"]["z"]}
    assert (config.args, config.rate) == (raw["args"], 0.25)
    assert config.prev_result is not None
    assert to_wire(config.prev_result, "1.0.0") == raw["prevResult"]


@pytest.mark.parametrize("aliases", [["a", "b"], {"net": ["a", "b"]}])
def test_aliases_come_as_a_list_or_by_network(aliases: Any) -> None:
    got = parse(runtimeConfig={"aliases": aliases}).runtime_config.aliases
    assert got == (tuple(aliases) if isinstance(aliases, list) else aliases)


def test_previous_result_of_any_version_is_taken() -> None:
    old = {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/8"}}
    result = parse(prevResult=old).prev_result
    assert result is not None
    assert str(result.ips[0].address) == "10.0.0.2/8"
    stated = parse(cniVersion="0.2.0", prevResult={"ip4": {"ip": "10.0.0.2/8"}}).prev_result
    assert stated == result
    assert parse(prevResult={}).prev_result == Result()


def test_class_made_in_a_function_may_name_its_types_as_text() -> None:
    class Local(PluginConfig):
        limit: "int" = 0

    assert parse_config(Local, {"name": "net", "LIMIT": 5}).limit == 5


def test_configuration_describes_itself_for_documentation() -> None:
    properties = Config.model_json_schema()["properties"]
    assert {"isGateway", "prevResult", "runtimeConfig", "cniVersion"} <= properties.keys()
    assert parse(prevResult={}).model_dump(mode="json", by_alias=True)["name"] == "net"


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "details"),
    [
        ({"mtu": "1500"}, '$.mtu: "1500" should be a valid integer'),
        ({"MTU": "1500"}, '$.MTU: "1500" should be a valid integer'),
        ({"mtu": 1500.0}, "$.mtu: 1500.0"),
        ({"mtu": True}, "$.mtu: true"),
        ({"mtu": -1}, "$.mtu: -1 should be greater than or equal to 0"),
        ({"rate": "1"}, '$.rate: "1"'),
        ({"isGateway": 1}, "$.isGateway: 1 should be a valid boolean"),
        ({"bridge": 5}, "$.bridge: 5 should be a valid string"),
        ({"bridge": "a/b"}, '$.bridge: "a/b": has a slash'),
        ({"mode": "l4"}, "$.mode: \"l4\" should be 'l2' or 'l3'"),
        ({"server": "10.0.0.256"}, '$.server: "10.0.0.256"'),
        ({"ranges": {"a b": {}}}, '$.ranges["a b"].subnet is missing'),
        ({"ipam": 5}, "$.ipam: 5"),
        ({"ipam": {"type": 5}}, "$.ipam.type: 5"),
        ({"ipam": {"type": "t", "ranges": [[{"subnet": 1}]]}}, "$.ipam.ranges[0][0].subnet: 1"),
        ({"ipam": {"type": "t", "ranges": [[None]]}}, "$.ipam.ranges[0][0]: null"),
        ({"dns": {"search": [1]}}, "$.dns.search[0]: 1"),
        ({"args": []}, "$.args: []"),
        ({"runtimeConfig": 5}, "$.runtimeConfig: 5"),
        (
            {"runtimeConfig": {"portMappings": [{"HostPort": "x", "containerPort": 1}]}},
            '$.runtimeConfig.portMappings[0].HostPort: "x"',
        ),
        ({"runtimeConfig": {"portMappings": [None]}}, "$.runtimeConfig.portMappings[0]: null"),
        (
            {"runtimeConfig": {"ipRanges": [[{"subnet": 5}]]}},
            "$.runtimeConfig.ipRanges[0][0].subnet: 5",
        ),
        ({"prevResult": {"ips": [{"address": "x"}]}}, '$.prevResult.ips[0].address: "x" is no'),
        ({"prevResult": {"cniVersion": "0.2.0", "ip4": {}}}, "$.prevResult.ip4.ip is missing"),
        ({"prevResult": {"cniVersion": "9.0.0"}}, '$.prevResult.cniVersion: "9.0.0"'),
        ({"prevResult": []}, "$.prevResult: []"),
        ({"name": 5}, "$.name: 5"),
        ({"name": None}, "$.name: null"),
        ({"mode": "l3", "mtu": 1}, "mode l3 needs another mtu"),
        ({"vendor": "\ud800"}, "Invalid JSON: "),
    ],
)
def test_problem_is_named_by_path_and_value(keys: dict[str, Any], details: str) -> None:
    assert details in refused(**keys)


def test_every_problem_is_named_at_once() -> None:
    details = refused(mtu="a", isGateway=2, prevResult={"ips": [None]}, runtimeConfig={"mac": 3})
    for path in ("$.mtu", "$.isGateway", "$.prevResult.ips[0]", "$.runtimeConfig.mac"):
        assert path in details


def test_long_value_is_cut_short() -> None:
    assert len(refused(mtu="x" * 10_000)) < 300


def test_missing_name_is_named() -> None:
    with pytest.raises(InvalidNetworkConfigError, match=r"\$\.name is missing"):
        parse_config(Config, {"type": "test"})


def test_error_of_a_validators_own_is_raised_as_it_is() -> None:
    with pytest.raises(PluginError, match="bridge is taken") as caught:
        parse(bridge="taken")
    assert caught.value.code == 100


def test_forbidden_key_is_unsupported_and_named_with_its_value() -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        parse_config(Forbidding, {**NET, "vlan": 5, "mtu": "x"})
    assert caught.value.code == 2
    assert "vlan=5" in caught.value.msg
    assert "$.mtu" in caught.value.details


def test_keys_of_the_runtime_are_never_forbidden() -> None:
    raw = {**NET, "capabilities": {"ips": True}, "cni.dev/valid-attachments": [], "MTU": 5}
    assert parse_config(Forbidding, raw).mtu == 5


keys = st.sampled_from(
    [
        "name",
        "type",
        "cniVersion",
        "mtu",
        "MTU",
        "isGateway",
        "bridge",
        "server",
        "ranges",
        "ipam",
        "dns",
        "args",
        "runtimeConfig",
        "prevResult",
        "mode",
        "x",
    ]
)
inner_keys = st.sampled_from(
    ["type", "ranges", "subnet", "portMappings", "HostPort", "ips", "address", "ip4", "aliases"]
)
inner = json_values | st.dictionaries(inner_keys, json_values, max_size=3)
raws = st.dictionaries(keys, inner, max_size=6)


@given(raws)
@settings(max_examples=150, deadline=None)
def test_any_object_is_a_configuration_or_an_error_with_a_code(raw: dict[str, Any]) -> None:
    for config_type in (Config, Forbidding, PluginConfig):
        try:
            parse_config(config_type, raw)
        except CNIError as err:
            assert err.code in (2, 7)  # noqa: PT017 - most objects raise nothing


# -- what is salvaged for DEL ----------------------------------------------------------------


@given(raws)
@settings(max_examples=100, deadline=None)
def test_salvaging_never_raises_and_always_keeps_the_name(raw: dict[str, Any]) -> None:
    for config_type in (Config, Forbidding):
        assert salvage_config(config_type, {**raw, "name": "net"}) is not None
        salvage_config(config_type, raw)


def test_only_the_innermost_wrong_value_is_left_out() -> None:
    config = salvaged(
        mtu="big",
        bridge="br7",
        ipam={
            "type": "t",
            "dataDir": "/d",
            "ranges": [[{"subnet": 5}, {"subnet": "s", "size": ""}]],
        },
    )
    assert (config.mtu, config.bridge) == (0, "br7")
    assert config.ipam is not None
    assert (config.ipam.type, config.ipam.model_extra) == ("t", {"dataDir": "/d"})
    assert config.ipam.ranges == ((Range(subnet="s"),),)


def test_previous_result_is_left_out_as_a_whole() -> None:
    config = salvaged(prevResult={"interfaces": [None, {"name": "a"}]}, bridge="br7")
    assert (config.prev_result, config.bridge) == (None, "br7")


def test_problem_of_several_values_costs_only_one_of_them() -> None:
    config = salvaged(mode="l3", mtu=1, bridge="br7", ipam={"type": "t", "dataDir": "/d"})
    assert config.bridge == "br7"
    assert (config.mode, config.mtu) == ("l3", 0)
    assert config.ipam is not None
    assert config.ipam.model_extra == {"dataDir": "/d"}


def test_value_whose_validator_raises_an_error_of_its_own_is_left_out() -> None:
    config = salvaged(bridge="taken", mtu=9, ipam={"type": "t"}, ISGATEWAY="x")
    assert (config.bridge, config.mtu, config.is_gateway) == ("cni0", 9, False)
    assert config.ipam is not None


def test_validator_with_a_bug_does_not_stop_a_delete() -> None:
    class Buggy(PluginConfig):
        mtu: int = 0

        @field_validator("mtu")
        @classmethod
        def _bug(cls, value: int) -> int:
            return value // 0

    config = salvage_config(Buggy, {**NET, "mtu": 5, "ipam": {"type": "t"}})
    assert config is not None
    assert (config.name, config.mtu, config.ipam) == ("net", 0, IPAMConfig(type="t"))


def test_forbidden_key_is_left_out() -> None:
    config = salvage_config(Forbidding, {**NET, "vlan": 5, "mtu": 9})
    assert config is not None
    assert config.mtu == 9


def test_nothing_is_salvaged_without_a_name_or_a_required_key() -> None:
    class Needy(PluginConfig):
        master: str

    assert salvage_config(Config, {"type": "t"}) is None
    assert salvage_config(Needy, {**NET, "master": 5}) is None


# -- prevResult that has to be there -------------------------------------------------------------


def test_a_required_prev_result_is_returned_typed() -> None:
    config = parse(cniVersion="1.1.0", prevResult={"ips": [{"address": "10.0.0.2/8"}]})

    assert config.require_prev_result() is config.prev_result


@pytest.mark.parametrize("keys", [{}, {"prevResult": None}])
def test_a_required_prev_result_that_is_missing_is_an_error_of_the_configuration(
    keys: dict[str, Any],
) -> None:
    with pytest.raises(InvalidNetworkConfigError) as caught:
        parse(type="mine", **keys).require_prev_result()

    assert caught.value.msg == "required prevResult missing"
    assert caught.value.details.startswith("$.prevResult: mine ")
