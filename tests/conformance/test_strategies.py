"""What the strategies yield is valid, for the kit and for our own types."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from cnisdk import names, versions
from cnisdk.conformance import result as results, strategies
from cnisdk.types import args
from cnisdk.types.config import PluginConfig, parse_config
from cnisdk.types.convert import from_wire, to_wire

few = settings(max_examples=25, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize("abbreviated", [False, True])
@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_results_are_valid_and_survive_conversion(version: str, abbreviated: bool) -> None:
    @few
    @given(strategies.results(version, abbreviated=abbreviated))
    def check(wire: dict[str, Any]) -> None:
        assert not results.problems(wire, version, abbreviated=abbreviated)
        again = to_wire(from_wire(wire), version)
        assert not results.problems(again, version, abbreviated=abbreviated)
        assert {a.address for a in results.addresses(again)} == {
            a.address for a in results.addresses(wire)
        }

    check()


@few
@given(strategies.configurations("bridge"))
def test_configurations_are_valid(raw: dict[str, Any]) -> None:
    config = parse_config(PluginConfig, raw)
    assert config.ipam is not None
    assert config.name == raw["name"]


@few
@given(strategies.container_ids(), strategies.network_names(), strategies.ifnames())
def test_names_are_valid(container_id: str, network: str, ifname: str) -> None:
    assert not names.container_id_problem(container_id)
    assert not names.network_name_problem(network)
    assert not names.ifname_problem(ifname)


@few
@given(strategies.cni_args())
def test_arguments_can_be_parsed(text: str) -> None:
    assert len(args.parse(text)) <= len(text.split(";"))


@few
@given(st.data())
def test_versions_start_with_the_minimum(data: st.DataObject) -> None:
    minimum = data.draw(strategies.versions())
    assert versions.at_least(data.draw(strategies.versions(minimum)), minimum)
