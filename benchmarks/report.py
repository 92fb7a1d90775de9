"""The rows as a table for people and as JSON for machines."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, Spread

_HEAD = ("", "", "ours", "Go", "ratio", "(middle half)", "CPU", "Go", "at most", "")


def table(rows: Sequence[Row]) -> str:
    """Return the table."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = []
    group = ""
    for number, line in enumerate(cells):
        if number and rows[number - 1].group != group:
            group = rows[number - 1].group
            lines.append(f"\n{group}")
        texts = [
            cell.ljust(width) if column in (0, 1, 9) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(texts)).rstrip())
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    if row.ours is None:
        limit = "" if row.target is None else f"{row.target:g}"
        return (row.what, row.subject, "", "", "", "", "", "", limit, f"missing: {row.missing}")
    ratio, half, limit = "", "", ""
    if row.ratio is not None:
        ratio = f"{row.ratio.median:.2f}"
        if row.ratio.size > 1:
            half = f"{row.ratio.q1:.2f} to {row.ratio.q3:.2f}"
    if row.target is not None:
        limit = f"{row.target:g}" + ("" if row.ratio else f" {row.unit}")
    return (
        row.what,
        row.subject,
        _number(row.ours.median, row.unit),
        _number(row.reference.median, row.unit) if row.reference else "",
        ratio,
        half,
        _number(row.cpu, "ms") if row.cpu is not None else "",
        _number(row.reference_cpu, "ms") if row.reference_cpu is not None else "",
        limit,
        row.verdict,
    )


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def document(rows: Sequence[Row], about: dict[str, Any]) -> dict[str, Any]:
    """Return everything, for `write`."""
    return {"about": about, "rows": [_object(row) for row in rows]}


def write(path: Path, value: dict[str, Any]) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def _object(row: Row) -> dict[str, Any]:
    fields = {
        name: value._asdict() if isinstance(value, Spread) else value
        for name, value in row._asdict().items()
    }
    return {**fields, "verdict": row.verdict}
