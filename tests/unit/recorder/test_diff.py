from typing import Any

import pytest

from cnisdk.recorder.diff import differences


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({}, {"a": [1]}, ["+ a: [1]"]),
        ({"a": {"b": 1}}, {"a": {}}, ["- a.b: 1"]),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, ["~ a[1].b: 2 -> 3"]),
        ({"a": [1, 3]}, {"a": [1, 2, 3]}, ["+ a[1]: 2"]),
        ({"a": [1, 2, 3]}, {"a": [1, 3]}, ["- a[1]: 2"]),
        ({"a": 1}, {"a": 1.0}, ["~ a: 1 -> 1.0"]),
        ({"a": None}, {}, ["- a: null"]),
        ({"a": []}, {"a": {}}, ["~ a: [] -> {}"]),
        ("one", "two", ['~ all: "one" -> "two"']),
    ],
)
def test_differences_are_named_by_their_place(before: Any, after: Any, expected: list[str]) -> None:
    assert [str(difference) for difference in differences(before, after)] == expected
