"""An agent serves calls whose launcher is recorded, and does not notice."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnisdk.agent import native
from cnisdk.recorder.wrapping import record, stop
from tests.host import Host
from tests.netns.agent.agents import RunningAgent
from tests.netns.recorder.conftest import Recorder, identity


@pytest.fixture
def agent() -> Iterator[RunningAgent]:
    # A socket's path must not be longer than 107 bytes, wherever the tests' directory is.
    with tempfile.TemporaryDirectory(prefix="agent-", dir="/run") as name:
        directory = Path(name)
        with RunningAgent(directory, launcher(directory)) as agent:
            yield agent


def launcher(directory: Path) -> bytes:
    """Return the launcher: native where something can compile it."""
    output = str(directory / "launcher")
    if native.compile_launcher(output, report=lambda text: None) is not None:
        return Path(output).read_bytes()
    return native.script(sys.executable)


def test_calls_that_an_agent_serves_are_kept(
    recorder: Recorder, agent: RunningAgent, host: Host
) -> None:
    config: dict[str, Any] = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "bridge": "br0",
        "ipam": {
            "type": "host-local",
            "dataDir": str(host.state),
            "ranges": [[{"subnet": "10.3.0.0/24"}]],
        },
    }
    path = agent.path / "bridge"
    before = identity(path)
    record(str(path), calls=str(recorder.directory))
    container = host.container()

    added = agent.call(host, "bridge", "ADD", config, container)
    deleted = agent.call(host, "bridge", "DEL", {**config, "prevResult": added.json}, container)
    stop(str(path))

    assert (added.status, deleted.status) == (0, 0)
    assert added.stderr == ""  # or the launcher would say that there is no agent
    add, delete = recorder.calls
    assert (add.command, add.status, delete.command, delete.status) == ("ADD", 0, "DEL", 0)
    assert add.stdout.decode() == added.stdout
    served = agent.log.find("call ok")
    assert [line["command"] for line in served] == ["ADD", "DEL"]
    assert identity(path) == before
