"""All containers of a large node at once, from eight clients."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.host import Container, Host, Outcome
from tests.interop.remains import remains
from tests.netns.agent.agents import RunningAgent

CONTAINERS = 500
CLIENTS = 8


class Node:
    """A host whose containers are attached to one dual-stack network."""

    def __init__(self, agent: RunningAgent, host: Host) -> None:
        self.agent = agent
        self.host = host
        self.config: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net1",
            "type": "bridge",
            "bridge": "br0",
            "isDefaultGateway": True,
            "ipMasq": True,
            "ipMasqBackend": "nftables",
            "ipam": {
                "type": "host-local",
                "dataDir": str(host.state / "ipam"),
                "ranges": [[{"subnet": "10.1.0.0/22"}], [{"subnet": "2001:db8::/64"}]],
            },
        }
        self.results: dict[Container, dict[str, Any]] = {}

    def add(self, container: Container) -> Outcome:
        outcome = self.agent.call(self.host, "bridge", "ADD", self.config, container)
        if outcome.status == 0:
            self.results[container] = outcome.json
        return outcome

    def check(self, container: Container) -> Outcome:
        return self._with_result("CHECK", container)

    def delete(self, container: Container) -> Outcome:
        return self._with_result("DEL", container)

    def _with_result(self, command: str, container: Container) -> Outcome:
        config = {**self.config, "prevResult": self.results[container]}
        return self.agent.call(self.host, "bridge", command, config, container)

    def addresses(self) -> list[str]:
        """Return what ADD reported."""
        return [
            ip["address"].partition("/")[0]
            for result in self.results.values()
            for ip in result["ips"]
        ]

    def ports(self) -> int:
        return len(self.host.json("ip", "link", "show", "master", "br0"))

    def reserved(self) -> set[str]:
        return {file.name for file in (self.host.state / "ipam/net1").glob("[12]*[.:]*")}

    def masqueraded(self) -> int:
        return self.host.run("nft", "list", "ruleset").stdout.count(" masquerade comment ")


def problems(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.status != 0 or outcome.stderr]


def test_500_containers_are_attached_checked_and_detached(agent: RunningAgent, host: Host) -> None:
    node = Node(agent, host)
    containers = [host.container() for _ in range(CONTAINERS)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        assert problems(clients.map(node.add, containers)) == []

        addresses = node.addresses()
        assert len(addresses) == len(set(addresses)) == 2 * CONTAINERS
        assert node.reserved() == set(addresses)
        assert node.ports() == CONTAINERS
        assert node.masqueraded() == 2 * CONTAINERS
        assert problems(clients.map(node.check, containers)) == []

        assert problems(clients.map(node.delete, containers)) == []

    assert remains(host) == []
