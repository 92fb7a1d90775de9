"""A light model behaves as a pydantic model does, and becomes one where it has to."""

import copy
import pickle
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field as PydanticField,
    TypeAdapter,
    ValidationError,
    computed_field,
    field_validator,
    model_validator,
)

from cnisdk import Field, IPAMConfig, PluginConfig, Result, Route
from cnisdk.types._light import LightMeta
from cnisdk.types._wire import WireModel
from cnisdk.types.config import parse_config
from tests.house.tree import python


class Light(PluginConfig):
    """Declares nothing that is not known."""

    LIMIT: ClassVar[int] = 5

    mtu: Annotated[int, Field(ge=0)] = 0
    is_gateway: bool = Field(default=False, alias="isGateway")

    @property
    def has_mtu(self) -> bool:
        return self.mtu > 0

    @classmethod
    def of(cls, mtu: int) -> Self:
        return cls(name="net", mtu=mtu)

    def described(self) -> str:
        return f"mtu {self.mtu}"

    def __str__(self) -> str:
        return self.described()


class Heavy(Light):
    """Uses pydantic."""

    port: int = PydanticField(default=0, le=65535)

    @field_validator("port")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("is odd")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        assert isinstance(self, Heavy)
        assert self.has_mtu == bool(self.mtu)
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.port * 2

    def described(self) -> str:
        return f"{super().described()}, port {self.port}"


class HeavyIPAM(IPAMConfig):
    model_config = ConfigDict(extra="forbid")

    subnet: str = ""


class Both(Heavy):
    ipam: HeavyIPAM | None = None


def parse(cls: Any, **keys: Any) -> Any:
    return parse_config(cls, {"name": "net", **keys})


# -- as a pydantic model -------------------------------------------------------------------------


def test_light_and_heavy_are_what_they_are_derived_from() -> None:
    assert type(Light).__name__ == "LightMeta"
    assert issubclass(Heavy, BaseModel)
    assert BaseModel not in Light.__mro__
    for made in (parse(Light), parse(Heavy), parse(Both), Light(name="n"), Both(name="n")):
        assert isinstance(made, Light)
        assert isinstance(made, PluginConfig)
    assert isinstance(parse(Both, ipam={"type": "t"}).ipam, IPAMConfig)


def test_methods_of_light_bases_work_in_heavy_classes() -> None:
    made = parse(Both, mtu=9, port=4)

    assert made.described() == str(made) == "mtu 9, port 4"
    assert made.has_mtu
    assert Heavy.of(7).mtu == Light.of(7).mtu == Heavy.LIMIT + 2


def test_validators_of_heavy_classes_are_asked() -> None:
    assert parse(Both, port=4).double == 8
    with pytest.raises(ValidationError, match="is odd"):
        Both(name="n", port=3)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Both(name="n", mtu=-1)


def test_what_pydantic_validates_is_light_afterwards() -> None:
    given = {"dst": "10.0.0.0/8", "mtu": 5}
    light = Route.model_validate(given)
    for validated in (
        TypeAdapter(Route).validate_python(given),
        TypeAdapter(Route).validate_json('{"dst": "10.0.0.0/8", "mtu": 5}'),
        TypeAdapter(list[Route]).validate_python([light])[0],
        Route.model_validate_json('{"dst": "10.0.0.0/8", "mtu": 5}'),
        Route.model_construct(dst=light.dst, mtu=5),
        Result.model_validate({"routes": [given]}).routes[0],
    ):
        assert type(validated) is Route
        assert validated == light
    assert TypeAdapter(Route).validate_python(light) is light


def test_pydantics_own_models_may_contain_light_ones() -> None:
    class Outer(BaseModel):
        route: Route
        config: Light | None = None
        anything: Any = None

    outer = Outer.model_validate({"route": {"dst": "::/0", "x": 1}, "anything": Light(name="a")})

    assert type(outer.route) is Route
    dumped = outer.model_dump(mode="json", by_alias=True)
    assert (dumped["route"]["dst"], dumped["route"]["x"]) == ("::/0", 1)
    assert dumped["anything"]["isGateway"] is False
    assert "isGateway" in str(Outer.model_json_schema())


def test_wrong_arguments_are_pydantics_errors() -> None:
    with pytest.raises(ValidationError, match="Field required"):
        Light()  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="1 validation error for Light"):
        Light(name="n", mtu=-1)
    assert Light(name="n", mtu="5").mtu == 5


def test_light_models_compare_copy_and_print() -> None:
    one = Light(name="n", mtu=5, unknown=[1])

    assert one == Light.model_validate({"name": "n", "mtu": 5, "unknown": [1]})
    assert one != Light(name="n", mtu=5)
    assert one != Light(name="n", mtu=6, unknown=[1])
    assert one.model_fields_set == {"name", "mtu", "unknown"}
    for same in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):  # noqa: S301
        assert (type(same), same) == (Light, one)
    changed = one.model_copy(update={"mtu": "as it is", "more": 2}, deep=True)
    assert str(changed) == "mtu as it is"
    assert changed.model_extra == {"unknown": [1], "more": 2}
    assert one.model_extra == {"unknown": [1]}
    assert repr(Route.model_validate({"dst": "::/0"})).startswith("Route(dst=IPv6Network('::/0'), ")
    assert dict(one)["unknown"] == one.unknown == [1]  # type: ignore[attr-defined]
    assert len({Route.model_validate({"dst": "::/0"}) for _ in range(2)}) == 1


def test_light_models_answer_as_pydantics_do() -> None:
    assert list(Light.model_fields)[-2:] == ["mtu", "is_gateway"]
    assert Light.model_json_schema(mode="serialization")["properties"]["mtu"]["minimum"] == 0
    assert '"isGateway":true' in Light(name="n", is_gateway=True).model_dump_json()
    with pytest.raises(ValidationError, match="frozen"):
        del Light(name="n").mtu
    with pytest.raises(AttributeError, match="_private"):
        Light(name="n")._private = 1  # type: ignore[attr-defined]
    for missing in ("unknown", "_private", "model_unknown"):
        with pytest.raises(AttributeError, match=missing):
            getattr(Light(name="n"), missing)
        with pytest.raises(AttributeError, match=missing):
            getattr(Light, missing)


# -- which of the two ----------------------------------------------------------------------------


def light_classes() -> list[Any]:
    class Named(WireModel, strict=True, extra="ignore"):
        text: "str" = ""
        texts: dict[str, Literal["a"]] = Field(default_factory=dict)
        """What a type is may be written as text."""

    class Doubtful(WireModel):
        word: str = Field(default="", pattern="^a*$")
        size: Decimal | None = None

    class Derived(Named, Light):
        pass

    return [Named, Doubtful, Derived]


@pytest.mark.parametrize("cls", light_classes())
def test_class_is_light_where_only_values_may_need_pydantic(cls: type) -> None:
    assert type(cls) is LightMeta


def test_value_that_pydantic_has_to_see_is_seen_by_it() -> None:
    doubtful = light_classes()[1]

    assert doubtful(size="0.1").size == Decimal("0.1")
    with pytest.raises(ValidationError, match="pattern"):
        doubtful(word="b")


def heavy_classes() -> list[Any]:
    class Mixin:
        pass

    class Mixed(WireModel, Mixin):
        pass

    class Private(WireModel):
        _cache: int = 0

    class Initialized(WireModel):
        def model_post_init(self, context: Any) -> None:
            pass

    class Configured(WireModel, frozen=False):
        x: int = 0

    class Later(WireModel):
        later: "LaterStill | None" = None

    class Within(WireModel):
        within: list[dict[str, "LaterStill"]] = Field(default_factory=list)

    class Changing(WireModel):
        size: Annotated[int, AfterValidator(abs)] = 0

    class Aliased(WireModel):
        x: int = Field(default=0, validation_alias="y")

    class Comparing(WireModel):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    return [
        Mixed,
        Private,
        Initialized,
        Configured,
        Later,
        Within,
        Changing,
        Aliased,
        Comparing,
        Heavy,
        Both,
    ]


@pytest.mark.parametrize("cls", heavy_classes())
def test_class_with_anything_that_is_not_known_is_pydantics(cls: Any) -> None:
    assert issubclass(cls, BaseModel)
    assert isinstance(cls.model_construct(), WireModel)


class LaterStill(WireModel):
    x: int = 0


def test_types_that_are_made_later_are_found() -> None:
    later, within = heavy_classes()[4:6]

    assert later.model_validate({"later": {"x": 5}}).later == LaterStill(x=5)
    assert within.model_validate({"within": [{"a": {"x": 5}}]}).within == [{"a": LaterStill(x=5)}]


def test_heavy_class_may_have_other_light_bases_later() -> None:
    class Mixture(Heavy, LaterStill):
        pass

    assert parse(Mixture, x=5, port=4).x == 5
    with pytest.raises(ValidationError):
        Mixture(name="n", x="a")


# -- what it is for ------------------------------------------------------------------------------


def test_pydantic_is_imported_for_an_explanation_only() -> None:
    code = """
import sys
from cnisdk import Field, InvalidNetworkConfigError, PluginConfig, Result
from cnisdk.types.config import parse_config
from cnisdk.types.convert import from_wire, to_wire

class Config(PluginConfig):
    mtu: int = Field(default=0, ge=0)

raw = {"name": "n", "mtu": 5, "ipam": {"type": "t"}, "runtimeConfig": {"PortMappings": [
    {"HostPort": 1, "ContainerPort": 2}]}, "prevResult": {"cniVersion": "0.2.0",
    "ip4": {"ip": "10.0.0.2/8"}}}
config = parse_config(Config, raw)
result = Result(ips=config.prev_result.ips).replace(dns=config.dns)
result = result.model_copy(update={"dns": config.dns})
from_wire(to_wire(result, "0.4.0"))
before = "pydantic" in sys.modules
try:
    parse_config(Config, {**raw, "mtu": -1})
except InvalidNetworkConfigError:
    print(before, "pydantic" in sys.modules)
"""
    assert python(code).split() == ["False", "True"]
