"""What comes in as JSON goes out with the same values."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from cnisdk.types import _json
from tests.unit.types.strategies import json_values

decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda d: abs(d.adjusted()) < 4000
)


@given(json_values, st.sampled_from([None, 2, 4]))
@settings(max_examples=60, deadline=None)
def test_value_survives_dumps_and_loads(value: Any, indent: int | None) -> None:
    text = _json.dumps(value, indent=indent)
    assert _json.loads(text) == json.loads(text) == value
    assert _json.loads(text.encode()) == value


@given(decimals)
@settings(max_examples=60, deadline=None)
def test_number_keeps_its_exact_value(number: Decimal) -> None:
    read = _json.loads(f'{{"n": [{number}]}}')
    assert Decimal(_json.dumps(read)[6:-2]) == number


@pytest.mark.parametrize(
    "text",
    ["12345678901234567890", "1E+400", "1E-400", "0.1000000000000000000001", "1.0", "-0.0", "0"],
)
def test_number_is_written_as_it_was_read(text: str) -> None:
    assert _json.dumps(_json.loads(text)) == text


def test_fraction_that_a_float_holds_is_a_float() -> None:
    assert [type(n) for n in _json.loads("[1.5, 1e5, 1]")] == [float, float, int]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\\ud800"', "half a surrogate pair"),
        (b'{"\\udc00": 1}', "half a surrogate pair"),
        (b"NaN", "NaN is no JSON"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"{} {}", "Extra data"),
        (b"", "Expecting value"),
        (b"{'a': 1}", "property name"),
        (b"9" * 5000, "5000 digits"),
        (b"1e99999", "absurd number"),
        (b"1e" + b"9" * 6000, "digits|absurd"),
        (b"[" * 129 + b"]" * 129, "nested more than 128"),
        (b'{"a":' * 100_000, "nested more than 128"),
    ],
)
def test_what_is_no_sensible_json_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        _json.loads(data)


def test_depth_counts_levels_and_not_brackets() -> None:
    assert len(_json.loads("[" + ",".join(["[{}]"] * 500) + "]")) == 500
    assert _json.loads("[" * 128 + "]" * 128)


def test_surrogate_pair_is_one_character() -> None:
    assert _json.loads(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_last_of_two_equal_keys_counts() -> None:
    assert _json.loads('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("value", [float("nan"), [float("inf")], Decimal("Infinity")])
def test_what_is_no_number_is_not_written(value: object, indent: int | None) -> None:
    with pytest.raises((ValueError, TypeError)):
        _json.dumps(value, indent=indent)


@pytest.mark.parametrize("value", [{1, 2}, {"a": object()}, b"bytes", [Decimal(1), object()]])
@pytest.mark.parametrize("indent", [None, 4])
def test_what_json_has_no_word_for_is_a_type_error(value: object, indent: int | None) -> None:
    with pytest.raises(TypeError):
        _json.dumps(value, indent=indent)


def test_endless_value_is_a_value_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for indent in (None, 4):
        with pytest.raises(ValueError, match="nested too deep"):
            _json.dumps(endless, indent=indent)


def test_indented_text_has_the_form_of_pythons_own() -> None:
    value: dict[str, Any] = {"a": [1, {"b": "é\n"}, [], {}], "c": None, "d": {}, "e": True}
    assert _json.dumps(value, indent=4) == json.dumps(value, indent=4)
