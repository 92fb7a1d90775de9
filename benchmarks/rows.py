"""What was found out: rows of a table, their statistics and targets."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Several measurements of one thing."""

    median: float
    low: float
    q1: float
    q3: float
    size: int

    @property
    def uncertainty(self) -> float:
        """How far apart the middle half is, as a part of the median."""
        return (self.q3 - self.q1) / self.median if self.median else 0.0


def spread(values: Sequence[float]) -> Spread:
    """Return the median, the least and the quartiles."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], values[0], 1)
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, min(values), q1, q3, len(values))


class Series(NamedTuple):
    """Measurements of one subject: wall and CPU seconds of each call."""

    wall: list[float]
    cpu: list[float]


class Row(NamedTuple):
    """One line of the table.

    ``ours`` and ``reference`` are in ``unit``, ``ratio`` is of the pairs of one round.
    """

    group: str
    what: str
    subject: str
    ours: Spread | None = None
    reference: Spread | None = None
    ratio: Spread | None = None
    cpu: float | None = None
    """Mean CPU milliseconds of a call, the agent's part included."""
    reference_cpu: float | None = None
    target: float | None = None
    """The most that the median of ``ratio`` may be; without a ratio, of ``ours``."""
    unit: str = "ms"
    missing: str = ""
    """Why there is nothing."""

    @property
    def value(self) -> float | None:
        """What the target is about."""
        measured = self.ratio or self.ours
        return measured.median if measured else None

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, ``missing``, or ``""`` where there is no target."""
        if self.value is None:
            return "missing"
        if self.target is None:
            return ""
        return "met" if self.value <= self.target else "missed"


def compare(
    group: str,
    what: str,
    subject: str,
    ours: Series,
    reference: Series,
    *,
    target: float | None = None,
    by_cpu: bool = False,
) -> Row:
    """Return the row of two series that were measured in turns; ``by_cpu`` compares CPU time."""
    mine, theirs = (ours.cpu, reference.cpu) if by_cpu else (ours.wall, reference.wall)
    return Row(
        group,
        what,
        subject,
        spread([1000 * value for value in mine]),
        spread([1000 * value for value in theirs]),
        spread([a / b for a, b in zip(mine, theirs, strict=True)]),
        1000 * statistics.fmean(ours.cpu),
        1000 * statistics.fmean(reference.cpu),
        target,
    )
