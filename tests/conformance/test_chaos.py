"""The chain plugin that fails when it is told to."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cnisdk.conformance import chaos
from cnisdk.conformance.execution import Execution, Running

PREV = {"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24"}]}


@pytest.fixture
def executable(tmp_path: Path) -> str:
    (tmp_path / "bin").mkdir()
    return chaos.install(str(tmp_path / "bin"))


def call(
    executable: str, *faults: dict[str, Any], verb: str = "ADD", timeout: float = 30, **keys: Any
) -> Execution:
    state = os.path.join(os.path.dirname(executable), "state")
    config = {"cniVersion": "1.0.0", "name": "n", "type": "chaos", "stateDir": state, **keys}
    if faults:
        config["faults"] = list(faults)
    environ = {"CNI_COMMAND": verb, "CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0"}
    stdin = json.dumps({**config, "prevResult": PREV}).encode()
    return Running(executable, environ, stdin).finish(timeout)


def test_it_passes_on_the_result_when_nothing_is_told(executable: str) -> None:
    assert call(executable).object() == PREV
    deleted = call(executable, verb="DEL")
    assert (deleted.status, deleted.stdout) == (0, b"")


def test_it_claims_every_version(executable: str) -> None:
    assert call(executable, verb="VERSION").object()["supportedVersions"][-1] == "1.1.0"


def test_it_fails_at_the_attempt_that_is_told(executable: str) -> None:
    fault = {"do": "fail", "verb": "ADD", "attempt": 2, "code": 11, "msg": "try again"}
    done = [call(executable, fault) for _ in range(3)]
    assert [d.status for d in done] == [0, 1, 0]
    assert done[1].object() == {"cniVersion": "1.0.0", "code": 11, "msg": "try again"}


def test_a_fault_of_one_verb_leaves_the_others_alone(executable: str) -> None:
    fault = {"do": "fail", "verb": ["DEL", "GC"]}
    assert call(executable, fault).ok
    assert not call(executable, fault, verb="DEL").ok


def test_the_first_fault_that_applies_happens(executable: str) -> None:
    spared = {"do": "pass", "attempt": [1, 3]}
    done = [call(executable, spared, {"do": "fail"}).status for _ in range(4)]
    assert done == [0, 1, 0, 1]


def test_it_crashes(executable: str) -> None:
    assert call(executable, {"do": "crash"}).status == -9
    assert call(executable, {"do": "crash", "signal": "SIGTERM"}).status == -15


def test_it_blocks(executable: str) -> None:
    assert call(executable, {"do": "block"}, timeout=1.0).timed_out
    assert call(executable, {"do": "block", "seconds": 0.01}).object() == PREV


def test_it_garbles(executable: str) -> None:
    done = call(executable, {"do": "garble"})
    assert done.ok
    assert done.stdout == chaos.GARBLED.encode()
    with pytest.raises(ValueError):
        done.objects()


def test_it_crashes_with_half_an_answer(executable: str) -> None:
    done = call(executable, {"do": "crash", "moment": "answer"})
    assert done.status == -9
    assert json.dumps(PREV).encode().startswith(done.stdout)
    assert 0 < len(done.stdout) < len(json.dumps(PREV))


def test_it_fails_before_it_reads_where_a_file_beside_it_says_so(executable: str) -> None:
    told = {"faults": [{"do": "fail", "moment": "start", "msg": "early"}]}
    told["stateDir"] = f"{os.path.dirname(executable)}/state"  # type: ignore[assignment]
    Path(executable).with_name("chaos.json").write_text(json.dumps(told))
    assert call(executable).object()["msg"] == "early"


@pytest.mark.parametrize("fault", [{"do": "explode"}, {}, {"do": "fail", "verb": "ADDD"}])
def test_a_fault_that_is_none_is_refused(executable: str, fault: dict[str, Any]) -> None:
    done = call(executable, fault)
    assert done.object()["code"] == 7
    assert "is none of" in done.object()["details"]


def test_the_module_installs_itself(tmp_path: Path) -> None:
    import sys

    command = [sys.executable, "-m", "cnisdk.conformance.chaos", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert os.access(done.stdout.strip(), os.X_OK)
