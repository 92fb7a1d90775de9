"""What is taken without pydantic, pydantic takes too, and makes the same of it."""

import json
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Network
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel

from cnisdk import Field, Parsed, PluginConfig, Result
from cnisdk.types import _checks, _json, _pydantic
from cnisdk.types._wire import WireModel
from tests.unit.types.strategies import json_values


class Inner(WireModel, strict=True):
    name: str
    size: int = 0
    words: Annotated[tuple[str, ...], Field(strict=False)] = ()
    pairs: Annotated[tuple[tuple[int, ...], ...], Field(strict=False)] = ()


class Forbidding(WireModel, extra="forbid"):
    size: int = Field(default=1, alias="theSize")


class Ignoring(WireModel, extra="ignore"):
    inner: Inner = Field(default_factory=lambda: Inner(name="default"))


class Foreign(BaseModel):
    """Not a model of ours."""

    x: int = 0


def read_even(value: object) -> int:
    if type(value) is not int or value % 2:
        raise ValueError("is not even")
    return value


class Every(WireModel):
    """Each kind of type, whether it is known without pydantic or not."""

    text: str = ""
    number: int = Field(default=0, ge=-5, lt=70000, alias="theNumber")
    ratio: float = Field(default=0.5, gt=0, le=1e6)
    flag: bool = False
    maybe: int | None = Field(default=None, gt=0)
    names: list[Annotated[str, Field(min_length=1, max_length=2)]] = Field(
        default_factory=list, max_length=2
    )
    free: Any = None
    table: dict[str, Any] = {}  # noqa: RUF012
    bare: dict = {}  # type: ignore[type-arg]  # noqa: RUF012
    counts: dict[str, int] = Field({"a": 1}, min_length=1)
    mode: Literal["l2", "l3"] = "l2"
    level: Literal[0, 1] | None = None
    several: int | str | bool | list[int] = 0
    ambiguous: int | float | None = None
    inner_or: Inner | tuple[str, ...] | None = None
    inner: Inner = Inner(name="default")
    inners: tuple[tuple[Inner, ...], ...] = ()
    forbidding: Forbidding | None = None
    ignoring: Ignoring | None = None
    server: IPv4Address | None = None
    network: IPv6Network | None = None
    address: IPv4Interface | Literal[5] = 5
    pattern: str = Field(default="a", pattern="^a")
    foreign: Foreign | None = None
    even: Annotated[int, Parsed(read_even)] = 0
    keyed: dict[int, str] = {}  # noqa: RUF012
    pair: tuple[int, str] = (0, "")
    made: list[int] = Field(default_factory=lambda: [1])


class Twice(WireModel):
    """A key that means two fields."""

    x: int = Field(default=0, alias="y")
    y: str = Field(default="", alias="theSize")
    z: str = Field(default="", alias="theSize")


MODELS = (Every, Twice, Inner, Forbidding, Ignoring, PluginConfig, Result)
NAMES = sorted({name for model in MODELS for name in model.model_fields})
KEYS = sorted({f.alias or "" for model in MODELS for f in model.model_fields.values()} - {""})

values: st.SearchStrategy[Any] = (
    st.sampled_from(
        [
            *("", "a", "abc", "l2", "é", "\ud800", "5", "10.0.0.1", "10.0.0.1/8", "fe80::1%eth0"),
            *("fd00::/64", "fd00::1/64", "::ffff:1.2.3.4", "010.0.0.1", "1.1.0", "0.2.0"),
            *(0, 1, -1, 5, 7, -6, 70000, 2**64, 10**400, True, False, None, 0.5, 1.0, -0.0, 1e300),
            *(float("nan"), float("inf"), Decimal("1e400"), (), ("a",), ["a"], [1], [True]),
            *([["a"]], [[1]], [[]], {"a": 1}, {"a": "b"}, {"name": "x"}, {"x": 1}),
            *({"name": "x", "size": 1, "more": [1]}, {"name": "x", "size": "1"}, {"theSize": 2}),
            *({"size": 2}, {"inner": {"name": "x", "words": ["a"], "pairs": [[1]]}, "more": 1}),
            *([[{"name": "x"}, {"name": "y", "size": 2}]], [{"name": "eth0", "mtu": 5}]),
            *([{"address": "10.0.0.2/8", "gateway": "10.0.0.1"}], [{"dst": "::/0"}]),
            *({"ips": [{"address": "fd00::2/64"}]}, {"cniVersion": "0.2.0", "ip4": {"ip": "x"}}),
        ]
    )
    | json_values
)
objects = st.dictionaries(
    st.sampled_from([*NAMES, *KEYS, "unknown", "\ud800", "model_extra"]), values, max_size=4
)


def told(model: object) -> object:
    """Return all there is to know about a model, down to the types of what is in it."""
    if isinstance(model, WireModel):
        within = [(name, told(value)) for name, value in model]
        extra = sorted((model.model_extra or {}).items(), key=lambda item: item[0])
        return type(model), within, told(extra), model.model_fields_set
    if isinstance(model, list | tuple):
        return type(model), [told(item) for item in model]
    if isinstance(model, Mapping):
        return type(model), [(key, told(item)) for key, item in sorted(model.items())]
    return type(model), repr(model)


@given(st.sampled_from(MODELS), objects)
@settings(max_examples=600, deadline=None)
def test_what_is_accepted_from_json_pydantic_accepts_alike(
    model: type[WireModel], data: dict[str, Any]
) -> None:
    for required in ("name", "bridge"):
        if required in model.model_fields:
            data = {required: "x", **data}

    accepted = _checks.accept(model, data)

    if accepted is not None:
        context = None if "Decimal" not in repr(data) else {"prevResult": data.get("prevResult")}
        validated = _pydantic.read_json(model, _json.dumps(data), data, context)
        assert told(accepted) == told(validated)
        assert accepted == validated


objects_in_python = (
    values
    | st.sampled_from(
        [
            IPv4Address("10.0.0.1"),
            IPv4Interface("10.0.0.1/8"),
            Inner(name="x"),
            (Inner(name="x"),),
            ((Inner(name="x"), Inner(name="y", size=5)),),
            Forbidding(),
            Foreign(),
            {1: "a"},
            object,
            *Result.model_validate({"interfaces": [{"name": "a"}], "routes": [{"dst": "::/0"}]})
            .model_dump()
            .values(),
        ]
    )
    | st.builds(lambda name: (Inner(name=name),), st.sampled_from(["x", "y"]))
)


@given(
    st.sampled_from(MODELS),
    st.dictionaries(st.sampled_from([*NAMES, *KEYS, "unknown"]), objects_in_python, max_size=3),
)
@settings(max_examples=600, deadline=None)
def test_what_a_program_may_construct_pydantic_constructs_alike(
    model: type[WireModel], given: dict[str, Any]
) -> None:
    if "name" in model.model_fields:
        given = {"name": "x", **given}

    constructed = _checks.construct(model, given)

    if constructed is not None:
        made = _checks.instance(model, constructed)
        assert told(made) == told(_pydantic.construct(model, given))
        assert made == model(**given)


@pytest.mark.parametrize(
    "usual",
    [
        {"text": "é", "theNumber": 5, "ratio": 0.25, "flag": True, "maybe": None},
        {"names": ["a", "bc"], "free": {"a": [1, None]}, "table": {"b": 2.5}, "counts": {"c": 3}},
        {"mode": "l3", "level": 1, "several": [1, 2], "inner_or": ["a"], "server": "10.0.0.1"},
        {"inner_or": {"name": "x"}, "inner": {"name": "y", "words": ["a"]}, "inners": [[]]},
        {"inners": [[{"name": "x", "pairs": [[1]]}]], "forbidding": {"theSize": 2}, "unknown": 1},
        {"ignoring": {"unknown": 1}, "network": "fd00::/64", "address": "10.0.0.1/8", "even": 4},
    ],
)
def test_usual_values_need_no_pydantic(usual: dict[str, Any]) -> None:
    accepted = _checks.accept(Every, usual)

    assert accepted is not None
    assert told(accepted) == told(_pydantic.read_json(Every, json.dumps(usual), usual, None))


@pytest.mark.parametrize(
    "given",
    [
        {"number": 5, "text": "a", "unknown": object()},
        {"theNumber": 5, "table": {"a": object()}, "names": ["a"]},
        {"inner": Inner(name="x", words=["a"]), "inners": ((Inner(name="y"),),)},  # type: ignore[arg-type]
        {"inners": [[Inner(name="y")]], "server": None, "inner_or": ("a",)},
    ],
)
def test_usual_arguments_need_no_pydantic(given: dict[str, Any]) -> None:
    made = _checks.construct(Every, given)

    assert made is not None
    assert told(_checks.instance(Every, made)) == told(_pydantic.construct(Every, given))


def test_what_is_accepted_is_no_longer_the_callers() -> None:
    data: dict[str, Any] = {"table": {"a": [1]}, "unknown": [1]}
    accepted = _checks.accept(Every, data)
    data["table"]["a"].append(2)
    data["unknown"].append(2)

    assert accepted is not None
    assert (accepted.table, accepted.model_extra) == ({"a": [1]}, {"unknown": [1]})


def test_defaults_are_not_shared() -> None:
    one, other = Every(), Every()

    assert one.counts == other.counts
    assert one.counts is not other.counts
    assert one.made is not other.made
