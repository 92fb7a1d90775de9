"""What podman and containerd really sent to host-local."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.host import ROOT, Host, Outcome

Call = Callable[..., Outcome]

RECORDED = ROOT / "tests" / "data" / "recorded-calls"


def _calls() -> dict[str, dict[str, Any]]:
    calls = {
        f"{path.parent.name}/{path.stem}": json.loads(path.read_text())
        for path in sorted(RECORDED.glob("*/*-host-local-*.json"))
    }
    # A recorder that lost stdin and answer has nothing to say.
    return {name: call for name, call in calls.items() if call["stdin"]}


CALLS = _calls()


def _shape(answer: Any) -> Any:
    """Return an answer without which address it was, and without an empty ``dns``."""
    return {
        key: [sorted(ip) for ip in value] if key == "ips" else value
        for key, value in answer.items()
        if value
    }


@pytest.mark.parametrize("name", CALLS)
def test_a_recorded_call_is_answered_as_the_go_plugin_did(
    call: Call, host: Host, tmp_path: Path, name: str
) -> None:
    recorded = CALLS[name]
    config = json.loads(recorded["stdin"])
    config["ipam"]["dataDir"] = str(tmp_path)
    environ = recorded["env"]
    directory = tmp_path / config["name"]
    if recorded["command"] == "DEL":
        directory.mkdir()
        owner = f"{environ['CNI_CONTAINERID']}\r\n{environ['CNI_IFNAME']}"
        (directory / "10.255.255.254").write_bytes(owner.encode())

    done = call(
        recorded["command"],
        config,
        host.container(),
        container_id=environ["CNI_CONTAINERID"],
        ifname=environ["CNI_IFNAME"],
        args=environ.get("CNI_ARGS", ""),
    )

    assert done.status == recorded["exit_status"]
    if recorded["command"] == "DEL":
        assert done.stdout == recorded["stdout"] == ""
        assert not (directory / "10.255.255.254").exists()
    else:
        theirs = json.loads(recorded["stdout"])
        assert _shape(done.json) == _shape(theirs)
        if "IP=" in environ["CNI_ARGS"]:
            assert done.json["ips"] == theirs["ips"]


def test_there_are_recorded_calls_of_both_verbs() -> None:
    assert {call["command"] for call in CALLS.values()} == {"ADD", "DEL"}
