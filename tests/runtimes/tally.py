"""Count the containers that each runtime has started, for the closing lines of pytest."""

from collections import Counter
from collections.abc import Iterator

import pytest

_PROPERTY = "containers of "


def count(node: pytest.Item, runtime: str, number: int) -> None:
    """Note in a test's report that ``runtime`` has started containers in it."""
    node.user_properties.append((f"{_PROPERTY}{runtime}", number))


def lines(reporter: pytest.TerminalReporter) -> Iterator[str]:
    """Yield what to say at the end; nothing if no runtime was there."""
    counts: Counter[str] = Counter()
    for listed in reporter.stats.values():
        for report in listed:
            # The report of the teardown has all that the test has noted.
            if getattr(report, "when", "") != "teardown":
                continue
            for name, number in report.user_properties:
                if str(name).startswith(_PROPERTY):
                    counts[str(name).removeprefix(_PROPERTY)] += int(str(number))
    if counts:
        started = ", ".join(f"{number} under {name}" for name, number in sorted(counts.items()))
        yield f"containers started on our plugins: {started}"
