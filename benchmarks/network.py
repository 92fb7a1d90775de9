"""What a runtime hands to a plugin: the network's configuration, containers and variables.

A `Network` is one network of one plugin on a host of its own, so no bridge, rule or reservation
of one contestant is in the way of another.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.host import Host, Namespace
from benchmarks.processes import Command

IPV4 = {"subnet": "10.88.0.0/16"}
IPV6 = {"subnet": "fd00:88::/64"}

_ids = itertools.count(1)


def plain() -> dict[str, Any]:
    """Return the usual configuration of a node's network: a gateway, IPv4, a default route."""
    return {
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipam": {"type": "host-local", "ranges": [[IPV4]], "routes": [{"dst": "0.0.0.0/0"}]},
    }


def masquerading(backend: str = "") -> dict[str, Any]:
    """Return the usual configuration with ``ipMasq``; no ``backend`` is iptables."""
    chosen = {"ipMasqBackend": backend} if backend else {}
    return {**plain(), "ipMasq": True, **chosen}


def dual_stack() -> dict[str, Any]:
    """Return the usual configuration with IPv6 beside IPv4."""
    config = plain()
    config["ipam"]["ranges"].append([IPV6])
    config["ipam"]["routes"].append({"dst": "::/0"})
    return config


class Subject(NamedTuple):
    """Executables to be measured, ``bridge`` and ``host-local`` in a directory."""

    name: str
    directory: str
    env: Mapping[str, str] = {}
    """What they need besides the variables that a runtime sets."""
    agent_pid: int = 0
    """The process whose CPU time is theirs too."""


class Attachment(NamedTuple):
    """A container to be attached, and what ADD said of it."""

    container: Namespace
    id: str
    result: Any = None


class Network:
    """One network of ``subject``, and containers on a host of its own."""

    def __init__(self, subject: Subject, config: Mapping[str, Any], state: Path) -> None:
        self.subject = subject
        self.state = state
        state.mkdir(parents=True)
        self.config = json.loads(json.dumps(config))
        self.config["ipam"]["dataDir"] = str(state)
        self.host = Host()

    def close(self) -> None:
        """Take the host and its containers away."""
        self.host.close()

    def attachments(self, count: int) -> list[Attachment]:
        """Return containers that were never attached."""
        return [self.again(Attachment(self.host.container(), "")) for _ in range(count)]

    def again(self, attachment: Attachment) -> Attachment:
        """Return the same namespace as another container."""
        name = f"{attachment.container.name} {next(_ids)}"
        return Attachment(attachment.container, hashlib.sha256(name.encode()).hexdigest())

    def add(self, attachment: Attachment) -> Command:
        """Return what attaches a container."""
        return self.call("ADD", attachment)

    def delete(self, attachment: Attachment) -> Command:
        """Return what detaches it; as libcni does it passes the result of ADD."""
        return self.call("DEL", attachment, prevResult=attachment.result)

    def call(
        self,
        command: str,
        attachment: Attachment | None = None,
        *,
        plugin: str = "bridge",
        **more: object,
    ) -> Command:
        """Return one call; ``more`` is added to the configuration."""
        env = {
            "CNI_COMMAND": command,
            "CNI_PATH": self.subject.directory,
            "PATH": os.environ["PATH"],
            **self.subject.env,
        }
        if attachment is not None:
            env |= {
                "CNI_CONTAINERID": attachment.id,
                "CNI_NETNS": attachment.container.path,
                "CNI_IFNAME": "eth0",
                "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=bench",
            }
        stdin = json.dumps({**self.config, **more})
        return Command((f"{self.subject.directory}/{plugin}",), env, stdin.encode())
