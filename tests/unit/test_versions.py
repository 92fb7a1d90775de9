import pytest

from cnisdk import versions


def test_versions_are_ordered_by_number_not_by_text() -> None:
    assert versions.parse("0.10.0") > versions.parse("0.9.9")


@pytest.mark.parametrize(
    "text", ["1.0.0.0", "a", "1..0", "-1.0.0", "+1.0.0", "1.0.0 ", "1.0.0-rc1"]
)
def test_text_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid CNI version"):
        versions.parse(text)


def test_missing_parts_are_zero_and_nothing_is_the_unstated_version() -> None:
    assert versions.parse("1") == (1, 0, 0)
    assert versions.parse("") == versions.parse(versions.UNSTATED)


@pytest.mark.parametrize(
    ("one", "many", "selected"),
    [
        ("0.4.0", [], "0.4.0"),
        ("2.0.0", [], "2.0.0"),
        ("0.4.0", ["1.0.0", "0.3.1"], "1.0.0"),
        ("0.4.0", ["9.0.0"], "0.4.0"),
        ("9.0.0", ["1.1.0"], "1.1.0"),
        ("9.0.0", ["8.0.0"], "9.0.0"),
        ("", ["1.0.0"], "1.0.0"),
    ],
)
def test_select_takes_the_newest_supported_version(
    one: str, many: list[str], selected: str
) -> None:
    assert versions.select(one, many) == selected
