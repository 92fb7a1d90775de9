"""Calls as a person reads them.

What runtimes and plugins wrote is shown without anything that a terminal would obey.
"""

import time
from collections.abc import Iterator, Sequence

from cnisdk.console.table import table
from cnisdk.recorder.call import Call
from cnisdk.recorder.chain import Run, with_delegates
from cnisdk.types import _json

_SHORT = 13  # of a container ID, as runtimes show it
_OUTCOME = 60


def plain(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with what is not printable escaped; with ``lines`` it may have several."""
    kept = "\n\t" if lines else ""
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def listing(calls: Sequence[Call]) -> str:
    """Return a line for each call."""
    head = ("CALL", "TIME", "RUNTIME", "PLUGIN", "VERB", "CONTAINER", "IF", "NETWORK", "MS")
    rows = [
        [
            call.id,
            _when(call.time),
            call.runtime,
            call.plugin,
            call.command,
            _short(call.container, _SHORT),
            call.ifname,
            call.network,
            _milliseconds(call),
            _short(call.outcome, _OUTCOME),
        ]
        for call in calls
    ]
    return table((*head, "OUTCOME"), [[plain(text) or "-" for text in row] for row in rows])


def page(call: Call) -> str:
    """Return all that is known of a call."""
    return "\n".join(_page(call))


def _page(call: Call) -> Iterator[str]:
    yield f"call {call.id}: {title(call)}"
    for name, value in (
        ("at", _when(call.time, date=True)),
        ("runtime", call.runtime),
        ("executable", str(call.fields.get("executable") or "")),
        ("plugin", _file(call)),
    ):
        if value:
            yield f"  {name}: {plain(value)}"
    if call.fields.get("undelivered"):
        yield "  the runtime did not take all of the answer"
    yield "environment:"
    for name, value in sorted(call.env.items()):
        yield f"  {plain(name)}={plain(value)}"
    left_out = call.fields.get("left_out")
    if isinstance(left_out, list) and left_out:
        yield f"  and, without their values: {plain(', '.join(map(str, left_out)))}"
    if call.netns and call.fields.get("netns", 0) is None:
        yield "  there was nothing at CNI_NETNS"
    for stream, data in (("stdin", call.stdin), ("stdout", call.stdout), ("stderr", call.stderr)):
        if not data:
            yield f"{stream}: nothing"
            continue
        size = call.cut.get(stream)
        yield f"{stream}: {len(data)} of {size} bytes" if size else f"{stream}:"
        for line in _pretty(data).splitlines():
            yield f"  {line}"


def chain(run: Run) -> str:
    """Return a run, plugin by plugin, and what each made of the result."""
    lines = []
    for step in run.steps:
        if step.call is not None:
            lines.append(f"{title(step.call)}  (call {plain(step.call.id)})")
        lines += [f"    {plain(str(change))}" for change in step.changes()]
        lines += [f"  {title(one)}  (call {plain(one.id)})" for one in step.delegates]
    return "\n".join(lines)


def chain_object(run: Run) -> list[dict[str, object]]:
    """Return what `chain` shows, as JSON."""
    changes = {id(step.call): step.changes() for step in run.steps if step.call is not None}
    return [
        {
            **summary(call),
            "delegate": bool(depth),
            "changes": [change._asdict() for change in changes.get(id(call), ())],
        }
        for depth, call in with_delegates(run)
    ]


def summary(call: Call) -> dict[str, object]:
    """Return what `listing` shows, as JSON."""
    return {
        "call": call.id,
        "time": call.time,
        "seconds": call.seconds,
        "runtime": call.runtime,
        "plugin": call.plugin,
        "command": call.command,
        "containerID": call.container,
        "ifname": call.ifname,
        "network": call.network,
        "exit_status": call.status,
        "outcome": call.outcome,
    }


def title(call: Call) -> str:
    """Return a call in a few words."""
    took = _milliseconds(call)
    text = f"{call.plugin} {call.command}: {call.outcome}{f', {took} ms' if took else ''}"
    return plain(text)


def _pretty(data: bytes) -> str:
    try:
        return _json.dumps(_json.loads(data), indent=2)
    except ValueError:
        return plain(data.decode("utf-8", "backslashreplace"), lines=True)


def _file(call: Call) -> str:
    found = call.fields.get("file")
    if not isinstance(found, dict):
        return ""
    modified = found.get("mtime_ns")
    when = _when(modified / 1e9, date=True) if isinstance(modified, int) else "?"
    return f"{found.get('path')}, {found.get('size')} bytes of {when}"


def _when(seconds: float | None, *, date: bool = False) -> str:
    if seconds is None:
        return ""
    form = "%Y-%m-%d %H:%M:%S" if date else "%m-%d %H:%M:%S"
    return f"{time.strftime(form, time.localtime(seconds))}.{int(seconds % 1 * 1000):03}"


def _milliseconds(call: Call) -> str:
    return "" if call.seconds is None else f"{call.seconds * 1000:.1f}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
