"""Measure several contestants in turns, so that a noisy machine is noisy for all of them.

One round has each contestant attach and detach once; the order is turned round every time.  What
is compared later is the pairs of one round.
"""

import gc
import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from benchmarks.network import Attachment, Network
from benchmarks.processes import Command, FailedError, Sample, cpu_of, run, run_together
from benchmarks.rows import Series, spread

_UNCERTAIN = 0.2
"""With a wider spread of a ratio than this, as many rounds again are made."""
_EXTENSIONS = 3


class Contestant(Protocol):
    """Whoever can do and undo something, again and again."""

    @property
    def name(self) -> str:
        """Unlike that of all others."""

    def attach(self) -> Sample:
        """Do it."""

    def detach(self) -> Sample:
        """Take it back."""


class Outcome(NamedTuple):
    """What one contestant did, round by round."""

    attach: Series
    detach: Series


class Plugin:
    """Attaches one container a round, a few containers in turn."""

    def __init__(self, network: Network, name: str = "", *, plugin: str = "bridge") -> None:
        self.name = name or network.subject.name
        self.network = network
        self.plugin = plugin
        self.pool = network.attachments(4)
        if plugin == "bridge":
            inhabit(network)

    def attach(self) -> Sample:
        """ADD."""
        self.attachment = self.network.again(self.pool[0])
        self.pool.append(self.pool.pop(0))
        command = self.network.call("ADD", self.attachment, plugin=self.plugin)
        sample = in_network(self.network, lambda: run(command))
        self.attachment = with_result(self.attachment, sample)
        return sample

    def detach(self) -> Sample:
        """DEL."""
        more = {"prevResult": self.attachment.result} if self.plugin == "bridge" else {}
        command = self.network.call("DEL", self.attachment, plugin=self.plugin, **more)
        return in_network(self.network, lambda: run(command))


class Crowd:
    """Attaches many containers at the same moment; the whole is one sample."""

    def __init__(self, network: Network, count: int, *, at_once: int = 0, name: str = "") -> None:
        self.name = name or network.subject.name
        self.network = network
        self.at_once = at_once
        self.pool = network.attachments(count)
        inhabit(network)

    def attach(self) -> Sample:
        """ADD all."""
        self.pool = [self.network.again(attachment) for attachment in self.pool]
        whole, each = self._together([self.network.add(one) for one in self.pool])
        self.pool = [with_result(*pair) for pair in zip(self.pool, each, strict=True)]
        return whole

    def detach(self) -> Sample:
        """DEL all."""
        whole, _ = self._together([self.network.delete(one) for one in self.pool])
        return whole

    def _together(self, commands: Sequence[Command]) -> tuple[Sample, list[Sample]]:
        each: list[Sample] = []

        def execute() -> Sample:
            whole, samples = run_together(commands, self.at_once)
            each.extend(samples)
            return whole

        return in_network(self.network, execute), each


class Program:
    """Executes commands that do without CNI, one after the other; a sample is their sum."""

    def __init__(
        self,
        name: str,
        attach: Sequence[Command],
        detach: Sequence[Command] = (),
        network: Network | None = None,
    ) -> None:
        self.name = name
        self.network = network
        self.commands = (attach, detach or attach)

    def attach(self) -> Sample:
        """Execute what does it."""
        return self._run(self.commands[0])

    def detach(self) -> Sample:
        """Execute what takes it back."""
        return self._run(self.commands[1])

    def _run(self, commands: Sequence[Command]) -> Sample:
        def execute() -> Sample:
            samples = [run(command) for command in commands]
            return Sample(sum(s.wall for s in samples), sum(s.cpu for s in samples), b"")

        return in_network(self.network, execute) if self.network else execute()


def inhabit(network: Network) -> None:
    """Attach a container that stays: a bridge with its first port is no usual one."""
    (first,) = network.attachments(1)
    in_network(network, lambda: run(network.add(first)))


def in_network(network: Network, execute: Callable[[], Sample]) -> Sample:
    """Execute on the network's host; the agent's CPU time is added."""
    with network.host.inside():
        pid = network.subject.agent_pid
        before = cpu_of(pid) if pid else 0.0
        sample = execute()
        after = cpu_of(pid) if pid else 0.0
    return sample._replace(cpu=sample.cpu + after - before)


def with_result(attachment: Attachment, sample: Sample) -> Attachment:
    """Return ``attachment`` with what ADD printed; it must have given an address."""
    result = json.loads(sample.stdout)
    if not result.get("ips"):
        raise FailedError(f"ADD without an address: {result}")
    return attachment._replace(result=result)


def contest(
    contestants: Sequence[Contestant], rounds: int, *, extend: bool, warm_up: int
) -> Mapping[str, Outcome]:
    """Let all ``contestants`` play against each other; the first is whom the others aim at.

    With ``extend`` up to three times as many rounds, until the ratios to the first are certain.
    """
    outcomes = {c.name: Outcome(Series([], []), Series([], [])) for c in contestants}
    gc.collect()
    gc.disable()
    try:
        for _ in range(warm_up):
            _round(contestants, {})
        for turn in range(_EXTENSIONS * rounds if extend else rounds):
            if turn and turn % rounds == 0 and not _uncertain(outcomes):
                break
            _round(contestants if turn % 2 else contestants[::-1], outcomes)
    finally:
        gc.enable()
    return outcomes


def _round(contestants: Sequence[Contestant], outcomes: Mapping[str, Outcome]) -> None:
    for contestant in contestants:
        attached, detached = contestant.attach(), contestant.detach()
        if outcomes:
            outcome = outcomes[contestant.name]
            for series, sample in ((outcome.attach, attached), (outcome.detach, detached)):
                series.wall.append(sample.wall)
                series.cpu.append(sample.cpu)


def _uncertain(outcomes: Mapping[str, Outcome]) -> bool:
    first, *others = outcomes.values()
    return any(
        spread([a / b for a, b in zip(mine.wall, theirs.wall, strict=True)]).uncertainty
        > _UNCERTAIN
        for other in others
        for mine, theirs in ((other.attach, first.attach), (other.detach, first.detach))
    )
