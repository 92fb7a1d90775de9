"""What a benchmark says of its numbers; the numbers themselves are no test's business."""

from xml.etree import ElementTree

import pytest

from benchmarks import plot, report
from benchmarks.rows import Row, Series, Spread, compare, spread


def once(value: float) -> Spread:
    return spread([value])


def test_a_ratio_is_of_the_pairs_of_a_round() -> None:
    ours, reference = Series([1.0, 2.0, 9.0], [1, 1, 1]), Series([2.0, 2.0, 3.0], [1, 1, 1])

    row = compare("g", "ADD", "warm", ours, reference)

    assert row.ratio is not None
    assert row.ratio.median == 1.0  # of 0.5, 1 and 3, and not 2 : 2 by chance
    assert (row.ratio.low, row.ratio.size) == (0.5, 3)


def test_cpu_counts_where_cpu_is_compared() -> None:
    row = compare("g", "ADD", "warm", Series([5], [1]), Series([1], [2]), by_cpu=True)

    assert row.ratio is not None
    assert row.ratio.median == 0.5


@pytest.mark.parametrize(
    ("ratio", "target", "verdict"), [(0.4, 0.5, "met"), (0.6, 0.5, "missed"), (0.6, None, "")]
)
def test_the_median_decides_whether_a_target_is_met(
    ratio: float, target: float | None, verdict: str
) -> None:
    row = Row("g", "ADD", "warm", once(3), once(5), once(ratio), target=target)

    assert row.verdict == verdict


def test_without_a_ratio_the_value_is_what_the_target_is_about() -> None:
    assert Row("g", "memory", "warm", once(61), target=60, unit="MB").verdict == "missed"


def test_what_could_not_be_measured_is_shown_and_misses_its_target() -> None:
    row = Row("g", "ADD", "standalone", target=0.5, missing="no compiler")

    assert row.verdict == "missing"
    assert "missing: no compiler" in report.table([row])


def test_a_wide_spread_is_uncertain_and_a_single_value_is_not() -> None:
    assert spread([1, 2, 3, 4]).uncertainty > 0.5
    assert once(3).uncertainty == 0


def test_the_table_has_a_line_for_each_row_under_its_group() -> None:
    rows = [
        Row("one", "ADD", "warm", once(3.2), once(10), once(0.32), target=0.35),
        Row("two", "DEL", "warm", once(20), once(22), once(0.9), target=0.5),
    ]

    lines = report.table(rows).splitlines()

    assert [line for line in lines if line and not line.startswith(" ")] == ["one", "two"]
    assert "3.20 ms" in lines[3]
    assert lines[3].endswith("met")
    assert lines[-1].endswith("missed")


def test_the_plot_draws_what_was_measured_and_is_xml() -> None:
    rows = [
        Row("IPv4", "ADD", "warm", once(3.2), once(10), once(0.32)),
        Row("IPv4", "DEL", "warm", missing="no agent"),
        Row("IPv4", "ADD", "Go", once(10)),
    ]

    drawn = ElementTree.fromstring(plot.svg(rows))  # noqa: S314 - our own

    bars = [e for e in drawn.iter() if e.get("class") == "b"]
    assert len(bars) == 1
    assert "0.32" in "".join(drawn.itertext())
