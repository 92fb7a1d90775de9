"""A caller that goes away: its hook stops at the next kernel call and is undone.

What follows for the same attachment waits for that.
"""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host
from tests.netns.agent.agents import TIMEOUT, RunningAgent, eventually
from tests.netns.agent.halfway import Scene


@pytest.fixture
def scene(agent: RunningAgent, host: Host, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(agent, host, tmp_path)
    yield scene
    os.close(os.open(scene.gate, os.O_RDWR | os.O_NONBLOCK))


def wait_until_parked(agent: RunningAgent, count: int) -> None:
    """Wait until ``count`` accepted calls wait for another one."""
    eventually(lambda: agent.gauge("parked_calls") == count, f"{count} parked calls")


def children(agent: RunningAgent) -> list[str]:
    """Return the processes that the threads of an agent have started."""
    tasks = Path(f"/proc/{agent.process.pid}/task").glob("*/children")
    return [pid for task in tasks for pid in task.read_text().split()]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_an_add_whose_caller_is_killed_is_undone(scene: Scene, signum: signal.Signals) -> None:
    launcher = scene.add()
    had_link = scene.has_link
    launcher.send_signal(signum)
    launcher.communicate(timeout=TIMEOUT)
    scene.agent.log.wait("the caller has gone", container=scene.container.id)
    scene.go_on()
    line = scene.agent.log.wait("call abandoned", container=scene.container.id)

    assert had_link
    assert line["status"] == 1
    assert scene.done == ["ADD", "undone"]
    assert not scene.has_link


def test_a_delete_waits_until_the_add_before_it_is_undone(scene: Scene) -> None:
    launcher = scene.add()
    launcher.kill()
    launcher.communicate(timeout=TIMEOUT)
    scene.agent.log.wait("the caller has gone", container=scene.container.id)
    deletes = [scene.delete() for _ in range(3)]
    wait_until_parked(scene.agent, 3)
    before = scene.done
    scene.go_on()
    outcomes = [(delete.communicate(timeout=TIMEOUT), delete.returncode) for delete in deletes]

    assert before == ["ADD"]
    assert outcomes == [((b"", b""), 0)] * 3
    assert scene.done == ["ADD", "undone", "DEL", "DEL", "DEL"]


def test_calls_for_other_attachments_do_not_wait(scene: Scene) -> None:
    launcher = scene.add()
    other = scene.host.container()
    config = {**scene.config, "reached": "", "gate": ""}

    second = scene.agent.call(scene.host, "slow", "DEL", config, other)
    third = scene.agent.call(scene.host, "slow", "DEL", config, scene.container, ifname="eth1")

    scene.go_on()
    _, stderr = launcher.communicate(timeout=TIMEOUT)
    assert (second.status, third.status) == (0, 0)
    assert launcher.returncode == 0, stderr
    assert scene.done == ["ADD", "DEL", "DEL", "ADDED"]


def test_a_call_whose_caller_goes_while_it_waits_is_never_begun(scene: Scene) -> None:
    launcher = scene.add()
    delete = scene.delete()
    wait_until_parked(scene.agent, 1)
    since = len(scene.agent.log.lines)
    delete.kill()
    delete.communicate(timeout=TIMEOUT)
    scene.agent.log.wait("the caller has gone", since=since, command="DEL")
    scene.go_on()
    launcher.communicate(timeout=TIMEOUT)
    scene.agent.log.wait("call abandoned", since=since, command="DEL")

    assert launcher.returncode == 0
    assert scene.done == ["ADD", "ADDED"]


def test_a_delegate_is_terminated_with_its_call(agent: RunningAgent, host: Host) -> None:
    """One that runs as an executable, since it is not served."""
    container = host.container()
    pid_file = host.state / "pid"
    os.mkfifo(pid_file)
    script = agent.path / "sleeper"
    script.write_text(f"#!/bin/sh\necho $$ >{pid_file}\nexec sleep 1000\n")
    script.chmod(stat.S_IRWXU)
    config = {"cniVersion": "1.1.0", "name": "net", "type": "meta", "delegate": "sleeper"}
    launcher = agent.begin(host, "meta", "ADD", config, container)
    pid = int(pid_file.read_text())
    script.write_text("#!/bin/sh\nexit 0\n")  # the DEL that undoes the ADD of a delegate
    launcher.kill()
    launcher.communicate(timeout=TIMEOUT)
    agent.log.wait("call abandoned", container=container.id)

    assert not os.path.exists(f"/proc/{pid}")


def test_a_plugin_in_a_process_is_terminated_with_its_call(
    agent: RunningAgent, host: Host, tmp_path: Path
) -> None:
    container = host.container()
    notes = tmp_path / "notes"
    os.mkfifo(notes)  # it waits here until somebody reads
    config = {"cniVersion": "1.1.0", "name": "net", "type": "process", "journal": str(notes)}
    launcher = agent.begin(host, "process", "ADD", config, container)
    eventually(lambda: children(agent), "the process of the call")
    launcher.kill()
    launcher.communicate(timeout=TIMEOUT)
    agent.log.wait("call abandoned", container=container.id)

    assert children(agent) == []
    assert [link["ifname"] for link in container.json("ip", "link")] == ["lo"]
