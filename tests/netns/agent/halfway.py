"""An ADD that waits half-way, until a test lets it go on."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.host import Host
from tests.netns.agent.agents import RunningAgent

if TYPE_CHECKING:
    import subprocess


class Scene:
    """An ADD that waits half-way, on a host of its own."""

    def __init__(self, agent: RunningAgent, host: Host, directory: Path) -> None:
        self.agent = agent
        self.host = host
        self.container = host.container()
        self.notes = directory / "notes"
        self.reached = directory / "reached"
        self.gate = directory / "gate"
        os.mkfifo(self.reached)
        os.mkfifo(self.gate)
        self.config: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net",
            "type": "slow",
            "journal": str(self.notes),
            "reached": str(self.reached),
            "gate": str(self.gate),
        }

    def add(self) -> "subprocess.Popen[bytes]":
        """Begin the ADD, and return when it waits."""
        process = self.agent.begin(self.host, "slow", "ADD", self.config, self.container)
        assert self.reached.read_text() == "reached"
        return process

    def go_on(self) -> None:
        self.gate.write_text("go on")

    def delete(self) -> "subprocess.Popen[bytes]":
        return self.agent.begin(self.host, "slow", "DEL", self.config, self.container)

    @property
    def done(self) -> list[str]:
        """What was done, in order, all of it on the right host."""
        inode = os.stat(self.host.path).st_ino
        lines = [line.split() for line in self.notes.read_text().splitlines()]
        assert {int(line[-1]) for line in lines} == {inode}
        return [line[0] for line in lines]

    @property
    def has_link(self) -> bool:
        return "slow0" in self.host.snapshot()["links"]
