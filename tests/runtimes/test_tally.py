"""Containers are counted, wherever their tests ran."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.runtimes import tally


def reporter(*reports: pytest.TestReport) -> pytest.TerminalReporter:
    """A reporter that was told of these reports; pytest keeps them by their outcomes."""
    return cast("pytest.TerminalReporter", SimpleNamespace(stats={"": list(reports)}))


def report(when: str, *properties: tuple[str, object]) -> pytest.TestReport:
    found: Any = pytest.TestReport("a", ("a", 0, "a"), {}, "passed", None, "teardown")
    found.when = when
    found.user_properties = list(properties)
    return cast("pytest.TestReport", found)


def test_each_container_counts_once(request: pytest.FixtureRequest) -> None:
    tally.count(request.node, "podman", 2)
    noted = request.node.user_properties.pop()

    reports = [report("call", noted), report("teardown", noted), report("teardown", noted)]
    reports.append(report("teardown", ("containers of CRI", 1), ("other", "x")))

    (line,) = tally.lines(reporter(*reports))
    assert line == "containers started on our plugins: 1 under CRI, 4 under podman"


def test_where_no_runtime_was_there_is_nothing_to_say() -> None:
    assert list(tally.lines(reporter(report("teardown", ("other", 1))))) == []
