"""The sweep through an agent, which is what is interfered with then."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.agent import native, trailer
from cnisdk.cli.sweep import text
from cnisdk.conformance.agent import Agent
from cnisdk.conformance.check import Inapplicable, Kind
from cnisdk.conformance.subject import Subject
from cnisdk.conformance.sweep import changes, sweep
from cnisdk.conformance.tracees import Mode
from tests.host import OURS, Host, cni_variables


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    directory = tmp_path / "kept"
    directory.mkdir()
    return directory


def config(kept: Path) -> dict[str, object]:
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": str(kept)}
    masquerade = {"ipMasq": True, "ipMasqBackend": "nftables"}
    bridge = {"name": "n", "type": "bridge", "bridge": "swept0", "isGateway": True}
    return {**bridge, **masquerade, "ipam": ipam}


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """An executable that asks the agent, and makes the call by itself where there is none."""
    path = tmp_path / "bridge"
    settings = [("mode", "exec"), ("exec", f"{OURS}/bridge")]
    path.write_bytes(trailer.append(native.script(sys.executable), settings))
    path.chmod(0o755)
    return path


@pytest.fixture
def subject(launcher: Path, kept: Path) -> Subject:
    return Subject(executable=str(launcher), kind=Kind.INTERFACE, config=config(kept))


@pytest.mark.parametrize("mode", Mode)
def test_our_plugins_leave_nothing_wherever_their_agent_is_interrupted(
    mode: Mode, subject: Subject, kept: Path
) -> None:
    found = sweep(subject, mode=mode, most=3, agent=True, warm=True, watched=[kept])

    assert not found.failed, text(found)
    assert all(point.change for point in found.points)


def test_the_points_of_an_agent_are_those_of_a_call_without_the_start(
    subject: Subject, kept: Path
) -> None:
    alone = Subject(executable=f"{OURS}/bridge", kind=Kind.INTERFACE, config=config(kept))

    served = [change.call for change in changes(subject, agent=True, watched=[kept])]

    # It says that it has begun, and how it ended.
    assert served[0] == served[-1] == "sendto"
    starting = ("write", "clone", "clone3", "vfork", "execve")
    assert [call for call in served[1:-1] if call not in starting] == [
        change.call for change in changes(alone, watched=[kept]) if change.call not in starting
    ]


def test_an_executable_that_does_not_ask_the_agent_cannot_be_swept_through_it(kept: Path) -> None:
    alone = Subject(executable=f"{OURS}/bridge", kind=Kind.INTERFACE, config=config(kept))

    with pytest.raises(Inapplicable, match="the agent was not asked"):
        sweep(alone, agent=True, watched=[kept])


@pytest.fixture
def agent(host: Host, tmp_path: Path) -> Iterator[Agent]:
    with host.inside():
        agent = Agent(tmp_path)
    yield agent
    agent.close()


def call(agent: Agent, host: Host, launcher: Path, command: str) -> tuple[dict[str, str], bytes]:
    container = host.container()
    environ = {
        **agent.environ(),
        "PATH": os.environ["PATH"],
        **cni_variables(command, container, f"{launcher.parent}:{OURS}"),
    }
    return environ, json.dumps({"cniVersion": "1.0.0", **config(host.state)}).encode()


def tracers(agent: Agent) -> set[str]:
    status = [path.read_text() for path in Path(f"/proc/{agent.pid}/task").glob("*/status")]
    return {text.partition("TracerPid:")[2].split()[0] for text in status}


def test_an_agent_is_let_go_after_the_call(agent: Agent, host: Host, launcher: Path) -> None:
    environ, stdin = call(agent, host, launcher, "ADD")

    with host.inside():
        traced = agent.trace(str(launcher), environ, stdin)

    assert traced.execution.ok, traced.execution
    assert tracers(agent) == {"0"}
    assert agent.alive
    assert agent.has_served("ADD", environ["CNI_CONTAINERID"])


def test_a_killed_agent_has_not_made_the_call_and_the_runtime_is_told_to_try_again(
    agent: Agent, host: Host, launcher: Path
) -> None:
    environ, stdin = call(agent, host, launcher, "ADD")

    with host.inside():
        traced = agent.trace(str(launcher), environ, stdin, point=2, mode=Mode.KILL)

    assert not agent.alive
    assert traced.execution.object()["code"] == 11
    assert traced.changes[-1].what == "RTM_NEWLINK"
    assert len(traced.changes) == 2
    assert "swept0" not in host.links()


def test_a_call_of_the_agent_that_fails_is_not_made_and_the_agent_serves_on(
    agent: Agent, host: Host, launcher: Path
) -> None:
    environ, stdin = call(agent, host, launcher, "ADD")

    with host.inside():
        traced = agent.trace(str(launcher), environ, stdin, point=2, mode=Mode.ERROR)
        again = agent.trace(str(launcher), environ, stdin)

    assert "Cannot allocate memory" in json.dumps(traced.execution.object())
    assert again.execution.ok


def test_an_agent_that_does_not_answer_is_killed(agent: Agent, host: Host, launcher: Path) -> None:
    environ, stdin = call(agent, host, launcher, "ADD")
    launcher.write_text("#!/bin/sh\nsleep 60\n")

    with host.inside():
        traced = agent.trace(str(launcher), environ, stdin, timeout=0.5)

    assert traced.execution.timed_out
    assert not agent.alive
