"""Executables of two projects on one node, each with an agent of its own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cnisdk.agent import native
from cnisdk.build import executable
from cnisdk.build.executable import Options
from tests.host import Container, Host
from tests.netns.agent.agents import RunningAgent
from tests.netns.build.conftest import PLUGINS, UNPACKED

Two = tuple[RunningAgent, RunningAgent]


@pytest.fixture
def agents(tmp_path: Path, launcher: bytes) -> Iterator[Two]:
    """Two agents, with sockets where executables may look for them."""
    places = [Path(f"/run/two-{os.getpid()}-{name}") for name in ("red", "blue")]
    with ExitStack() as stack:
        for place in places:
            place.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, place)
        red, blue = (stack.enter_context(RunningAgent(place, launcher)) for place in places)
        yield red, blue


@pytest.fixture(params=["native", "script"])
def executables(
    request: pytest.FixtureRequest, agents: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """A directory of executables for each of the agents."""
    if request.param == "script":
        monkeypatch.setattr(native, "prebuilt", lambda: None)
        monkeypatch.setattr(native, "compile_launcher", lambda *args, **kwargs: None)
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, agent in zip((first, second), agents, strict=True):
        options = Options(unpack_dirs=(str(UNPACKED),), socket=str(agent.socket))
        executable.build([PLUGINS[1]], directory, options)
    return first, second


def delete(host: Host, directory: Path, container: Container, kept: Path) -> None:
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": str(kept)}
    config = {"cniVersion": "1.0.0", "name": "two", "ipam": ipam}
    host.plugin("host-local", "DEL", config, container, path=str(directory))


def test_each_reaches_the_agent_that_it_was_built_for(
    agents: Two, executables: tuple[Path, Path], host: Host, tmp_path: Path
) -> None:
    containers = (host.container(), host.container())

    for directory, container in zip(executables, containers, strict=True):
        delete(host, directory, container, tmp_path / "kept")

    for agent, container in zip(agents, containers, strict=True):
        agent.log.wait("call ok", command="DEL", container=container.id)
        assert len(agent.log.find("call ok")) == 1


def test_without_its_own_a_call_is_made_alone_and_not_by_another(
    agents: Two, executables: tuple[Path, Path], host: Host, tmp_path: Path
) -> None:
    red, blue = agents
    containers = (host.container(), host.container())
    red.kill()

    for directory, container in zip(executables, containers, strict=True):
        delete(host, directory, container, tmp_path / "kept")

    blue.log.wait("call ok", command="DEL", container=containers[1].id)
    assert len(blue.log.find("call ok")) == 1
