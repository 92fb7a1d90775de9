"""The schema says what a call accepts: a validator that is not ours is the second witness."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from cni_bridge import Bridge
from cni_bridge.config import Config as BridgeConfig
from cni_host_local import HostLocal
from cni_host_local.config import Config as HostLocalConfig
from cnisdk import CNIError, Field, Plugin, PluginConfig, names
from cnisdk.types.config import parse_config
from cnisdk.types.descriptions import descriptions
from cnisdk.types.schema import (
    DIALECT,
    NAME_PATTERN,
    closed,
    conflist_schema,
    plugin_schema,
)
from tests.host import ROOT

PLUGINS: list[type[Plugin[Any]]] = [Bridge, HostLocal]
CONFIGS: list[type[PluginConfig]] = [BridgeConfig, HostLocalConfig]


class Closed(PluginConfig, extra="forbid"):
    """Takes no other keys."""

    speed: int = Field(alias="linkSpeed", ge=1)


def is_valid(config_type: type[PluginConfig], config: dict[str, Any]) -> bool:
    return bool(Draft202012Validator(plugin_schema(config_type)).is_valid(config))


@pytest.mark.parametrize("config_type", [*CONFIGS, Closed, PluginConfig])
def test_it_is_a_schema_of_the_dialect_that_it_names(config_type: type[PluginConfig]) -> None:
    schema = plugin_schema(config_type)

    assert schema["$schema"] == DIALECT == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("config_type", "keys"),
    [
        (BridgeConfig, {}),
        (BridgeConfig, {"mtu": 1400, "isGateway": True, "ipam": {"type": "static", "x": [1]}}),
        (BridgeConfig, {"mtu": "1400"}),
        (BridgeConfig, {"mtu": 70000}),
        (BridgeConfig, {"isGateway": 1}),
        (BridgeConfig, {"ipMasqBackend": "nftables"}),
        (BridgeConfig, {"ipMasqBackend": "pf"}),
        (BridgeConfig, {"dns": {"nameservers": ["10.0.0.1"]}}),
        (BridgeConfig, {"dns": {"nameservers": [5]}}),
        (BridgeConfig, {"anything": {"else": None}}),
        (
            HostLocalConfig,
            {"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]]}},
        ),
        (HostLocalConfig, {"ipam": {"type": "host-local", "ranges": [{"subnet": "10.1.0.0/24"}]}}),
        (HostLocalConfig, {"ipam": {"type": "host-local", "routes": [{"gw": "10.1.0.1"}]}}),
        (Closed, {"linkSpeed": 1}),
        (Closed, {}),
        (Closed, {"linkSpeed": 0}),
        (Closed, {"linkSpeed": 1, "speed": 1}),
    ],
)
def test_it_accepts_what_a_call_accepts(
    config_type: type[PluginConfig], keys: dict[str, Any]
) -> None:
    config = {"cniVersion": "1.1.0", "name": "n", "type": "t", **keys}
    try:
        parse_config(config_type, config)
    except CNIError:
        accepted = False
    else:
        accepted = True

    assert is_valid(config_type, config) is accepted


def test_an_element_of_plugins_needs_no_name_but_a_type() -> None:
    assert is_valid(BridgeConfig, {"type": "bridge"})
    assert not is_valid(BridgeConfig, {"name": "n"})
    assert not is_valid(BridgeConfig, {"type": ""})


@pytest.mark.parametrize("config_type", CONFIGS)
def test_what_a_runtime_adds_is_not_in_it(config_type: type[PluginConfig]) -> None:
    schema = plugin_schema(config_type)

    assert not {"prevResult", "runtimeConfig"} & schema["properties"].keys()
    assert not {"RuntimeConfig", "PortMapping", "Result"} & schema["$defs"].keys()


def test_capabilities_are_true_or_false() -> None:
    assert is_valid(BridgeConfig, {"type": "bridge", "capabilities": {"mac": True}})
    assert not is_valid(BridgeConfig, {"type": "bridge", "capabilities": {"mac": "yes"}})


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_documented_default_is_a_configuration(plugin: type[Plugin[Any]]) -> None:
    assert plugin.default_config is not None
    config = {"type": "t", **plugin.default_config}

    assert is_valid(plugin.config_type, config)
    parse_config(plugin.config_type, {"cniVersion": "1.1.0", "name": "n", **config})


# -- descriptions ------------------------------------------------------------------------------


class Documented(Closed):
    """Has a docstring."""

    with_default: int = Field(default=5, alias="withDefault")
    """As ``speed`` and ``with_default``, in
    two lines."""
    told: int = Field(default=1, description="Told to Field.")
    """Not this."""
    silent: int | None = None


def test_keys_are_described_by_docstrings_and_spelt_as_on_the_wire() -> None:
    schema = plugin_schema(Documented, name="doc", about="A plugin.\n\n    Of two paragraphs.")
    properties = schema["properties"]

    assert schema["description"] == "A plugin.\n\nOf two paragraphs."
    assert properties["withDefault"]["description"] == (
        "As `linkSpeed` and `withDefault`, in\ntwo lines."
    )
    assert properties["told"]["description"] == "Told to Field."
    assert "description" not in properties["silent"]
    assert properties["name"]["description"] == "Name of the network."


def test_what_has_no_source_has_no_descriptions() -> None:
    made = type("Made", (PluginConfig,), {"__annotations__": {"x": int}, "x": 1})

    assert "x" not in descriptions(made)
    assert "x" in plugin_schema(made)["properties"]


def test_null_is_not_proposed() -> None:
    assert plugin_schema(Documented)["properties"]["silent"] == {"type": "integer"}


@pytest.mark.parametrize("config_type", CONFIGS)
def test_every_key_of_our_plugins_is_described(config_type: type[PluginConfig]) -> None:
    properties = plugin_schema(config_type)["properties"]

    undescribed = [key for key, one in properties.items() if "description" not in one]
    assert undescribed == []


# -- strict ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config_type", "keys", "accepted"),
    [
        (BridgeConfig, {"isGateway": True}, True),
        (BridgeConfig, {"isGatway": True}, False),
        (BridgeConfig, {"dns": {"nameserver": []}}, False),
        (BridgeConfig, {"vlanTrunk": [{"minId": 1}]}, False),
        (BridgeConfig, {"args": {"cni": {"anything": 1}}}, True),
        (BridgeConfig, {"capabilities": {"io.example": True}}, True),
        (BridgeConfig, {"ipam": {"type": "static", "addresses": []}}, True),
        (HostLocalConfig, {"isGateway": True, "ipam": {"type": "host-local"}}, True),
        (HostLocalConfig, {"ipam": {"type": "host-local", "rangs": []}}, False),
        (HostLocalConfig, {"ipam": {"type": "host-local", "ranges": [[{"sub": "x"}]]}}, False),
    ],
)
def test_strict_flags_what_nobody_declares(
    config_type: type[PluginConfig], keys: dict[str, Any], accepted: bool
) -> None:
    schema = plugin_schema(config_type)
    config = {"type": "t", **keys}

    assert Draft202012Validator(closed(schema)).is_valid(config) is accepted
    assert Draft202012Validator(schema).is_valid(config)


# -- networks ----------------------------------------------------------------------------------


@cache
def network_validator(*, strict: bool = True) -> Draft202012Validator:
    schemas = {
        name: plugin_schema(config_type, name=name)
        for name, config_type in zip(("bridge", "host-local"), CONFIGS, strict=True)
    }
    schema = conflist_schema(schemas, strict=strict)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def documented() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the configurations of READMEs, pages and the demo, each as a list."""
    pages = [*ROOT.glob("plugins/*/README.md"), ROOT / "README.md", *ROOT.glob("docs/*.md")]
    for page in pages:
        for block in re.findall(r"^```json\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            try:
                found = json.loads(block)
            except ValueError:
                continue  # an excerpt
            if isinstance(found, dict) and isinstance(found.get("plugins"), list):
                yield page.name, found
            elif isinstance(found, dict) and {"name", "type"} <= found.keys():
                outer = {key: found.pop(key) for key in ("name", "cniVersion")}
                yield page.name, {**outer, "plugins": [found]}
    for path in ROOT.glob("demo/*.conflist"):
        yield path.name, json.loads(path.read_text())


DOCUMENTED = list(documented())


def recorded() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what runtimes gave to plugins that are ours as well."""
    for path in sorted(ROOT.glob("tests/data/recorded-calls/*/*.json")):
        call = json.loads(path.read_text())
        if call["stdin"].strip() and call["command"] != "VERSION":
            yield f"{path.parent.name}/{path.stem}", json.loads(call["stdin"])


RECORDED = list(recorded())


def test_there_are_configurations_to_try() -> None:
    assert {"10-demo.conflist", "README.md"} <= {name for name, _ in DOCUMENTED}
    assert len(RECORDED) > 20


@pytest.mark.parametrize(("name", "config"), DOCUMENTED, ids=lambda one: str(one)[:30])
def test_what_is_documented_passes_strictly(name: str, config: dict[str, Any]) -> None:
    assert [error.message for error in network_validator().iter_errors(config)] == []


@pytest.mark.parametrize(("name", "config"), RECORDED, ids=lambda one: str(one)[:30])
def test_what_runtimes_gave_passes(name: str, config: dict[str, Any]) -> None:
    outer = {key: config[key] for key in ("name", "cniVersion")}
    network = {**outer, "plugins": [config]}

    errors = network_validator(strict=False).iter_errors(network)

    assert [error.message for error in errors] == []


GOOD: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "n",
    "plugins": [
        {
            "type": "bridge",
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/8"}]]},
        },
        {"type": "portmap", "anything": {"goes": True}},
    ],
}


def changed(path: list[str | int], value: object) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(GOOD))
    place: Any = made
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "strictly_only"),
    [
        (["name"], "a b", False),
        (["name"], "", False),
        (["cniVersion"], "1.9.0", False),
        (["disableCheck"], 1, False),
        (["disableChek"], True, True),
        (["plugins"], [], False),
        (["plugins", 0], {"bridge": "x"}, False),
        (["plugins", 0, "type"], "", False),
        (["plugins", 0, "mtu"], "1400", False),
        (["plugins", 0, "isGatway"], True, True),
        (["plugins", 0, "ipam", "ranges"], [{"subnet": "10.0.0.0/8"}], False),
        (["plugins", 0, "ipam", "rangs"], [], True),
        (["plugins", 1, "capabilities"], {"portMappings": "yes"}, False),
    ],
)
def test_what_is_wrong_with_a_network_is_found(
    path: list[str | int], value: object, strictly_only: bool
) -> None:
    config = changed(path, value)

    assert network_validator().is_valid(GOOD)
    assert not network_validator().is_valid(config)
    assert network_validator(strict=False).is_valid(config) is strictly_only


def test_another_ipam_plugin_is_left_alone() -> None:
    config = changed(["plugins", 0, "ipam"], {"type": "static", "ranges": 5})

    assert network_validator().is_valid(config)


def test_plugins_may_all_be_drop_ins_unless_there_are_to_be_none() -> None:
    bare = {"name": "n"}

    assert network_validator().is_valid(bare)
    assert not network_validator().is_valid({**bare, "loadOnlyInlinedPlugins": True})


@pytest.mark.parametrize("name", ["", "a", "a b", "-a", "a_.-1", "ä", "a/b", "0"])
def test_names_are_what_the_runtime_takes(name: str) -> None:
    assert bool(re.search(NAME_PATTERN, name)) is (names.network_name_problem(name) == "")


def test_plugins_of_any_name_keep_their_definitions_apart() -> None:
    odd = "my plugin/~1%"
    schema = conflist_schema(
        {odd: plugin_schema(BridgeConfig), "b": plugin_schema(HostLocalConfig)}
    )
    validator = Draft202012Validator(schema)

    assert not validator.is_valid({"name": "n", "plugins": [{"type": odd, "vlanTrunk": 5}]})
    assert not validator.is_valid({"name": "n", "plugins": [{"type": odd, "dns": {"domain": 5}}]})
