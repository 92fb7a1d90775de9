"""Which calls belong together: a runtime's run through the plugins of a network.

A run has one verb, network, container and interface.  It ends where another verb comes, or the same
call once more, or an ADD that was given nothing of a plugin before it.  A delegate belongs to the
plugin that called it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnisdk.recorder.call import Call
from cnisdk.recorder.diff import Difference, differences


@dataclass(slots=True)
class Step:
    """A plugin of the network, and those that it called."""

    call: Call | None
    """None if only its delegates are recorded."""
    delegates: list[Call] = field(default_factory=list)

    def changes(self) -> list[Difference]:
        """Return what the plugin made of the result that it was given.

        Only ADD answers with a result, and only one that succeeded.
        """
        if self.call is None or self.call.command != "ADD" or self.call.failed:
            return []
        return differences(self.call.prev_result, self.call.answer)


@dataclass(slots=True)
class Run:
    """What a runtime did once, for one container and interface, with the plugins of a network."""

    steps: list[Step] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        """All of its calls, in the order in which they began."""
        found = [
            call for step in self.steps for call in (step.call, *step.delegates) if call is not None
        ]
        return sorted(found, key=lambda call: call.time or 0)


def runs(calls: Sequence[Call]) -> list[Run]:
    """Return the runs that ``calls`` belong to, which are in the order of their time."""
    found: list[Run] = []
    latest: dict[tuple[str, ...], Run] = {}
    for call in calls:
        if call.command == "VERSION":
            continue
        key = _attachment(call)
        run = latest.get(key)
        if run is None or _begins(run, call):
            run = latest[key] = Run()
            found.append(run)
        _join(run, call)
    return found


def run_of(call: Call, calls: Sequence[Call]) -> Run:
    """Return the run that has ``call``, which is one of ``calls``; by itself if none has it."""
    for run in runs(calls):
        if any(one.id == call.id for one in run.calls):
            return run
    return Run([Step(call)])


def history(call: Call, calls: Sequence[Call]) -> list[Call]:
    """Return the calls that made what ``call`` found: since the attachment last began.

    Delegates are left out where those that call them are there and will call them again.
    """
    before: list[Call] = []
    for run in runs(calls):
        here = run.calls
        if not here or _attachment(here[0]) != _attachment(call):
            continue
        if here[0].command == "ADD":
            before = []
        for step in run.steps:
            if step.call is not None and step.call.id == call.id:
                return before
            if any(one.id == call.id for one in step.delegates):
                return before
            before += step.delegates if step.call is None else [step.call]
    return []


def _attachment(call: Call) -> tuple[str, ...]:
    return (call.network, call.container, call.ifname)


def _begins(run: Run, call: Call) -> bool:
    before = run.calls
    if before[0].command != call.command:
        return True
    if call.is_delegate:
        return False
    if call.command == "ADD" and not call.prev_result:
        # An IPAM plugin's recorder may have been there first, if the other began to record later.
        return any(step.call is not None for step in run.steps)
    return any(one.plugin == call.plugin and _asked(one) == _asked(call) for one in before)


def _asked(call: Call) -> dict[str, Any]:
    return {key: value for key, value in call.config.items() if key != "prevResult"}


def _join(run: Run, call: Call) -> None:
    if not call.is_delegate:
        run.steps.append(Step(call))
        return
    for step in reversed(run.steps):
        if step.call is not None and _called(step.call, call):
            step.delegates.append(call)
            return
    last = run.steps[-1] if run.steps else None
    if last is None or last.call is not None:
        run.steps.append(last := Step(None))
    last.delegates.append(call)


def _called(upper: Call, delegate: Call) -> bool:
    """Say whether ``upper`` called ``delegate``: as its child, or else with its configuration."""
    child: Any = upper.fields.get("child")
    if child and child == delegate.fields.get("ppid"):
        return True
    return bool(upper.config.get("type") == delegate.config.get("type"))


def with_delegates(run: Run) -> Iterator[tuple[int, Call]]:
    """Yield the calls as a tree: how deep, and which."""
    for step in run.steps:
        if step.call is not None:
            yield 0, step.call
        for delegate in step.delegates:
            yield 1, delegate
