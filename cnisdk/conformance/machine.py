"""A state machine that plays a runtime: stories of containers that come, go, fail and die.

`machine_for` makes a class for hypothesis (``machine_for(subject).TestCase`` for pytest), `tell`
runs it.  What happens is decided by hypothesis; a model knows what there must be then, and the
kernel is asked after every step.  A story that goes wrong is shortened, and told as a shell
script that does without this.

In strings of the subject's configuration ``$STATE`` is a directory of the story's own; what the
plugin keeps elsewhere outlives the story and makes the next one another.
"""

import ipaddress
import itertools
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cnisdk import versions
from cnisdk.conformance import ptrace, result as results, state
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Kind
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.runner import ask_versions
from cnisdk.conformance.story import STATE, Script
from cnisdk.conformance.subject import Subject
from cnisdk.conformance.tracees import Mode
from cnisdk.conformance.tracer import trace
from cnisdk.conformance.world import World

STEPS = 10
"""Longest story, in steps."""

_IFNAMES = ("eth0", "net1", "with.dot-15char")
_LAST_POINT = 40

_pick = st.integers(0, 7)
_point = st.integers(1, _LAST_POINT)


def tell(subject: Subject, stories: int, *, steps: int = STEPS, derandomize: bool = False) -> None:
    """Tell so many stories; the shortest that goes wrong is an AssertionError with its script."""
    how = settings(
        _settings, max_examples=stories, stateful_step_count=steps, derandomize=derandomize
    )
    try:
        run_state_machine_as_test(machine_for(subject), settings=how)
    except FlakyFailure as err:
        first = err.exceptions[0]
        raise AssertionError(f"Not every time: {first}") from err


_settings = settings(
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    stateful_step_count=STEPS,
)


def machine_for(subject: Subject) -> type["Runtime"]:
    """Return the state machine for ``subject``; the caller of a story is root in a private host."""

    class Machine(Runtime):
        pass

    Machine.subject, Machine.claimed, Machine.shared = subject, ask_versions(subject), None
    Machine.__name__ = f"Runtime of {subject.name}"
    Machine.TestCase.settings = settings(_settings, max_examples=20)
    return Machine


class Runtime(RuleBasedStateMachine):
    """A runtime with two networks; use `machine_for`."""

    subject: Subject
    claimed: list[str]
    shared: set[str] | None
    """What an ADD and a DEL leave on a host that has seen neither: a bridge, tables."""

    def __init__(self) -> None:
        super().__init__()
        self.live: list[Attachment] = []
        self.ended: list[Attachment] = []
        self._networks: set[str] = set()
        self._open()
        if self.shared is None:
            before = self.lines()
            attachment = self._prepare(0)
            self._expect(self.world.add(attachment), ok=True)
            self._expect(self.world.delete(attachment), ok=True)
            type(self).shared = self.lines() - before
            self._close()
            self._open()
        self._before = self.lines()

    def _open(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="story-", dir="/run"))
        text = json.dumps(self.subject.config or _default(self.subject))
        text = text.replace(STATE, str(self._directory / "state"))
        subject = replace(self.subject, config=json.loads(text))
        self.world = World(subject, self._directory, self.claimed)
        self.world.__enter__()
        self.script = Script(self.world)

    def _close(self) -> None:
        self.world.__exit__(None, None, None)
        shutil.rmtree(self._directory, ignore_errors=True)

    # -- what a runtime does ---------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        """Let a story that has no step be one."""

    @rule(network=st.integers(0, 1))
    def add(self, network: int) -> None:
        """Attach a new container."""
        self._add(self._prepare(network))

    @precondition(lambda self: self.live)
    @rule(which=_pick, ifname=st.sampled_from(_IFNAMES), network=st.integers(0, 1))
    def add_to_container(self, which: int, ifname: str, network: int) -> None:
        """Attach a container that is attached: with an interface that is there, refused."""
        container = self._one_of(self.live, which).container
        if not Path(container.path).exists():
            return
        taken = any(a.container is container and a.ifname == ifname for a in self.live)
        attachment = self._prepare(network, container=container, ifname=ifname)
        if not taken:
            self._add(attachment)
        elif self.subject.kind is Kind.INTERFACE:
            self._expect(self._call("ADD", attachment), ok=False)

    @precondition(lambda self: self.live)
    @rule(which=_pick)
    def check(self, which: int) -> None:
        """Check an attachment."""
        attachment = self._one_of(self.live, which)
        there = Path(attachment.container.path).exists()
        if there and versions.at_least(attachment.version, "0.4.0"):
            self._expect(self._call("CHECK", attachment), ok=True)

    @precondition(lambda self: self.live)
    @rule(which=_pick, netns=st.booleans(), prev=st.booleans())
    def delete(self, which: int, netns: bool, prev: bool) -> None:
        """Detach: as it should be, without namespace, without prevResult."""
        attachment = self._one_of(self.live, which)
        if not netns:
            self._vanish(attachment)
        self.live.remove(attachment)
        self._delete(attachment, netns=netns, prev=prev)

    @precondition(lambda self: self.ended)
    @rule(which=_pick)
    def delete_again(self, which: int) -> None:
        """Detach what is detached already."""
        attachment = self._one_of(self.ended, which)
        taken = [(a.container.id, a.ifname) for a in self.live]
        if (attachment.container.id, attachment.ifname) not in taken:
            self._expect(self._call("DEL", attachment), ok=True)

    @rule(network=st.integers(0, 1))
    def delete_first(self, network: int) -> None:
        """Detach what was never attached."""
        self._delete(self._prepare(network))

    @precondition(lambda self: self.live)
    @rule(which=_pick)
    def vanish(self, which: int) -> None:
        """Let a container's namespace go, with nobody telling the plugin."""
        self._vanish(self._one_of(self.live, which))

    @rule(network=st.integers(0, 1))
    def add_without_ipam(self, network: int) -> None:
        """Fail to attach, as the IPAM plugin is not installed."""
        attachment = self._prepare(network)
        if self.world.delegates:
            missing = {**attachment.config["ipam"], "type": "no-such-ipam"}
            attachment.config = {**attachment.config, "ipam": missing}
            self._expect(self._call("ADD", attachment), ok=False)

    @rule()
    def exhaust(self) -> None:
        """Attach with the last address there is, then fail to attach."""
        config = self._scarce()
        if config is None:
            return
        if all(a.config["name"] != config["name"] for a in self.live):
            self._add(self._known(self.world.prepare(config)))
        late = self._known(self.world.prepare(config))
        self._expect(self._call("ADD", late), ok=False)
        self._delete(late)

    @precondition(lambda self: ptrace.is_known())
    @rule(point=_point, mode=st.sampled_from(Mode), network=st.integers(0, 1))
    def interrupt(self, point: int, mode: Mode, network: int) -> None:
        """Kill an ADD, or fail a call of it, when it changes something; then detach."""
        attachment = self._prepare(network)
        traced = trace(
            self.subject.executable,
            self.world.environ("ADD", attachment),
            json.dumps(attachment.config).encode(),
            point=point,
            mode=mode,
        )
        attachment.added = traced.execution
        self.script.call("ADD", attachment, interrupt=(point, mode))
        self._delete(attachment, prev=traced.execution.ok)

    @precondition(lambda self: versions.at_least(self.world.version, "1.1.0"))
    @rule(forget=st.booleans())
    def gc(self, forget: bool) -> None:
        """Collect what is no longer valid: nothing, or what was attached first."""
        if not self.live:
            return
        lost = self.live[0]
        config = lost.config
        alone = [a for a in self.live if a.container is lost.container] == [lost]
        if forget and alone:
            self._vanish(lost)
            self.live.remove(lost)
            self.ended.append(lost)
        valid = [a for a in self.live if a.config["name"] == config["name"]]
        self.script.gc(config, valid)
        self._expect(self.world.gc(valid, config), ok=True)

    # -- what must be then -----------------------------------------------------------------

    @invariant()
    def addresses_are_unique_and_owned(self) -> None:
        """Each address is given once, and is on the interface that it was given to."""
        owners: dict[tuple[str, str], Attachment] = {}
        for attachment in self.live:
            given = {a.address for a in results.addresses(attachment.result)}
            for address in given:
                key = (attachment.config["name"], str(ipaddress.ip_interface(address).ip))
                if key in owners:
                    self._wrong(f"{key[1]} was given twice in the network {key[0]}")
                owners[key] = attachment
            if self.subject.kind is Kind.INTERFACE and Path(attachment.container.path).exists():
                link = state.look(attachment.container).links.get(attachment.ifname)
                if link is None:
                    self._wrong(f"{attachment.ifname} has gone")
                elif missing := given - set(state.addresses_of(link)):
                    self._wrong(f"{attachment.ifname} lacks {', '.join(sorted(missing))}")

    @invariant()
    def nothing_is_left_of_what_has_ended(self) -> None:
        """Links, rules and files are those of what is attached."""
        if problems := self._left():
            self._wrong("\n".join(problems))

    def teardown(self) -> None:
        """Detach everything, after which nothing may be left."""
        try:
            if not self._failed:
                while self.live:
                    self._delete(self.live.pop())
                if problems := self._left():
                    self._wrong("\n".join(problems))
        finally:
            self._close()

    _failed = False

    def _left(self) -> list[str]:
        """Return what there is that neither was, nor is shared, nor belongs to what is live."""
        living = {a.container.id for a in self.live}
        ended = {a.container.id for a in self.ended} - living
        known = self._before | (self.shared or set())
        links = {line.split()[1] for line in known if line.startswith("link ")}
        links |= {i["name"] for a in self.live for i in a.result.get("interfaces", ())}

        def left() -> list[str]:
            return [
                f"left: {line}"
                for line in sorted(self.lines() - known)
                if any(i in line for i in ended)
                or (line.startswith("link ") and line.split()[1] not in links)
                or (not self.live and not links & set(line.split()))
            ]

        def may_pass(found: list[str]) -> bool:
            # nobody is about to remove a file
            return bool(found) and not any(line.startswith("left: file") for line in found)

        return state.patiently(left, may_pass)

    def lines(self) -> set[str]:
        """Return what there is on the host, one line a thing."""
        lines = state.look(self.world.host, rules=True).lines()
        for path in self.world.host.state.rglob("*"):
            if path.is_file():
                text = path.read_bytes()[:4096].decode("utf-8", "replace").split()
                name = str(path).replace(str(self.world.host.state), STATE)
                # what it says is whose it is
                said = " ".join(word for word in text if self.world.host.name in word)
                lines.add(f"file {name} {said}".rstrip())
        for network in sorted(self._networks, key=len, reverse=True):
            lines = {line.replace(f"/{network}/", "/$NETWORK/") for line in lines}
        return lines

    # -- steps -----------------------------------------------------------------------------

    def _prepare(self, network: int, **how: Any) -> Attachment:
        config = self.world.config()
        if network:
            config["name"] += "-too"
        attachment = self.world.prepare(config, **how)
        return self._known(attachment)

    def _scarce(self) -> dict[str, Any] | None:
        """Return a network that has one address to give, where it is known how that is said."""
        config = self.world.config()
        ipam = config.get("ipam") or {}
        if "subnet" not in ipam:
            return None
        address = str(next(itertools.islice(ipaddress.ip_network(ipam["subnet"]).hosts(), 4, 5)))
        one = {"rangeStart": address, "rangeEnd": address}
        return {**config, "name": f"{config['name']}-full", "ipam": {**ipam, **one}}

    def _known(self, attachment: Attachment) -> Attachment:
        self.script.container(attachment)
        self._networks.add(attachment.config["name"])
        return attachment

    def _add(self, attachment: Attachment) -> None:
        done = self._call("ADD", attachment)
        self._expect(done, ok=True)
        if problems := results.problems(
            attachment.result, attachment.version, abbreviated=self.subject.kind is Kind.IPAM
        ):
            self._wrong("\n".join(problems))
        self.live.append(attachment)

    def _delete(self, attachment: Attachment, *, netns: bool = True, prev: bool = True) -> None:
        self._expect(self._call("DEL", attachment, netns=netns, prev=prev), ok=True)
        self.ended.append(attachment)

    def _call(
        self, command: str, attachment: Attachment, *, netns: bool = True, prev: bool = True
    ) -> Execution:
        self.script.call(command, attachment, netns=netns, prev=prev)
        if command == "ADD":
            return self.world.add(attachment)
        if command == "CHECK":
            return self.world.check(attachment)
        return self.world.delete(attachment, None if netns else {"CNI_NETNS": ""}, prev=prev)

    def _vanish(self, attachment: Attachment) -> None:
        if Path(attachment.container.path).exists():
            self.script.vanish(attachment)
            attachment.container.close()

    def _one_of(self, attachments: list[Attachment], which: int) -> Attachment:
        return attachments[which % len(attachments)]

    def _expect(self, done: Execution, *, ok: bool) -> None:
        if done.ok is not ok:
            should = "should have succeeded" if ok else "should have failed"
            said = done.stdout.decode("utf-8", "replace")
            self._wrong(f"{done.command} {should}: {done.ending()}\n{said}")

    def _wrong(self, problem: str) -> None:
        self._failed = True
        raise AssertionError(f"{self.script.named(problem)}\n\n{self.script.text(problem)}")


def _default(subject: Subject) -> dict[str, Any]:
    """Return a configuration whose IPAM is a plugin of its own."""
    if subject.kind is Kind.IPAM:
        return subject.base_config("", Path(STATE))
    ipam = {"type": "host-local", "subnet": "10.78.0.0/24", "dataDir": f"{STATE}/networks"}
    return {**subject.base_config("host-local", Path(STATE)), "ipam": ipam}
