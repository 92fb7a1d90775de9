"""What is plainly valid, without pydantic.

Each check takes values of exactly the type that is declared, and raises `Doubt` for any other:
then pydantic decides, and nothing of what was found here counts.  So a check need not know why
a value is wrong, or how it could be converted; it only must never take what pydantic refuses,
or make something else of it.

There are two kinds, as in pydantic: values from JSON (`accept`), which are copied, and a
program's own (`construct`).
"""

import operator
from collections.abc import Callable, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from cnisdk.types._fields import KNOWN, LIMITS, Declared, Field, is_light

T = TypeVar("T")
Check = Callable[[Any], Any]
Sorted = tuple[str, Check]
"""A check, and the sort of values it takes: one of `_SORTS`, object, any or several."""

_MOST = 1 << 1024
"""Larger integers are not for a quick look."""

_ADDRESSES = frozenset(
    (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
)
_IMMUTABLE = _ADDRESSES | {NoneType, bool, int, float, str, bytes}


class Doubt(Exception):  # noqa: N818 - nothing is known to be wrong
    """A value is nothing for a quick look."""


def accept(cls: type[T], value: object) -> T | None:
    """Return JSON's ``value`` as a ``cls``, None if in doubt."""
    if not is_light(cls):
        return None
    try:
        return instance(cls, _made(_plan(cls, json=True), value))
    except Exception:  # noqa: BLE001 - whatever it is, pydantic meets it again and says so
        return None


def construct(cls: type, values: object) -> dict[str, Any] | None:
    """Return the ``__dict__`` of a ``cls`` with ``values`` by name or key; None if in doubt."""
    try:
        return _made(_plan(cls, json=False), values)
    except Exception:  # noqa: BLE001 - as above
        return None


def instance(cls: type[T], made: dict[str, Any]) -> T:
    """Return the instance of ``cls`` whose ``__dict__`` is ``made``."""
    self = object.__new__(cls)
    object.__setattr__(self, "__dict__", made)
    return self


class Info:
    """What the function of `Parsed` may ask for, of what pydantic would tell it."""

    context = None

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data


class Plan:
    """How the values of a class are checked, worked out once for each kind."""

    def __init__(self, cls: Any, *, json: bool) -> None:
        self.extra: str = cls.model_config["extra"]
        self.unknown: Check = _copy if json else _as_it_is
        self.checks: dict[str, tuple[str, Check]] = {}
        """By key: the field's name and its check."""
        self.defaults: dict[str, Any] = {}
        """Of all fields, in their order; None where there is a factory or none."""
        self.factories: list[tuple[str, Callable[[], Any]]] = []
        self.required: set[str] = set()
        self.last: list[tuple[str, Callable[..., Any]]] = []
        """Fields whose function asks for the values of the others."""
        strict = bool(cls.model_config.get("strict"))
        for name, field in cls.__wire__.items():
            check = self._check(name, field, _Kind(json=json, strict=strict))
            for key in field.keys if json else {*field.keys, name}:
                if key in self.checks:
                    raise Doubt  # for any value: the key may mean two fields
                self.checks[key] = name, check
            self.defaults[name] = field.settings.get("default")
            if (factory := _factory(field)) is not None:
                self.factories.append((name, factory))
            elif field.is_required:
                self.required.add(name)

    def _check(self, name: str, field: Declared, kind: "_Kind") -> Check:
        if (parsed := field.parsed) is None:
            found = None if field.metadata else _limited(field.annotation, field.settings, kind)
            return _in_doubt if found is None else found[1]
        if parsed.with_info:
            self.last.append((name, parsed.parse))
            return _own if kind.json else _as_it_is
        return _reader(parsed.parse) if kind.json else parsed.parse


def _plan(cls: Any, *, json: bool) -> Plan:
    name = "__json_plan__" if json else "__plan__"
    plan: Plan | None = cls.__dict__.get(name)
    if plan is None:
        plan = Plan(cls, json=json)
        setattr(cls, name, plan)
    return plan


def _made(plan: Plan, given: Any) -> dict[str, Any]:
    if type(given) is not dict:
        raise Doubt
    made: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    check_of = plan.checks.get
    for key, value in given.items():
        found = check_of(key)
        if found is None:
            if plan.extra == "forbid":
                raise Doubt
            extra[_text(key)] = plan.unknown(value)
            continue
        name, check = found
        if name in made:
            raise Doubt  # by its name and by its key
        made[name] = check(value)
    if not plan.required <= made.keys():
        raise Doubt
    values = plan.defaults | made
    for name, factory in plan.factories:
        if name not in made:
            values[name] = factory()
    for name, function in plan.last:
        if name in made:
            values[name] = function(made[name], Info(values))
    keeps = plan.extra == "allow"
    values["model_extra"] = extra if keeps else None
    values["model_fields_set"] = {*made, *extra} if keeps else set(made)
    return values


def _factory(field: Declared) -> Callable[[], Any] | None:
    """Return what makes the default of a field anew for each instance, None if nothing need."""
    factory = field.settings.get("default_factory")
    if factory is not None:
        needs_nothing = isinstance(factory, type) or (
            type(factory) is FunctionType and factory.__code__.co_argcount == 0
        )
        return factory if needs_nothing else _in_doubt
    default = field.settings.get("default")
    if type(default) in _IMMUTABLE or default == ():
        return None

    def copied() -> Any:
        from copy import deepcopy

        return deepcopy(default)

    return copied


# -- values of any type --------------------------------------------------------------------------


def _as_it_is(value: Any) -> Any:
    return value


def _in_doubt(value: object = None) -> Any:
    raise Doubt


def _copy(value: Any) -> Any:
    """Return a copy of a JSON value."""
    kind = type(value)
    if kind is dict:
        return {_text(key): _copy(item) for key, item in value.items()}
    if kind is list:
        return [_copy(item) for item in value]
    if kind.__name__ == "Decimal" and kind.__module__ in ("decimal", "_decimal"):
        return value
    return _SCALARS[kind][1](value)


def _own(value: Any) -> Any:
    """Return what an author's function may change: others read the same JSON."""
    return _copy(value) if type(value) in (dict, list) else value


def _reader(parse: Check) -> Check:
    return lambda value: parse(_own(value))


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Doubt
    if not value.isascii():
        value.encode()  # half a surrogate pair
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or not -_MOST < value < _MOST:
        raise Doubt
    return value


def _number(value: Any) -> float:
    if type(value) is not float or value - value != 0:  # NaN, Infinity
        raise Doubt
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Doubt
    return value


def _none(value: Any) -> None:
    if value is not None:
        raise Doubt


_SCALARS: dict[Any, Sorted] = {
    str: ("text", _text),
    int: ("number", _integer),
    float: ("number", _number),
    bool: ("boolean", _boolean),
    None: ("null", _none),
    NoneType: ("null", _none),
}
_SORTS = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    list: "array",
    tuple: "array",
    **{address: address.__name__ for address in _ADDRESSES},
}


# -- values of a declared type -------------------------------------------------------------------


class _Kind:
    """Of a check: whether it is for JSON, and whether else a list may be given for a tuple."""

    def __init__(self, *, json: bool, strict: bool, lax: bool | None = None) -> None:
        self.json = json
        self.strict = strict
        self.lax = not strict if lax is None else lax

    @property
    def below(self) -> "_Kind":
        """What is within has the class's own strictness again."""
        return _Kind(json=self.json, strict=self.strict)


def _limited(annotation: Any, settings: Mapping[str, Any], kind: _Kind) -> Sorted | None:
    """Return the check of a type within the limits of a `Field`, None if it is not known here."""
    if not (KNOWN | LIMITS).issuperset(settings):
        return None
    if "strict" in settings:
        kind = _Kind(json=kind.json, strict=kind.strict, lax=not settings["strict"])
    found = _check(annotation, kind)
    limits = [(limit, settings[limit]) for limit in settings if limit in LIMITS]
    if found is None or not limits:
        return found
    sort, check = found

    def within_limits(value: Any) -> Any:
        value = check(value)
        if value is not None:
            for limit, bound in limits:
                if not _is_within(limit, bound, value):
                    raise Doubt
        return value

    return sort, within_limits


def _is_within(limit: str, bound: Any, value: Any) -> bool:
    if limit == "min_length":
        return bool(len(value) >= bound)
    if limit == "max_length":
        return bool(len(value) <= bound)
    if type(value) not in (int, float):
        return False
    return bool(getattr(operator, limit)(value, bound))


def _check(annotation: Any, kind: _Kind) -> Sorted | None:
    """Return the check of a type, None if it is not known here."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if annotation is Any:
        return "any", _copy if kind.json else _as_it_is
    if is_light(annotation):
        return "object", _model(annotation, kind)
    if annotation in _ADDRESSES:
        sort = "text" if kind.json else _SORTS[annotation]
        return sort, _address(annotation, kind)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(annotation, kind)
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, UnionType):
        return _union(arguments, kind)
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        return _array(origin, arguments[0], kind)
    if origin is dict and arguments[0] is str:
        return _mapping(arguments[1], kind)
    return None


def _annotated(annotation: Any, kind: _Kind) -> Sorted | None:
    settings: dict[str, Any] = {}
    for item in annotation.__metadata__:
        if not isinstance(item, Field):
            return None
        settings |= item.settings
    return _limited(annotation.__origin__, settings, kind)


def _model(cls: type, kind: _Kind) -> Check:
    plan: Plan | None = None

    def accepted(value: object) -> object:
        nonlocal plan
        if plan is None:  # a class may be within itself
            plan = _plan(cls, json=True)
        return instance(cls, _made(plan, value))

    def an_instance(value: object) -> object:
        if not isinstance(value, cls):
            raise Doubt
        return value

    return accepted if kind.json else an_instance


def _address(cls: Any, kind: _Kind) -> Check:
    def read(value: object) -> object:
        return cls(_text(value))

    def address(value: object) -> object:
        if type(value) is not cls:
            raise Doubt
        return value

    return read if kind.json else address


def _literal(members: tuple[object, ...]) -> Sorted | None:
    sorts = {_SORTS.get(type(member)) for member in members}
    sort = sorts.pop()
    if sorts or sort is None:
        return None
    known = frozenset((type(member), member) for member in members)

    def literal(value: object) -> object:
        if (type(value), value) not in known:
            raise Doubt
        return value

    return sort, literal


def _union(members: tuple[object, ...], kind: _Kind) -> Sorted | None:
    """Of types that take different sorts of values, at most one takes a value."""
    by_sort: dict[str, Check] = {}
    for member in members:
        found = _check(member, kind.below)
        if found is None or found[0] in by_sort or found[0] in ("any", "several"):
            return None
        by_sort[found[0]] = found[1]
    otherwise = by_sort.get("object", _in_doubt)

    def one_of(value: object) -> object:
        return by_sort.get(_SORTS.get(type(value), ""), otherwise)(value)

    return "several", one_of


def _array(origin: Any, item: Any, kind: _Kind) -> Sorted | None:
    found = _check(item, kind.below)
    if found is None:
        return None
    check = found[1]
    taken = (list,) if kind.json or origin is list else (tuple, list) if kind.lax else (tuple,)

    def array(value: Any) -> object:
        if type(value) not in taken:
            raise Doubt
        return origin([check(each) for each in value])

    return "array", array


def _mapping(item: Any, kind: _Kind) -> Sorted | None:
    found = _check(item, kind.below)
    if found is None:
        return None
    check = found[1]

    def mapping(value: Any) -> object:
        if type(value) is not dict:
            raise Doubt
        return {_text(key): check(each) for key, each in value.items()}

    return "object", mapping
