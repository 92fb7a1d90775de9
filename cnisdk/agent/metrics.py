"""What the agent counted, in the Prometheus text format.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import os
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram, in seconds."""

COMMANDS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")


class Metrics:
    """Counters of one agent; safe to use from every thread.

    No label has a value that a caller could choose, so there are only so many.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str, str]] = Counter()
        self._refusals: Counter[str] = Counter()
        self._buckets = {command: [0] * (len(BUCKETS) + 1) for command in (*COMMANDS, "other")}
        self._seconds: Counter[str] = Counter()
        self.running = 0

    def began(self) -> None:
        """Count a call that begins."""
        with self._lock:
            self.running += 1

    def ended(self, plugin: str, command: str, outcome: str, seconds: float) -> None:
        """Count a call that ended with ``outcome`` (ok, failed, abandoned) after ``seconds``."""
        command = command if command in COMMANDS else "other"
        with self._lock:
            self.running -= 1
            self._calls[plugin, command, outcome] += 1
            self._buckets[command][bisect_left(BUCKETS, seconds)] += 1
            self._seconds[command] += seconds  # type: ignore[assignment]  # a Counter may

    def refused(self, reason: str) -> None:
        """Count a connection that got no call out of us."""
        with self._lock:
            self._refusals[reason] += 1

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return all of it as a scrape wants it; ``gauges`` is what others know."""
        with self._lock:
            lines = [*self._counters(), *self._histogram()]
        known = {"running_calls": self.running, **gauges, **_process()}
        for name, value in known.items():
            lines.append(f"# TYPE cnisdk_agent_{name} gauge")
            lines.append(f"cnisdk_agent_{name} {value}")
        return "\n".join(lines) + "\n"

    def _counters(self) -> Iterator[str]:
        yield "# HELP cnisdk_agent_calls_total Calls served, by outcome."
        yield "# TYPE cnisdk_agent_calls_total counter"
        for (plugin, command, outcome), count in sorted(self._calls.items()):
            labels = f'plugin="{plugin}",command="{command}",outcome="{outcome}"'
            yield f"cnisdk_agent_calls_total{{{labels}}} {count}"
        yield "# HELP cnisdk_agent_refused_total Connections that were refused, by reason."
        yield "# TYPE cnisdk_agent_refused_total counter"
        for reason, count in sorted(self._refusals.items()):
            yield f'cnisdk_agent_refused_total{{reason="{reason}"}} {count}'

    def _histogram(self) -> Iterator[str]:
        name = "cnisdk_agent_call_seconds"
        yield f"# HELP {name} Duration of calls."
        yield f"# TYPE {name} histogram"
        for command, buckets in self._buckets.items():
            total = 0
            for bound, count in zip((*BUCKETS, "+Inf"), buckets, strict=True):
                total += count
                yield f'{name}_bucket{{command="{command}",le="{bound}"}} {total}'
            yield f'{name}_sum{{command="{command}"}} {self._seconds[command]:.6f}'
            yield f'{name}_count{{command="{command}"}} {total}'


def _process() -> dict[str, float]:
    with open("/proc/self/statm", encoding="ascii") as statm:
        pages = int(statm.read().split()[1])
    return {
        "open_fds": len(os.listdir("/proc/self/fd")) - 1,  # the one that looks
        "threads": threading.active_count(),
        "resident_memory_bytes": pages * os.sysconf("SC_PAGESIZE"),
    }
