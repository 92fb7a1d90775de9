"""The result as a plugin's author meets it."""

import copy
import pickle
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from typing import Any

import pytest
from pydantic import ValidationError

from cnisdk.types.result import DNS, Interface, IPConfig, Result, Route


def test_result_is_built_from_lists_and_text_alike() -> None:
    built = Result.model_validate(
        {"ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0}]}
    )
    ip = IPConfig(
        address=IPv4Interface("10.1.0.2/24"), gateway=IPv4Address("10.1.0.1"), interface=0
    )
    assert built == Result(ips=(ip,))
    assert isinstance(built.ips, tuple)


def test_replace_checks_what_it_puts_in_and_keeps_the_rest() -> None:
    result = Result.model_validate({"interfaces": [{"name": "eth0"}], "x-vendor": 1})
    changed = result.replace(dns=DNS(domain="example.com"))
    assert (changed.interfaces, changed.model_extra) == (result.interfaces, {"x-vendor": 1})
    assert changed.dns.domain == "example.com"
    with pytest.raises(ValidationError):
        result.replace(interfaces=(1,))


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        (Interface(name="eth0", mac="0a:58:0a:01:00:02"), {"mtu": 1400}),
        (IPConfig.model_validate({"address": "10.1.0.2/24"}), {"interface": 1}),
        (Route.model_validate({"dst": "10.1.2.3/24"}), {"gw": IPv4Address("10.1.2.1")}),
        (DNS(search=("a",)), {"domain": "example.com"}),
    ],
)
def test_every_part_of_a_result_can_be_replaced_in_a_copy(
    part: Any, changes: dict[str, Any]
) -> None:
    before = repr(part)
    changed = type(part).model_validate({**dict(part), "x-vendor": 1}).replace(**changes)

    ((name, value),) = changes.items()
    assert (getattr(changed, name), changed.model_extra) == (value, {"x-vendor": 1})
    rest = {"model_fields_set", "model_extra", name}
    assert {k: v for k, v in vars(changed).items() if k not in rest} == {
        k: v for k, v in vars(part).items() if k not in rest
    }
    assert str(dict(changed).get("dst", "")) == str(dict(part).get("dst", ""))
    assert repr(part) == before


@pytest.mark.parametrize("field", ["interface", "gateway", "address"])
def test_replace_refuses_a_value_that_no_constructor_takes(field: str) -> None:
    with pytest.raises(ValidationError):
        IPConfig.model_validate({"address": "10.1.0.2/24"}).replace(**{field: -1})


@pytest.mark.parametrize("name", ["mtuu", "pciID", "model_extra"])
def test_replace_refuses_a_name_that_is_no_fields(name: str) -> None:
    """It would be a key of the answer, and nobody would notice."""
    with pytest.raises(TypeError, match=f"Interface has no field {name}"):
        Interface(name="eth0").replace(**{name: 1})


def test_result_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Interface(name="eth0").name = "eth1"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["10.1.2.3/24", "fd00::1/64"])
def test_destination_prints_host_bits_and_is_the_network(text: str) -> None:
    for dst in (
        Route.model_validate({"dst": text}).dst,
        copy.deepcopy(Route.model_validate({"dst": text})).dst,
        pickle.loads(pickle.dumps(Route.model_validate({"dst": text}))).dst,  # noqa: S301
    ):
        assert str(dst) == text
        assert dst in (IPv4Network("10.1.2.0/24"), IPv6Network("fd00::/64"))
        assert str(dst.network_address) in ("10.1.2.0", "fd00::")


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "", "10.0.0.1/255.255.255.0", "10.0.0.1/33", "010.0.0.1/8", "a/8"]
)
def test_address_without_a_prefix_length_is_refused(text: str) -> None:
    for model, key in ((IPConfig, "address"), (Route, "dst")):
        with pytest.raises(ValidationError):
            model.model_validate({key: text})


@pytest.mark.parametrize("value", ["fe80::1%eth0", "1.2.3.4/8", "x", 5, IPv4Interface("1.2.3.4/8")])
def test_gateway_is_an_address_and_no_more(value: object) -> None:
    with pytest.raises(ValidationError):
        IPConfig.model_validate({"address": "10.0.0.2/24", "gateway": value})


def test_empty_gateway_is_none() -> None:
    assert Route.model_validate({"dst": "0.0.0.0/0", "gw": ""}).gw is None


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Interface, {"name": "eth0", "mtu": "1500"}),
        (Interface, {"name": "eth0", "mtu": True}),
        (Interface, {"name": "eth0", "mtu": 1500.0}),
        (Interface, {"name": "eth0", "mtu": -1}),
        (Interface, {"name": 5}),
        (IPConfig, {"address": "10.0.0.1/8", "interface": -1}),
        (Route, {"dst": "0.0.0.0/0", "scope": 256}),
        (Route, {"dst": "0.0.0.0/0", "table": 2**32}),
        (Result, {"interfaces": [None]}),
        (Result, {"ips": [None]}),
        (DNS, {"search": ["a", None]}),
        (DNS, {"search": "a"}),
    ],
)
def test_value_of_the_wrong_type_is_not_converted(model: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(fields)


def test_dns_is_true_when_it_says_something() -> None:
    assert not DNS()
    assert DNS(search=("a",))


def test_models_dump_and_describe_themselves_for_documentation() -> None:
    wire = {"interfaces": [{"name": "a"}], "routes": [{"dst": "0.0.0.0/0"}]}
    result = Result.model_validate(wire)
    dumped = result.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert dumped == wire
    assert Result.model_json_schema()["properties"]["routes"]["type"] == "array"
