import json
from pathlib import Path
from typing import Any

import pytest

from cnisdk.recorder.call import Call, UnreadableError, calls, clear, find, load
from cnisdk.recorder.log import encode
from tests.host import ROOT

CORPUS = sorted((ROOT / "tests" / "data" / "recorded-calls").glob("*/*.json"))

FIELDS = {
    "plugin": "bridge",
    "command": "ADD",
    "env": {},
    "stdin": "",
    "stdout": "",
    "stderr": "",
    "exit_status": 0,
}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_calls_that_something_else_recorded_are_read(path: Path) -> None:
    call = find(str(path), "/nowhere")

    assert path.stem.endswith(f"{call.plugin}-{call.command}")
    if call.status is None:  # of which nothing but the environment was seen
        assert (call.stdin, call.outcome) == (b"", "did not end")
        return
    assert call.outcome == "ok"
    if call.command != "VERSION":
        assert call.network
        assert call.is_delegate is (call.plugin == "host-local")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Expecting value"),
        (b"[]", "no JSON object"),
        (b'{"plugin": "b"', "Expecting"),
        (json.dumps({**FIELDS, "stdin": 5}).encode(), "stdin is no string"),
        (json.dumps({**FIELDS, "env": {"A": 1}}).encode(), "env is no object of strings"),
        (json.dumps({**FIELDS, "exit_status": True}).encode(), "exit_status is no integer"),
    ],
)
def test_what_is_no_call_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        load(text, "1")


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"exit_status": None}, "did not end"),
        ({"exit_status": -9}, "signal 9"),
        ({"exit_status": 1, "stdout": "no JSON"}, "status 1"),
        ({"exit_status": 1, "stdout": '{"code": 7, "msg": "bad"}'}, "code 7: bad"),
    ],
)
def test_how_a_call_ended_is_said_in_few_words(fields: dict[str, Any], outcome: str) -> None:
    call = Call("1", {**FIELDS, **fields})

    assert (call.outcome, call.failed) == (outcome, True)


@pytest.mark.parametrize("data", [b"\xff\x80 \xf0\x9f\x98\x80 \xed\xa0\x80", bytes(range(256))])
def test_any_bytes_survive_being_written(data: bytes) -> None:
    fields = {**FIELDS, "stdin": data}
    text = "{" + ", ".join(f"{encode(k)}: {encode(v)}" for k, v in fields.items()) + "}"

    assert text.isascii()
    assert load(text.encode(), "1").stdin == data


def write(directory: Path, number: int, **fields: Any) -> Path:
    path = directory / f"{number:08}.json"
    path.write_text(json.dumps({**FIELDS, **fields}))
    return path


def test_calls_come_in_the_order_of_time_with_those_of_version(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    write(tmp_path, 1, time=1.0)
    write(tmp_path / "versions", 1, time=2.0, command="VERSION")
    write(tmp_path, 2, time=3.0)

    assert [call.id for call in calls(str(tmp_path))] == ["1", "v1", "2"]
    assert find("v1", str(tmp_path)).command == "VERSION"


def test_what_is_no_call_does_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path, 1, time=1.0)
    (tmp_path / "00000002.json").write_text("{")
    (tmp_path / ".00000003.json").write_text("{")
    (tmp_path / "notes.txt").write_text("mine")
    problems: list[str] = []

    assert [call.id for call in calls(str(tmp_path), problems=problems)] == ["1"]
    assert len(problems) == 1


def test_clearing_leaves_what_is_no_call(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / "notes.txt").write_text("mine")

    assert clear(str(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
