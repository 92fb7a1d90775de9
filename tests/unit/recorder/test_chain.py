import json
from typing import Any

import pytest

from cnisdk.recorder.call import Call, find
from cnisdk.recorder.chain import history, run_of, runs
from tests.host import ROOT

CORPUS = ROOT / "tests" / "data" / "recorded-calls"


def corpus(name: str) -> list[Call]:
    return [find(str(path), "") for path in sorted((CORPUS / name).glob("*.json"))]


def make(plugin: str, command: str, *, container: str = "c", type: str = "", **keys: Any) -> Call:
    make.count += 1  # type: ignore[attr-defined]
    number: int = make.count  # type: ignore[attr-defined]
    config = {"name": "net", "type": type or plugin, **keys}
    fields = {
        "plugin": plugin,
        "command": command,
        "env": {"CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"},
        "stdin": json.dumps(config),
        "stdout": "{}",
        "stderr": "",
        "exit_status": 0,
        "time": float(number),
    }
    return Call(str(number), fields)


make.count = 0  # type: ignore[attr-defined]


def names(calls: list[Call]) -> list[str]:
    return [f"{call.plugin} {call.command}" for call in calls]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("podman", [5, 5]),
        ("ctr", [3, 3]),
        # loopback is a network of its own; DEL comes twice, the second time without a result
        ("cri", [3, 1, 1, 3, 1, 3]),
    ],
)
def test_runs_of_real_runtimes_are_told_apart(name: str, expected: list[int]) -> None:
    assert sorted(len(run.calls) for run in runs(corpus(name))) == sorted(expected)


def test_a_delegate_belongs_to_the_plugin_that_called_it() -> None:
    (add, _) = runs(corpus("podman"))
    bridge, *others = add.steps

    assert bridge.call is not None
    assert bridge.call.plugin == "bridge"
    assert names(bridge.delegates) == ["host-local ADD"]
    assert [step.delegates for step in others] == [[], [], []]


def test_containers_at_once_do_not_mix() -> None:
    calls = [
        make("bridge", "ADD", container="one"),
        make("bridge", "ADD", container="two"),
        make("tuning", "ADD", container="one", prevResult={"a": 1}),
        make("tuning", "ADD", container="two", prevResult={"a": 1}),
    ]

    assert [{call.container for call in run.calls} for run in runs(calls)] == [{"one"}, {"two"}]
    assert [len(run.calls) for run in runs(calls)] == [2, 2]


def test_the_same_call_once_more_is_a_run_of_its_own() -> None:
    calls = [make("bridge", "DEL"), make("bridge", "DEL")]

    assert [len(run.calls) for run in runs(calls)] == [1, 1]
    assert run_of(calls[1], calls).calls == [calls[1]]


def test_the_history_of_a_call_begins_with_its_add() -> None:
    calls = [
        make("bridge", "ADD"),
        make("bridge", "DEL"),
        make("bridge", "ADD"),
        make("host-local", "ADD", type="bridge"),
        make("tuning", "ADD", prevResult={"a": 1}),
        make("bridge", "ADD", container="other"),
        make("tuning", "DEL", prevResult={"a": 1}),
        make("bridge", "DEL", prevResult={"a": 1}),
    ]

    assert names(history(calls[-1], calls)) == ["bridge ADD", "tuning ADD", "tuning DEL"]
    assert names(history(calls[4], calls)) == ["bridge ADD"]
    assert history(calls[2], calls) == []


def test_a_delegate_whose_caller_is_not_recorded_has_a_history_too() -> None:
    calls = [make("host-local", verb, type="bridge") for verb in ("ADD", "CHECK", "DEL")]

    assert names(history(calls[2], calls)) == ["host-local ADD", "host-local CHECK"]
