"""What is typed wrongly is told with status 2, before anything is done."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from cnisdk import runner
from cnisdk.console.command import command_of
from cnisdk.console.subject import Subject, name_of

Typed = Callable[..., Result]


@pytest.fixture
def typed(subject: Subject, tmp_path: Path) -> Typed:
    def run(*argv: str, **env: str) -> Result:
        command = command_of(subject)
        return CliRunner().invoke(command, argv, env=env, prog_name="probe", catch_exceptions=False)

    return run


def test_the_runner_knows_every_verb(subject: Subject) -> None:
    assert {*command_of(subject).commands, "-h", "--help"} == set(runner.VERBS)


@pytest.mark.parametrize("verb", ["", *runner.VERBS[:-2]])
def test_every_verb_has_help(typed: Typed, verb: str) -> None:
    done = typed(*verb.split(), "--help")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: probe")


def test_the_help_is_the_plugins(typed: Typed) -> None:
    assert "Does nothing." in typed("--help").stdout


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("add", "Missing argument 'CID'"),
        ("add c1", "Missing argument 'NETNS'"),
        ("add ../c1 n", "CID"),
        ("add c1 n --ifname a/b", "--ifname"),
        ("add c1 n --args x", "--args"),
        ("add c1 n --capability mac", "not NAME=JSON"),
        ("add c1 n --capability mac=02:00", "no JSON, of which text needs its quotes"),
        ("add c1 pid:x", "NETNS"),
        ("del", "Missing argument 'CID'"),
        ("gc", "say what is still in use"),
        ("gc --all --known", "say what is still in use"),
        ("gc --valid ../x", "--valid"),
        ("attach c1 n", "No such command"),
        ("version x", "unexpected extra argument"),
    ],
)
def test_what_is_typed_wrongly_is_told(typed: Typed, argv: str, words: str) -> None:
    done = typed(*argv.split())

    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_version_prints_what_the_verb_of_the_specification_does(typed: Typed) -> None:
    answer = json.loads(typed("version").stdout)

    assert answer["cniVersion"] == "1.1.0"
    assert answer["supportedVersions"][0] == "0.1.0"
    assert typed("version", "--human").stdout.startswith("probe: CNI 0.1.0, ")


def test_schema_prints_json(typed: Typed) -> None:
    assert json.loads(typed("schema").stdout)["properties"]["type"]["type"] == "string"
    assert typed("schema", "--human").stdout.startswith("KEY")


def test_a_strict_schema_forbids_what_is_not_declared(typed: Typed) -> None:
    misspelt = {"type": "probe", "cniVersoin": "1.1.0"}
    usual, strict = (json.loads(typed("schema", *how).stdout) for how in ([], ["--strict"]))

    assert Draft202012Validator(usual).is_valid(misspelt)
    assert not Draft202012Validator(strict).is_valid(misspelt)
    assert Draft202012Validator(strict).is_valid({"type": "probe", "cniVersion": "1.1.0"})


def test_a_failure_is_status_1_with_nothing_on_stdout(typed: Typed, tmp_path: Path) -> None:
    done = typed("status", "--config", str(tmp_path / "missing"))

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: cannot read ")
    assert "\nNext: " in done.stderr


@pytest.mark.parametrize(
    ("executable", "name"),
    [("/opt/cni/bin/host-local", "host-local"), ("./my_plugin.py", "my_plugin"), ("x", "x")],
)
def test_a_plugin_is_called_what_a_runtime_calls_it(executable: str, name: str) -> None:
    assert name_of(executable) == name


def test_delegates_are_looked_for_beside_the_executable(subject: Subject, tmp_path: Path) -> None:
    own = subject._replace(executable=str(tmp_path / "probe"))

    assert own.plugin_dirs[0] == str(tmp_path)
    assert own._replace(cni_path="/a:/b").plugin_dirs == ("/a", "/b")
