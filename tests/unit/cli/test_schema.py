import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from cnisdk.agent import trailer
from cnisdk.cli.group import cnisdk
from cnisdk.cli.plugins import Plugins
from cnisdk.errors import InternalError


def run(*argv: str, cni_path: str = "/nonexistent") -> Result:
    return CliRunner().invoke(cnisdk, ["schema", *argv], env={"CNI_PATH": cni_path})


def printed(done: Result) -> dict[str, Any]:
    assert (done.exit_code, done.stderr) == (0, "")
    wire: dict[str, Any] = json.loads(done.stdout)
    Draft202012Validator.check_schema(wire)
    return wire


def executable(path: Path, shell: str) -> Path:
    """Make one that has our trailer, and is a shell script."""
    settings = [("mode", "exec"), ("exec", "/bin/sh"), ("versions", "1.1.0")]
    path.write_bytes(trailer.append(f"#!/bin/sh\n{shell}\nexit\n".encode(), settings))
    path.chmod(0o755)
    return path


def test_the_schema_of_an_installed_plugin_is_described() -> None:
    schema = printed(run("bridge"))

    assert schema["title"] == "bridge"
    assert schema["description"] == "Connects containers to a Linux bridge."
    assert schema["$id"] == "urn:cnisdk:plugin:bridge"
    assert schema["properties"]["ipMasq"] == {
        "type": "boolean",
        "default": False,
        "description": "Masquerade what containers send out of their networks.",
    }
    assert schema["properties"]["ipMasqBackend"]["enum"] == ["iptables", "nftables"]


def test_strict_forbids_what_is_not_declared() -> None:
    config = {"type": "bridge", "isGatway": True}

    assert Draft202012Validator(printed(run("bridge"))).is_valid(config)
    assert not Draft202012Validator(printed(run("bridge", "--strict"))).is_valid(config)


def test_the_schema_of_a_network_has_all_plugins_that_are_installed() -> None:
    schema = printed(run("--conflist"))

    assert {"bridge", "host-local"} <= set(schema["$defs"])
    proposed = schema["properties"]["plugins"]["items"]["properties"]["type"]["anyOf"][0]["enum"]
    assert {"bridge", "host-local"} <= set(proposed)


def test_an_executable_of_ours_says_its_schema_itself(tmp_path: Path) -> None:
    made = executable(
        tmp_path / "ours",
        """[ "$*" = schema ] && [ -z "${CNI_COMMAND+x}" ] &&
        echo '{"properties": {"type": {"type": "string"}, "mine": {"type": "integer"}}}'""",
    )

    for what in ("ours", str(made)):
        assert "mine" in printed(run(what, cni_path=str(tmp_path)))["properties"]
    network = printed(run("--conflist", cni_path=str(tmp_path)))
    assert "mine" in network["$defs"]["ours"]["properties"]


def test_a_foreign_executable_is_not_asked(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    foreign.chmod(0o755)

    for what in ("foreign", str(foreign)):
        done = run(what, cni_path=str(tmp_path))
        assert done.exit_code == 1
        assert "was not asked" in done.stderr
    assert "foreign" not in printed(run("--conflist", cni_path=str(tmp_path)))["$defs"]
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("shell", ["exit 3", "echo no JSON", "echo []", "echo '{}'", "kill -9 $$"])
def test_an_executable_that_answers_otherwise_is_left_out(tmp_path: Path, shell: str) -> None:
    made = executable(tmp_path / "odd", shell)

    alone = run(str(made))
    network = run("--conflist", cni_path=str(tmp_path))

    assert alone.exit_code == 1
    assert "does not say its schema" in alone.stderr
    assert "left out: " in network.stderr
    assert "odd" not in json.loads(network.stdout)["$defs"]
    with pytest.raises(InternalError):
        Plugins([str(tmp_path)]).declared("odd")


@pytest.mark.parametrize("argv", [(), ("bridge", "--conflist")])
def test_what_is_wanted_has_to_be_said(argv: tuple[str, ...]) -> None:
    assert run(*argv).exit_code == 2


def test_a_plugin_that_is_nowhere_is_an_error() -> None:
    done = run("nowhere")

    assert done.exit_code == 1
    assert "failed to find plugin 'nowhere'" in done.stderr
