"""An agent that one call leaves behind serves podman and pods on one network."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.build import executable
from cnisdk.build.executable import Options
from tests.netns.agent.agents import eventually
from tests.runtimes.conftest import PLUGINS
from tests.runtimes.cri import CRI, RefusedError
from tests.runtimes.machine import GATEWAY, Machine
from tests.runtimes.podman import Podman
from tests.runtimes.unchanged import unchanged

pytestmark = pytest.mark.runtime("podman", "conmon", "containerd", "ctr", "runc", "busybox")

HOMES = Path("/run/cnisdk-warm")
SLEEP = ("sleep", "600")


class Both:
    """Two runtimes on one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.podman = Podman(machine)
        self.cri = CRI(machine)

    @property
    def started(self) -> int:
        return self.podman.started + self.cri.started

    def clear(self) -> None:
        """End every container, and remove it."""
        self.podman.clear()
        self.cri.clear()

    def close(self) -> None:
        """End all containers, the daemon and the agent."""
        self.clear()
        self.cri.close()
        for pid in agents():
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: not agents(), "the agent stays")


def agents() -> list[int]:
    """Return the process IDs of agents."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text() == "cnisdk-warm\n":
                found.append(int(path.parent.name))
    return found


def served(command: str, container: str) -> set[str]:
    """Return the plugins that the agent says it has run for a container."""
    lines = [
        json.loads(line) for log in HOMES.glob("*/log") for line in log.read_text().splitlines()
    ]
    return {
        line["plugin"]
        for line in lines
        if line["event"] == "call ok"
        and line.get("command") == command
        and line.get("container") == container
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of our executables, which leave an agent behind."""
    output = tmp_path_factory.mktemp("warm")
    options = Options(unpack_dirs=("/run/cnisdk-payload",), warm=600)
    executable.build(PLUGINS, output, options)
    return output


@pytest.fixture(scope="module")
def running(machine: Machine) -> Iterator[Both]:
    both = Both(machine)
    both.podman.start("first", "--publish", "8079:80")
    both.podman.clear()
    eventually(agents, "no agent was left behind")
    pod = both.cri.pod("first")
    both.cri.stop(pod)
    both.cri.remove(pod)
    yield both
    both.close()


@pytest.fixture
def both(request: pytest.FixtureRequest, running: Both) -> Iterator[Both]:
    """Both runtimes without containers; when they are gone again, all is as it was."""
    with unchanged(request.node, "podman and CRI with an agent", running):
        yield running


def test_a_container_of_podman_and_a_pod_reach_each_other(both: Both) -> None:
    ident = both.podman.start("c1", "--publish", "8080:80", command="httpd -f -h /www")
    pod = both.cri.pod("one")
    container = both.cri.container(pod, *SLEEP)

    both.podman.exec("c1", "ping", "-c1", "-W5", both.cri.address(pod))
    both.cri.exec(container, "ping", "-c1", "-W5", both.podman.address("c1"))
    both.cri.exec(container, "ping", "-c1", "-W5", GATEWAY)

    assert both.machine.http(8080) == "served\n"
    assert len(both.machine.reserved()) == 2
    assert "bridge" in served("ADD", ident)
    assert "bridge" in served("ADD", pod)


def test_an_add_that_fails_in_a_later_plugin_leaves_nothing(both: Both) -> None:
    before = both.machine.snapshot()
    both.machine.witness.fail(failing=True)

    with pytest.raises(RefusedError, match="told to fail"):
        both.cri.pod("one")
    failed = both.podman("run", "--network", "net1", "localhost/busybox", "true", check=False)

    assert "told to fail" in failed.stderr
    both.podman.clear()
    assert both.machine.snapshot() == before


def test_an_agent_that_is_killed_is_not_missed(both: Both) -> None:
    both.podman.start("c1")
    address = both.podman.address("c1")
    for pid in agents():
        os.kill(pid, signal.SIGKILL)

    pod = both.cri.pod("one")

    both.podman.exec("c1", "ping", "-c1", "-W5", both.cri.address(pod))
    assert both.podman.address("c1") == address
    both.podman.clear()
    assert both.machine.reserved() == [both.cri.address(pod)]
    eventually(agents, "no agent was left behind")


def test_nothing_is_left_at_the_end(running: Both) -> None:
    running.close()

    assert running.machine.left() == {}
    assert [path for path in running.machine.written() if "containers/cache" not in path] == []
