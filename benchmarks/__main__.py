"""``make bench``: measure, say what was found, fail if a target is missed."""

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from benchmarks import private

_PARTS = (
    "version",
    "plain",
    "without_agent",
    "masquerading",
    "dual_stack",
    "together",
    "node_start",
    "reservations",
    "memory",
)


def main() -> int:
    """Measure on a private machine; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="a look, in less than a minute")
    parser.add_argument("--only", action="append", choices=_PARTS, help="measure this part alone")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--plot", type=Path, help="draw an SVG")
    options = parser.parse_args()
    if not private.inside():
        private.enter(["-m", "benchmarks", *sys.argv[1:]])
    private.prepare()

    from benchmarks import calls, crowds, plot, report, small, stores
    from benchmarks.bench import Bench

    signal.signal(signal.SIGALRM, _hangs)
    modules = (calls, crowds, small, stores)
    parts = {name: getattr(m, name) for m in modules for name in _PARTS if hasattr(m, name)}
    began = time.monotonic()
    took: dict[str, float] = {}
    with Bench(Path("/run/bench"), quick=options.quick) as bench:
        for name in options.only or _PARTS:
            _progress(name)
            part_began = time.monotonic()
            parts[name](bench)
            took[name] = round(time.monotonic() - part_began, 1)
    seconds = time.monotonic() - began
    _progress("")
    about = {
        **report.machine(),
        "quick": options.quick,
        "seconds": round(seconds, 1),
        "parts": took,
    }
    document = report.document(bench.rows, about)
    report.write(options.json, document)
    if options.plot:
        options.plot.write_text(plot.svg(bench.rows))
    print(report.table(bench.rows))
    wanted = [row for row in bench.rows if row.target is not None]
    failed = [row for row in wanted if row.verdict != "met"]
    print(
        f"\n{len(wanted) - len(failed)} of {len(wanted)} targets met; {about['cpus']} CPUs, "
        f"{about['cpu']}, Linux {about['kernel']}, {seconds:.0f} s; all numbers: {options.json}"
    )
    return 1 if failed else 0


def _progress(name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{name.replace('_', ' ')}")
        sys.stderr.flush()


def _hangs(signum: int, frame: object) -> NoReturn:
    raise TimeoutError("a program that was to be measured does not end")


if __name__ == "__main__":
    sys.exit(main())
