"""What podman and containerd really sent, replayed: understood, and answered in the same shape."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cnisdk import Attachment, Interface, Plugin, PluginConfig, Result, run
from tests.host import OURS, Host

RECORDED = Path(__file__).parents[1] / "data" / "recorded-calls"
CALLS = {
    f"{path.parent.name}/{path.stem}": json.loads(path.read_text())
    for path in sorted(RECORDED.glob("*/*.json"))
}
for name, call in CALLS.items():
    # That recorder kept the environments only; the same calls of podman's are recorded whole.
    if not call["stdin"]:
        whole = CALLS[name.replace("podman-cleanup/", "podman/")]
        call |= {key: whole[key] for key in ("stdin", "stdout", "exit_status")}

INSTALLED = ("bridge", "host-local")


class Chained(Plugin[PluginConfig]):
    """Stands for the chained plugins of the records: passes on what came before."""

    def add(self, config: PluginConfig, attachment: Attachment) -> Result:
        loopback = Interface(name=attachment.ifname, sandbox=attachment.sandbox)
        return config.prev_result or Result(interfaces=(loopback,))


def shape(value: Any) -> Any:
    """Return which keys there are and of what type their values, an empty ``dns`` left out."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items() if not (k == "dns" and v == {})}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def test_there_are_records_of_every_runtime() -> None:
    assert len(CALLS) == 54
    assert {name.partition("/")[0] for name in CALLS} == {"cri", "ctr", "podman", "podman-cleanup"}


@pytest.mark.parametrize("name", CALLS)
def test_a_recorded_call_is_understood_in_process(host: Host, name: str) -> None:
    call = CALLS[name]
    environ = dict(call["env"])
    if environ.get("CNI_NETNS", "dummy") not in ("", "dummy"):
        environ["CNI_NETNS"] = host.container().path
    stdout = io.BytesIO()

    status = run(Chained, environ, call["stdin"].encode(), stdout)

    answer = stdout.getvalue()
    assert status == 0, answer
    assert bool(answer) == (call["command"] in ("ADD", "VERSION"))
    if call["command"] == "VERSION":
        recorded = json.loads(call["stdout"])
        assert shape(json.loads(answer)).keys() == shape(recorded).keys()
    if call["command"] == "ADD" and (prev := json.loads(call["stdin"]).get("prevResult")):
        assert shape(json.loads(answer)) == shape(prev)


@pytest.mark.parametrize("name", [n for n, c in CALLS.items() if c["plugin"] in INSTALLED])
def test_a_recorded_call_is_answered_in_the_recorded_shape(host: Host, name: str) -> None:
    call = CALLS[name]
    environ = {**call["env"], "CNI_PATH": OURS}
    raw = json.loads(call["stdin"])
    if "ipam" in raw:
        raw["ipam"]["dataDir"] = str(host.state / "ipam")
    if environ.get("CNI_NETNS", "dummy") not in ("", "dummy"):
        environ["CNI_NETNS"] = host.container().path
    executable = host.find(call["plugin"], OURS)

    done = host.run(executable, input=json.dumps(raw), env=environ, check=False)

    assert done.returncode == call["exit_status"], done.stdout + done.stderr
    if call["command"] == "VERSION":
        answer = json.loads(done.stdout)
        assert answer["cniVersion"] == json.loads(call["stdin"])["cniVersion"]
        assert set(answer["supportedVersions"]) >= set(
            json.loads(call["stdout"])["supportedVersions"]
        )
    elif call["stdout"]:
        assert shape(json.loads(done.stdout)) == shape(json.loads(call["stdout"]))
    else:
        assert done.stdout == ""
