"""Upgrading a node and taking everything away, under calls that never cease."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cnisdk.build.executable import Options
from tests.deploy import manifests
from tests.deploy.manifests import KUBERNETES
from tests.deploy.node import Agent, Node
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
    """Attaches and detaches one container after the other, until it is told to stop."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.container = node.host.container()
        self.rounds = 0
        self.failed: list[object] = []
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        config = self.node.network(NETWORK)
        while not self._stop:
            for command in ("ADD", "DEL"):
                outcome = self.node.plugin(command, self.container, config)
                if outcome.status != 0:
                    self.failed.append(outcome)
            self.rounds += 1

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
