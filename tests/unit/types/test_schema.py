"""The schema says what a call accepts: a validator that is not ours is the second witness."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from cni_bridge import Bridge
from cni_bridge.config import Config as BridgeConfig
from cni_host_local import HostLocal
from cni_host_local.config import Config as HostLocalConfig
from cnisdk import CNIError, Field, Plugin, PluginConfig
from cnisdk.types.config import parse_config
from cnisdk.types.schema import DIALECT, plugin_schema

PLUGINS: list[type[Plugin[Any]]] = [Bridge, HostLocal]
CONFIGS = [BridgeConfig, HostLocalConfig]


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
