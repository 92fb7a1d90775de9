"""Every sweep there is, of our plugins and of the Go reference beside them: ``make sweep``.

python -m tests.conformance.sweeping DIST

DIST/later has our executables as they are built, DIST/first has them with a payload that is
unpacked anew for each call.  Each sweep is ``cnisdk sweep`` in a private host of its own, so as
many run at once as there are processors.  The exit status is 0 if none of ours found anything.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import click

REFERENCE = os.environ.get("CNI_REFERENCE", "/usr/lib/cni")
CONFIG: dict[str, Any] = json.loads(Path(__file__).with_name("sweep.json").read_text())
MASQUERADE: dict[str, dict[str, object]] = {
    "none": {"ipMasq": False},
    "iptables": {},
    "nftables": {"ipMasqBackend": "nftables"},
}
HOW = {
    "one call": [],
    "one call, another attached": ["--warm"],
    "first call": [],
    "agent": ["--agent"],
    "agent, another attached": ["--agent", "--warm"],
}
MODES = ("kill", "error")
HEADER = ("plugin", "called", "masquerade", "mode", "points", "leave", "Go: points", "leave")


class Row(NamedTuple):
    """One way to sweep a plugin."""

    plugin: str
    how: str
    masquerade: str
    mode: str

    @property
    def has_reference(self) -> bool:
        """Whether Debian's Go plugins can do that: no agent, no payload, no nftables."""
        return self.how.startswith("one call") and self.masquerade != "nftables"

    def config(self) -> dict[str, Any]:
        """Return the configuration to sweep with."""
        if self.plugin == "host-local":
            return {"name": CONFIG["name"], "type": "host-local", "ipam": CONFIG["ipam"]}
        return {**CONFIG, **MASQUERADE[self.masquerade]}


class Found(NamedTuple):
    """What one sweep found."""

    points: int
    leaving: int
    said: str
    """What it printed."""

    @property
    def cells(self) -> tuple[str, str]:
        """What stands in the table: points tried, and how many left something."""
        return (str(self.points), str(self.leaving)) if self.points else ("failed", "?")


def rows() -> list[Row]:
    """Return all of them, as they stand in the table."""
    bridge = [
        Row("bridge", how, masquerade, mode)
        for how in HOW
        for masquerade in MASQUERADE
        for mode in MODES
        if how != "first call" or masquerade == "none"
    ]
    alone = [Row("host-local", how, "-", mode) for how in ("one call", "agent") for mode in MODES]
    return bridge + alone


def sweep(row: Row, executable: str, directory: Path) -> Found:
    """Do one."""
    config, report = directory / "config.json", directory / "report.json"
    directory.mkdir()
    config.write_text(json.dumps(row.config()))
    command = [sys.executable, "-c", "from cnisdk.cli import main; main()", "sweep", executable]
    command += ["--config", str(config), "--mode", row.mode, "--json", str(report), *HOW[row.how]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not report.exists():
        return Found(0, 0, done.stdout + done.stderr)
    points = json.loads(report.read_text())["points"]
    leaving = {point["point"] for point in points if point["problems"]}
    return Found(len({point["point"] for point in points}), len(leaving), done.stdout)


def table(found: Iterable[tuple[Row, Found, Found | None]]) -> str:
    """Return what was found as a table, with a sum."""
    lines: list[tuple[str, ...]] = [HEADER]
    sums = [0, 0, 0, 0]
    for row, ours, reference in found:
        lines.append((*row, *ours.cells, *(reference.cells if reference else ("-", "-"))))
        for index, other in ((0, ours), (2, reference or Found(0, 0, ""))):
            sums[index] += other.points
            sums[index + 1] += other.leaving
    lines.append(("all", "", "", "", *map(str, sums)))
    return "\n".join(_aligned(lines))


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = 4  # from this column on
    return [
        "  ".join(
            cell.rjust(width) if index >= numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def main() -> int:
    """Sweep, and print what was found."""
    dist = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as directory:

        def one(number: int, row: Row) -> tuple[Row, Found, Found | None]:
            kind = "first" if row.how == "first call" else "later"
            where = Path(directory, str(number))
            ours = sweep(row, f"{dist}/{kind}/{row.plugin}", where)
            reference = None
            if row.has_reference and os.path.exists(go := f"{REFERENCE}/{row.plugin}"):
                reference = sweep(row, go, where / "go")
            click.echo(f"{', '.join(row)}: done", err=True)
            return row, ours, reference

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda pair: one(*pair), enumerate(rows())))
    click.echo(table(found))
    wrong = [(row, ours) for row, ours, _ in found if ours.leaving or not ours.points]
    for row, ours in wrong:
        click.echo(f"\n{', '.join(row)}:\n{ours.said}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
