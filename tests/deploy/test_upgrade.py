"""Upgrading a node and taking everything away, under calls that never cease."""

import copy
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cnisdk.build.executable import Options
from tests.deploy import manifests
from tests.deploy.manifests import KUBERNETES, Object
from tests.deploy.node import Agent, Node
from tests.host import REFERENCE
from tests.netns.agent.agents import eventually
from tests.netns.build.conftest import UNPACKED, built_once

NETWORK = "10-cnisdk.conflist"
OBJECTS = manifests.read(KUBERNETES / "base")
POD = manifests.pod(OBJECTS)
UNINSTALL = manifests.read(KUBERNETES / "uninstall")


@pytest.fixture(scope="session")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executables of another version: of other bytes, for the same agent."""
    options = Options(unpack_dirs=(str(UNPACKED), f"{UNPACKED}-later"))
    return built_once(tmp_path_factory, "upgraded", options)


class Runtime:
    """Attaches and detaches a container again and again, until it is told to stop.

    Each time to the network whose file is sorted first, as runtimes do.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.container = node.host.container()
        self.rounds = 0
        self.network = ""
        """Which one it was the last time."""
        self.failed: list[object] = []
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop:
                config = self._first()
                for command in ("ADD", "DEL"):
                    outcome = self.node.plugin(command, self.container, config)
                    if outcome.status != 0:
                        self.failed.append(outcome)
                self.network = config["name"]
                self.rounds += 1
        except Exception as err:
            self.failed.append(err)

    def _first(self) -> dict[str, Any]:
        while True:
            name = min(os.listdir(self.node.path("/etc/cni/net.d")))
            with suppress(FileNotFoundError):  # gone since: there is another one
                return self.node.network(name)

    def stop(self) -> None:
        self._stop = True
        self._thread.join()


@contextmanager
def calling(node: Node) -> Iterator[list[Runtime]]:
    runtimes = [Runtime(node), Runtime(node)]
    try:
        yield runtimes
    finally:
        for runtime in runtimes:
            runtime.stop()


def go_on(runtimes: list[Runtime], rounds: int) -> None:
    """Return when every runtime has begun and ended so many rounds more."""
    before = [runtime.rounds for runtime in runtimes]
    eventually(
        lambda: all(
            runtime.rounds > then + rounds for runtime, then in zip(runtimes, before, strict=True)
        )
    )


def agent(node: Node) -> Agent:
    return Agent(node, node.setup(POD, POD["containers"][0], OBJECTS))


def test_no_call_fails_while_the_pod_of_a_node_is_replaced(node: Node, upgraded: Path) -> None:
    """In the order of a rolling update: the old pod ends, the new one installs, then serves."""
    node.run_init(OBJECTS, POD)
    node.boot()
    with ExitStack() as stack:
        old = stack.enter_context(agent(node))
        with calling(node) as runtimes:
            go_on(runtimes, 2)
            served = len(old.log.find("call ok"))
            ended = old.terminate()
            go_on(runtimes, 1)
            node.plugins = upgraded
            said = node.run_init(OBJECTS, POD)
            go_on(runtimes, 1)
            new = stack.enter_context(agent(node))
            go_on(runtimes, 2)
            served_anew = len(new.log.find("call ok"))

    assert [runtime.failed for runtime in runtimes] == [[], []]
    assert ended == 0
    assert served > 0
    assert served_anew > 0
    assert "put /opt/cni/bin/bridge" in said
    installed = node.path("/opt/cni/bin/bridge").read_bytes()
    assert installed == (upgraded / "bridge").read_bytes()
    assert_nothing_is_attached(node)


def another_network(node: Node, file: str, name: str) -> None:
    """Have a network that is not ours, with a plugin that is not."""
    plugin = node.path("/opt/cni/bin/loopback")
    if not plugin.exists():
        shutil.copy(f"{REFERENCE}/loopback", plugin)
    wire = {"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "loopback"}]}
    directory = node.path("/etc/cni/net.d")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f".{file}").write_text(json.dumps(wire))
    (directory / f".{file}").rename(directory / file)


def renamed(objects: list[Object], file: str, name: str) -> list[Object]:
    """Return the objects with another network in the ConfigMap."""
    changed = copy.deepcopy(objects)
    (networks,) = [one for one in changed if one["kind"] == "ConfigMap"]
    wire = {**json.loads(networks["data"][NETWORK]), "name": name}
    networks["data"] = {file: json.dumps(wire)}
    return changed


def test_no_call_fails_from_the_installation_to_its_end(node: Node) -> None:
    """Nor is a node ever without a network: each round has one, and its plugin is there."""
    another_network(node, "50-before.conflist", "before")
    node.boot()
    networks = []
    with ExitStack() as stack:
        runtimes = stack.enter_context(calling(node))

        def go_on_with(name: str) -> None:
            eventually(lambda: all(runtime.network == name for runtime in runtimes), name)
            go_on(runtimes, 1)
            networks.append({runtime.network for runtime in runtimes})

        go_on_with("before")
        node.run_init(OBJECTS, POD)
        go_on_with("cnisdk")
        with agent(node) as old:
            go_on_with("cnisdk")
            old.terminate()
        node.run_init(renamed(OBJECTS, "20-pods.conflist", "pods"), POD)
        go_on_with("pods")
        with agent(node) as new:
            go_on_with("pods")
            another_network(node, "05-after.conflist", "after")
            go_on_with("after")
            new.terminate()
        said = node.run_init(UNINSTALL, manifests.pod(UNINSTALL))
        go_on_with("after")

    assert [runtime.failed for runtime in runtimes] == [[], []]
    assert networks == [
        {n} for n in ("before", "cnisdk", "cnisdk", "pods", "pods", "after", "after")
    ]
    for path in (
        "/etc/cni/net.d/20-pods.conflist",
        "/opt/cni/bin/bridge",
        "/opt/cni/bin/host-local",
    ):
        assert f"removed {path}" in said
    assert not node.path(f"/etc/cni/net.d/{NETWORK}").exists()
    assert node.host.links().keys() == {"lo", "cnisdk0"}


def assert_nothing_is_attached(node: Node) -> None:
    assert node.host.links().keys() == {"lo", "cnisdk0"}
    assert not list(node.path("/var/lib/cni/networks/cnisdk").glob("10.88.*"))


def test_pods_come_and_go_without_the_daemonset(node: Node) -> None:
    """After `kubectl delete`: what is installed needs no agent."""
    node.run_init(OBJECTS, POD)
    node.boot()
    container, other = node.host.container(), node.host.container()
    with agent(node) as served:
        first = node.call("ADD", container, NETWORK)
        served.terminate()

    outcomes = [
        node.call("ADD", other, NETWORK),
        node.call("DEL", container, NETWORK),
        node.call("DEL", other, NETWORK),
    ]

    assert [outcome.status for outcome in (first, *outcomes)] == [0, 0, 0, 0]
    assert_nothing_is_attached(node)


def test_uninstalling_takes_away_what_was_installed(node: Node) -> None:
    other = node.path("/opt/cni/bin/loopback")
    other.write_text("somebody else's")
    node.run_init(OBJECTS, POD)

    said = node.run_init(UNINSTALL, manifests.pod(UNINSTALL))

    assert said.index("removed /etc/cni/net.d") < said.index("removed /opt/cni/bin/bridge")
    assert list(node.path("/etc/cni/net.d").iterdir()) == []
    assert list(node.path("/opt/cni/bin").iterdir()) == [other]
