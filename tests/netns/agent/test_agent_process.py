"""The agent as a process: starting, stopping, taking over from itself, PID 1, a service manager."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cnisdk.agent import queue
from cnisdk.agent.queue import QueuedCall, attachment_hash
from tests.host import ROOT, Container, Host
from tests.netns.agent.agents import TIMEOUT, RunningAgent, environ, eventually
from tests.netns.agent.halfway import Scene


@pytest.fixture
def container(host: Host) -> Container:
    return host.container()


def config(plugin: str, **keys: Any) -> dict[str, Any]:
    return {"cniVersion": "1.1.0", "name": "net", "type": plugin, **keys}


BEHAVE = config("misbehaving", odd="behave")


def works(agent: RunningAgent, host: Host, container: Container) -> bool:
    outcome = agent.call(host, "misbehaving", "ADD", BEHAVE, container)
    return outcome.status == 0


# -- starting --------------------------------------------------------------------------------


def refuses_to_start(agent: RunningAgent, wrapped: Sequence[str] = ()) -> str:
    """Start another agent for the same socket, not ``wrapped``, and return what it says."""
    argv = agent.argv[len(wrapped) :]
    env = {name: value for name, value in agent.env.items() if name != "NOTIFY_SOCKET"}
    second = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    return str(json.loads(second.stderr.splitlines()[-1])["error"])


def test_a_second_agent_for_a_socket_refuses_to_start(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    with RunningAgent(tmp_path, quick) as agent:
        assert "an agent has this socket already" in refuses_to_start(agent)
        assert works(agent, host, container)


def test_socket_and_directory_are_the_agents_alone(quick: bytes, tmp_path: Path) -> None:
    with RunningAgent(tmp_path, quick) as agent:
        assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(agent.socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(agent.health.stat().st_mode) == 0o600


def test_an_agent_that_was_killed_is_replaced(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    with RunningAgent(tmp_path, quick) as agent:
        agent.kill()
        left = agent.socket.exists()
        agent.start()

        assert left
        assert works(agent, host, container)


# -- stopping --------------------------------------------------------------------------------


def test_a_running_call_is_finished_before_the_agent_stops(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    with RunningAgent(tmp_path, quick) as agent:
        scene = Scene(agent, host, tmp_path)
        launcher = scene.add()
        agent.process.send_signal(signal.SIGTERM)
        eventually(lambda: not listens(agent))
        late = agent.call(host, "misbehaving", "ADD", BEHAVE, container)
        scene.go_on()
        stdout, _ = launcher.communicate(timeout=TIMEOUT)

        assert agent.process.wait(TIMEOUT) == 0
    assert (launcher.returncode, b"eth0" in stdout) == (0, True)
    assert (late.status, late.json["code"]) == (1, 11)
    assert agent.log.wait("stopped")["why"] == "SIGTERM"


def listens(agent: RunningAgent) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(str(agent.socket)) == 0


# -- taking over from itself -----------------------------------------------------------------

PLUGIN = """\
from cnisdk import Attachment, Interface, Plugin, PluginConfig, Result

class Versioned(Plugin[PluginConfig]):
    def add(self, config: PluginConfig, attachment: Attachment) -> Result:
        return Result(interfaces=(Interface(name="v{version}"),))
"""


class Installed:
    """A plugin as an installation leaves it: a module, and metadata with an entry point."""

    def __init__(self, directory: Path) -> None:
        self.module = directory / "versioned.py"
        info = directory / "versioned-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: versioned\nVersion: 1\n")
        (info / "entry_points.txt").write_text(
            "[cnisdk.plugins]\nslow = versioned:Versioned\nbroken = nowhere:Nothing\n"
        )
        self.write("1")
        self.env = {"PYTHONPATH": f"{directory}:{environ()['PYTHONPATH']}"}

    def write(self, version: str) -> None:
        self.module.write_text(PLUGIN.format(version=version))
        # Written within the second, and as long: Python would take what it compiled for current.
        shutil.rmtree(self.module.parent / "__pycache__", ignore_errors=True)


@pytest.fixture
def installed(tmp_path: Path, quick: bytes) -> Iterator[tuple[Installed, RunningAgent]]:
    """An agent started by the command, which serves an installed plugin."""
    installed = Installed(tmp_path / "site")
    socket_path = str(tmp_path / "agent" / "agent.sock")
    argv = [sys.executable, "-c", "from cnisdk.cli import main; main()", "agent"]
    argv += ["--socket", socket_path, "--plugin", "slow"]
    with RunningAgent(tmp_path, quick, argv=argv, env=installed.env) as agent:
        yield installed, agent


def version(agent: RunningAgent, host: Host, container: Container) -> str:
    outcome = agent.call(host, "slow", "ADD", config("slow"), container)
    assert outcome.status == 0, outcome
    return str(outcome.json["interfaces"][0]["name"])


def test_a_new_version_takes_over_without_losing_a_call(
    installed: tuple[Installed, RunningAgent], host: Host
) -> None:
    plugin, agent = installed
    pid = agent.process.pid
    seen: list[list[str]] = [[], []]

    def call(seen: list[str], container: Container) -> None:
        while not seen or seen[-1] != "v2":
            seen.append(version(agent, host, container))

    threads = [threading.Thread(target=call, args=(mine, host.container())) for mine in seen]
    for thread in threads:
        thread.start()
    eventually(lambda: all(len(mine) > 3 for mine in seen))
    plugin.write("2")
    agent.process.send_signal(signal.SIGHUP)
    for thread in threads:
        thread.join(TIMEOUT)

    assert [mine[-1] for mine in seen] == ["v2", "v2"]
    assert set(seen[0]) == {"v1", "v2"}
    assert agent.process.pid == pid
    assert "an agent has this socket already" in refuses_to_start(agent)


def test_a_version_that_does_not_load_does_not_take_over(
    installed: tuple[Installed, RunningAgent], host: Host, container: Container
) -> None:
    plugin, agent = installed
    plugin.module.write_text("no Python")
    agent.process.send_signal(signal.SIGHUP)
    line = agent.log.wait("new code does not load, the old serves on")

    assert line["status"] == 1
    assert version(agent, host, container) == "v1"


def test_an_agent_whose_hooks_leak_descriptors_takes_over_from_itself(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    with RunningAgent(tmp_path, quick, wrapped=["prlimit", "--nofile=1024:1024"]) as agent:
        for _ in range(6):
            leaking = agent.call(
                host, "misbehaving", "ADD", config("misbehaving", odd="leak"), container
            )
            assert leaking.status == 0
        leaked = agent.fds()
        assert works(agent, host, container)
        agent.log.wait("serving", count=2)
        assert works(agent, host, container)

        assert leaked > 500
        assert agent.fds() < 50


# -- the command -----------------------------------------------------------------------------


def test_the_command_serves_what_is_installed(
    tmp_path: Path, quick: bytes, host: Host, container: Container
) -> None:
    plugin = Installed(tmp_path / "site")
    argv = [sys.executable, "-c", "from cnisdk.cli import main; main()", "agent"]
    argv += ["--socket", str(tmp_path / "agent" / "agent.sock")]
    with RunningAgent(tmp_path, quick, argv=argv, env=plugin.env) as agent:
        assert version(agent, host, container) == "v1"
        assert agent.log.wait("plugin cannot be imported")["plugin"] == "broken"
        assert "slow" in agent.log.wait("starting")["plugins"]


def test_a_plugin_that_is_not_installed_is_named(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "from cnisdk.cli import main; main()", "agent"]
    argv += ["--socket", str(tmp_path / "a" / "s"), "--plugin", "nonsense"]
    done = subprocess.run(
        argv, cwd=ROOT, env=environ(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "no such plugin installed: nonsense" in json.loads(done.stderr)["error"]


# -- a service manager, a container ----------------------------------------------------------

ACTIVATE = """\
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
sock.bind(sys.argv[1])
sock.listen()
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_service_manager_hands_over_the_socket_and_is_told(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    (tmp_path / "agent").mkdir(mode=0o700)
    path = str(tmp_path / "agent" / "agent.sock")
    wrapped = [sys.executable, "-c", ACTIVATE, path]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(TIMEOUT)
        manager.bind(str(tmp_path / "notify"))
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        with RunningAgent(tmp_path, quick, wrapped=wrapped, env=env) as agent:
            told = [manager.recv(200).decode() for _ in range(3)]
            assert works(agent, host, container)
            agent.process.send_signal(signal.SIGHUP)
            agent.log.wait("serving", count=2)
            assert works(agent, host, container)
            assert "an agent has this socket already" in refuses_to_start(agent, wrapped)
        while (said := manager.recv(200).decode()) != "STOPPING=1":
            told.append(said.partition("\n")[0])

    assert told.count("READY=1") == 2
    assert told.count("RELOADING=1") == 1
    assert told.count("WATCHDOG=1") >= 2


def test_as_process_1_it_reaps_orphans_and_heeds_signals(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    wrapped = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    orphaning = config("misbehaving", odd="orphan")
    with RunningAgent(tmp_path, quick, wrapped=wrapped) as agent:
        for _ in range(3):
            outcome = agent.call(host, "misbehaving", "ADD", orphaning, container)
            assert outcome.status == 0, outcome
        (init,) = children(agent.process.pid)
        served = min(children(init))
        eventually(lambda: children(init) == [served], "orphans are reaped")
        os.kill(init, signal.SIGTERM)

        assert agent.process.wait(TIMEOUT) == 0
        assert agent.log.wait("stopped")["why"] == "SIGTERM"


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


# -- the queue of DELs -----------------------------------------------------------------------


def test_queued_deletes_are_done_before_calls_are_served(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    """The launcher of a node without Python keeps a DEL; the agent does it when it starts."""
    notes = tmp_path / "notes"
    delete = config("slow", journal=str(notes))
    with RunningAgent(tmp_path, quick) as agent:
        agent.kill()
        queued = agent.call(host, "slow", "DEL", delete, container)
        waiting = len(list(agent.queue.iterdir()))
        agent.start()
        agent.log.wait("queued DEL done", container=container.id)

        assert (queued.status, waiting) == (0, 1)
        assert re.match(f"DEL {container.id} ", notes.read_text())
        assert list(agent.queue.iterdir()) == []
        events = [line["event"] for line in agent.log.lines]
        assert events.index("queued DEL done") < len(events) - 1 - events[::-1].index("serving")


def test_a_delete_that_was_queued_meanwhile_is_done_before_the_add_that_follows(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    notes = tmp_path / "notes"
    slow = config("slow", journal=str(notes))
    with RunningAgent(tmp_path, quick) as agent:
        write_entry(agent.queue, slow, container, ifname="eth1")
        write_entry(agent.queue, slow, container, ifname="eth0")
        outcome = agent.call(host, "slow", "ADD", slow, container)
        agent.log.wait("queued DEL done", ifname="eth1")  # in its own time

        assert outcome.status == 0
        done = [line.split()[0] for line in notes.read_text().splitlines()]
        assert done.index("DEL") < done.index("ADD")
        eventually(lambda: list(agent.queue.iterdir()) == [])


def write_entry(
    directory: Path, slow: dict[str, Any], container: Container, *, ifname: str
) -> None:
    """Write what a launcher does that saw no agent."""
    variables = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": container.id, "CNI_IFNAME": ifname}
    data = queue.encode(QueuedCall(("slow",), variables, json.dumps(slow).encode()))
    directory.mkdir(mode=0o700, exist_ok=True)
    number = len(list(directory.iterdir()))
    name = f"{number:020}-{attachment_hash(container.id, ifname)}-1"
    (directory / ".tmp-entry").write_bytes(data)
    (directory / ".tmp-entry").rename(directory / name)


# -- health ----------------------------------------------------------------------------------


def test_probes_and_metrics_tell_how_it_is(
    quick: bytes, tmp_path: Path, host: Host, container: Container
) -> None:
    with RunningAgent(tmp_path, quick) as agent:
        assert works(agent, host, container)
        agent.log.wait("call ok")
        assert agent.probe("/livez") == (200, "alive\n")
        assert agent.probe("/readyz") == (200, "ready\n")
        assert agent.probe("/nonsense")[0] == 404
        status, text = agent.probe("/metrics")

    assert status == 200
    ok = 'cnisdk_agent_calls_total{plugin="misbehaving",command="ADD",outcome="ok"} 1'
    assert ok in text.splitlines()


def test_an_agent_that_waits_for_its_last_calls_is_alive_and_not_ready(
    quick: bytes, tmp_path: Path, host: Host
) -> None:
    with RunningAgent(tmp_path, quick) as agent:
        scene = Scene(agent, host, tmp_path)
        launcher = scene.add()
        agent.process.send_signal(signal.SIGTERM)
        eventually(lambda: agent.probe("/readyz")[0] == 503)
        alive = agent.probe("/livez")[0]
        scene.go_on()
        launcher.communicate(timeout=TIMEOUT)
        agent.process.wait(TIMEOUT)

    assert alive == 200
