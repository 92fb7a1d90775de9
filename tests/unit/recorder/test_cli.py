"""What a person types, and is shown."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cnisdk.cli.group import cnisdk
from tests.unit.recorder.test_call import CORPUS, write

Run = Callable[..., Result]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "calls"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def run(directory: Path) -> Run:
    def run(*argv: str | Path) -> Result:
        line = [argv[0], "--calls", directory, *argv[1:]]
        return CliRunner().invoke(cnisdk, list(map(str, line)), prog_name="cnisdk")

    return run


def kept(directory: Path, number: int, *, container: str = "c1", **fields: Any) -> None:
    stdin = json.dumps({"name": fields.pop("network", "net"), "type": "bridge"})
    env = {"CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
    write(directory, number, time=float(number), env=env, stdin=stdin, **fields)


@pytest.fixture
def several(directory: Path) -> Path:
    kept(directory, 1)
    kept(directory, 2, container="c22", exit_status=1, stdout='{"code": 11, "msg": "later"}')
    kept(directory, 3, command="DEL", network="other")
    kept(directory, 4, plugin="tuning", exit_status=None)
    (directory / "versions").mkdir()
    write(directory / "versions", 1, command="VERSION", time=5.0)
    return directory


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["1", "2", "3", "4"]),
        (["--failed"], ["2", "4"]),
        (["--container", "c2"], ["2"]),
        (["--network", "other"], ["3"]),
        (["--verb", "del"], ["3"]),
        (["--verb", "version"], ["v1"]),
        (["--plugin", "tuning"], ["4"]),
        (["--last", "2"], ["3", "4"]),
    ],
)
def test_calls_are_chosen(run: Run, options: list[str], expected: list[str]) -> None:
    assert [one["call"] for one in json.loads(run("calls", "--json", *options).output)] == expected
    lines = run("calls", *options).output.splitlines()
    assert [line.split()[0] for line in lines] == ["CALL", *expected]


@pytest.mark.usefixtures("several")
def test_a_listing_says_how_calls_ended(run: Run) -> None:
    output = run("calls").output

    assert "code 11: later" in output
    assert "did not end" in output


def test_a_call_is_shown_with_everything(run: Run, directory: Path) -> None:
    shutil.copy(CORPUS[-1], directory / "00000001.json")
    fields = json.loads(CORPUS[-1].read_text())

    text = run("calls", "show", "1").output

    for name, value in fields["env"].items():
        assert f"  {name}={value}" in text
    assert json.loads(run("calls", "show", "--json", "1").output) == fields


def test_no_terminal_obeys_what_a_plugin_wrote(run: Run, directory: Path) -> None:
    evil = "\x1b]0;owned\x07\r\x9b2J"
    kept(directory, 1, container=evil, stdout=evil, stderr=evil, plugin=evil, exit_status=1)
    for argv in (["calls"], ["calls", "show", "1"], ["calls", "chain", "1"]):
        output = run(*argv).output

        assert run(*argv).exit_code == 0
        assert not set(evil) & {"\x1b", "\x07", "\r", "\x9b"} & set(output)


@pytest.mark.parametrize("argv", [["show", "7"], ["chain", "7"]])
def test_a_call_that_is_not_there_is_an_error(run: Run, directory: Path, argv: list[str]) -> None:
    done = run("calls", *argv)

    assert done.exit_code == 1
    assert done.output == f"Error: there is no call 7 in {directory}\n"
    assert run("replay", "7").exit_code == 2


def test_without_any_calls_the_next_step_is_said(run: Run, directory: Path) -> None:
    directory.rmdir()

    done = run("calls")

    assert done.exit_code == 1
    assert "cnisdk record PLUGIN" in done.output


@pytest.mark.usefixtures("several")
def test_calls_can_be_forgotten(run: Run) -> None:
    assert run("calls", "clear").output == "forgot 5 calls\n"
    assert run("calls").output == "no such calls\n"


def test_plugins_are_recorded_by_name(run: Run, directory: Path, tmp_path: Path) -> None:
    plugins = tmp_path / "bin"
    plugins.mkdir()
    for name in ("one", "two"):
        (plugins / name).write_text("#!/bin/sh\n")
        (plugins / name).chmod(0o755)
    before = os.listdir(plugins)
    where = ["--bin-dir", str(plugins)]

    assert "nothing is recorded" in run("record", *where).output
    assert run("record", *where, "one", "two").exit_code == 0
    shown = run("record", *where).output
    stopped = run("record", *where, "--stop")

    assert shown == f"{plugins}/one: recorded\n{plugins}/two: recorded\n"
    assert stopped.output == f"restored {plugins}/one\nrestored {plugins}/two\n"
    assert sorted(os.listdir(plugins)) == sorted(before)


def test_a_plugin_that_is_nowhere_is_an_error(run: Run, tmp_path: Path) -> None:
    done = run("record", "--bin-dir", tmp_path, "none")

    assert done.exit_code == 1
    assert f"no plugin none in {tmp_path}" in done.output
