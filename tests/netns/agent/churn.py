"""Many clients that attach and detach, while some of them and the agent itself are killed.

Each client is a runtime as the specification wants it: one call at a time for each attachment,
and DEL after an ADD that failed or was killed, until it succeeds.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from cnisdk.net.netns import NetNS
from tests.host import Container, Host, cni_variables
from tests.netns.agent.agents import TIMEOUT, RunningAgent

KILLED_CLIENTS = 0.09
KILLED_AGENTS = 0.01
"""Of all calls; together one in ten."""

MAX_DELETES = 20


class Use(NamedTuple):
    """What the agent holds."""

    resident: int
    fds: int
    threads: int


class Churn:
    """The state that the clients share."""

    def __init__(self, agent: RunningAgent, host: Host, *, calls: int, clients: int = 16) -> None:
        self.agent = agent
        self.host = host
        self.total = calls
        self.calls = 0
        self.failed = 0
        self.killed_clients = 0
        self.killed_agents = 0
        self.attached: dict[str, str] = {}
        """Address: the container that has it."""
        self.problems: list[str] = []
        self.kills_agents = True
        self._serving = threading.Event()
        self._serving.set()
        self._random = random.Random(calls)  # noqa: S311 - to be repeated
        self._lock = threading.Lock()
        self._containers = [host.container() for _ in range(clients)]
        self.config = json.dumps(
            {
                "cniVersion": "1.1.0",
                "name": "churn",
                "type": "bridge",
                "bridge": "br0",
                "isGateway": True,
                "ipMasq": True,
                "ipMasqBackend": "nftables",
                "ipam": {
                    "type": "host-local",
                    "subnet": "10.1.0.0/24",
                    "dataDir": str(host.state / "ipam"),
                },
            }
        ).encode()

    def run(self, calls: int) -> None:
        """Have the clients make so many calls more."""
        until = self.calls + calls
        threads = [
            threading.Thread(target=self._client, args=(container, until))
            for container in self._containers
        ]
        if self.kills_agents:
            threads.append(threading.Thread(target=self._kill_agents, args=(until,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def use(self) -> Use:
        """Return what the agent holds now, that it has no call."""
        tasks = len(os.listdir(f"/proc/{self.agent.process.pid}/task"))
        return Use(self.agent.resident(), self.agent.fds(), tasks)

    def leaks(self) -> Iterator[str]:
        """Yield everything that is left, though nothing is attached."""
        now = self.host.snapshot()
        for name, link in now["links"].items():
            if name not in ("lo", "br0"):
                yield f"link {name}: {link}"
        for name in now["files"]:
            if os.path.basename(name).startswith("10."):
                yield f"address {name}"
        for entry in now["nft"]:
            if "expr" in entry and "10.1.0." in json.dumps(entry):
                yield f"rule {entry}"
        for container in self._containers:
            for link in container.json("ip", "link"):
                if link["ifname"] != "lo":
                    yield f"link {link['ifname']} in {container.id}"

    # -- a client -----------------------------------------------------------------------------

    def _client(self, container: Container, until: int) -> None:
        with NetNS.open(self.host.path) as host:
            host.move_thread()
        while self.calls < until:
            try:
                self._attach_and_detach(container)
            except (AssertionError, OSError, ValueError, LookupError) as err:
                self.problems.append(f"{container.id}: {err!r}")
                return

    def _attach_and_detach(self, container: Container) -> None:
        self._serving.wait(TIMEOUT)  # a runtime does not try again at once
        status, stdout = self._call("ADD", container)
        address = ""
        if status == 0:
            address = json.loads(stdout)["ips"][0]["address"]
            with self._lock:
                other = self.attached.setdefault(address, container.id)
            if other != container.id:
                self.problems.append(f"{address} belongs to {other} and {container.id}")
            if self._chance(0.2):
                self._call("CHECK", container, json.loads(stdout))
            # Free for others as soon as the DEL has begun.
            with self._lock:
                self.attached.pop(address, None)
        for _ in range(MAX_DELETES):
            if self._call("DEL", container)[0] == 0:
                return
        self.problems.append(f"{container.id}: DEL failed {MAX_DELETES} times")

    def _call(
        self, command: str, container: Container, prev_result: Any = None
    ) -> tuple[int, bytes]:
        """Execute the launcher, or kill it on the way; return exit status and stdout."""
        config = self.config
        if prev_result is not None:
            config = json.dumps({**json.loads(config), "prevResult": prev_result}).encode()
        environ = {
            **cni_variables(command, container, str(self.agent.path)),
            "PATH": os.environ["PATH"],
        }
        patience = self._patience()
        with subprocess.Popen(
            [self.agent.path / "bridge"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                stdout, _ = process.communicate(config, timeout=patience)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, _ = process.communicate()
                if patience == TIMEOUT:
                    self.problems.append(f"{command} of {container.id} took {TIMEOUT} s")
        with self._lock:
            self.calls += 1
            self.killed_clients += process.returncode < 0
            self.failed += process.returncode > 0
        return process.returncode, stdout

    def _patience(self) -> float:
        if self._chance(KILLED_CLIENTS):
            with self._lock:
                return self._random.uniform(0, 0.05)
        return TIMEOUT

    def _chance(self, probability: float) -> bool:
        with self._lock:
            return self._random.random() < probability

    # -- the agent ----------------------------------------------------------------------------

    def _kill_agents(self, until: int) -> None:
        """Kill the agent, every hundredth call or so, and start it again."""
        while self.calls < until:
            at = self.calls + self._random.expovariate(KILLED_AGENTS)
            while self.calls < min(at, until):
                time.sleep(0.001)
            if self.calls >= until:
                return
            assert self.agent.kill(signal.SIGKILL) == -signal.SIGKILL
            self._serving.clear()
            self.agent.start()
            self._serving.set()
            self.killed_agents += 1
