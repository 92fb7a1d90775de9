"""Interrupt an ADD at everything that it changes, and see whether DEL takes it all back.

Each point is a story of its own on a host of its own: an ADD that is killed, or of which one
system call fails, then DEL, then another container that comes and goes.  What a plugin makes
once and for all, such as its bridge, is known from a story in which nothing is interfered with:
that may be there afterwards, and after the other container it has to be there whole.

Through an agent it is the agent that is killed, or that goes on after one of its system calls has
failed; a new one, or that one, does what follows.
"""

import contextlib
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnisdk.conformance import state
from cnisdk.conformance.agent import Agent
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.changes import Change
from cnisdk.conformance.check import Inapplicable
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.runner import ask_versions
from cnisdk.conformance.subject import Subject
from cnisdk.conformance.tracees import Mode
from cnisdk.conformance.tracer import Trace, trace
from cnisdk.conformance.world import World
from cnisdk.runtime.defaults import NETNS_DIR

WAYS = ("with the namespace", "without the namespace")
"""How DEL is called: as if the container was still there, and as if it had gone."""

_STATE = "$STATE"
_BYSTANDER = "bystander"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One ADD that was interfered with, and what became of it."""

    number: int
    change: Change | None
    """None if the call was not reached this time."""
    way: str
    problems: tuple[str, ...]
    executions: tuple[Execution, ...]
    """The ADD, the DEL, and those of the other container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All points."""

    subject: Subject
    mode: Mode
    changes: tuple[Change, ...]
    """What an ADD changes when it is left alone."""
    points: tuple[Point, ...]

    @property
    def failed(self) -> list[Point]:
        """The points that left something, or after which something did not work."""
        return [point for point in self.points if point.problems]


def sweep(
    subject: Subject,
    *,
    mode: Mode = Mode.KILL,
    most: int = 0,
    only: int = 0,
    warm: bool = False,
    agent: bool = False,
    watched: Sequence[Path] = (),
    started: Callable[[int], object] = lambda points: None,
    progress: Callable[[Point], object] = lambda point: None,
) -> Sweep:
    """Try every point, or ``most`` spread evenly over all, or ``only`` the one of that number.

    With ``warm`` another container is attached all the while, and must come to no harm.  With
    ``agent`` the executable has its calls made by an agent, and that is interfered with.
    ``watched`` are the directories in which the plugin keeps files; what it adds there is
    removed after each point, so nobody else may use them.  The caller is root in a private
    host.  Raises `Inapplicable` if an ADD that is left alone does not work.
    """
    directory = Path(tempfile.mkdtemp(prefix="sweep-", dir="/run"))
    try:
        stage = _Stage(subject, directory, warm, agent, watched)
        found = stage.rehearse()
        numbers = [only] if only else _spread(len(found), most)
        started(len(numbers) * len(WAYS))
        points = []
        for number in numbers:
            for way in WAYS:
                with stage.story() as story:
                    points.append(story.point(number, mode, way))
                progress(points[-1])
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Sweep(subject=subject, mode=mode, changes=tuple(found), points=tuple(points))


def changes(
    subject: Subject, *, warm: bool = False, agent: bool = False, watched: Sequence[Path] = ()
) -> list[Change]:
    """Return what an ADD changes that is left alone: the points, in their order."""
    directory = Path(tempfile.mkdtemp(prefix="sweep-", dir="/run"))
    try:
        return _Stage(subject, directory, warm, agent, watched).rehearse()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _spread(count: int, most: int) -> list[int]:
    if not 0 < most < count:
        return list(range(1, count + 1))
    if most == 1:
        return [count]
    return [1 + index * (count - 1) // (most - 1) for index in range(most)]


class _Stage:
    """Where stories are played, and what may be there after one."""

    def __init__(
        self,
        subject: Subject,
        directory: Path,
        warm: bool,
        agent: bool,
        watched: Sequence[Path],
    ) -> None:
        self.subject = subject
        self.directory = directory
        self.warm = warm
        self.agent = agent
        self.watched = [*watched] or [Path(path) for path in state.WATCHED]
        self.remainder: set[str] | None = None
        self._claimed = ask_versions(subject)
        self._count = 0

    def rehearse(self) -> list[Change]:
        """Play it without interference: return what ADD changes, and know what may stay.

        Twice, since at the first time an executable may make what it keeps for good, such as
        what it unpacks, where nobody watches.
        """
        self._play_undisturbed()
        changes, self.remainder = self._play_undisturbed()
        return changes

    def _play_undisturbed(self) -> tuple[list[Change], set[str]]:
        with self.story() as clean:
            clean.play(0, Mode.KILL, WAYS[0])
            if clean.problems:
                raise Inapplicable("\n".join(clean.problems))
            return clean.traced.changes, clean.lines()

    @contextlib.contextmanager
    def story(self) -> Iterator["_Story"]:
        """Yield a story on a host of its own."""
        self._count += 1
        directory = self.directory / str(self._count)
        directory.mkdir()
        before = self.files()
        # Stories come one after the other, and names of chains are made of the network's.
        with World(self.subject, directory, self._claimed, own_network=False) as world:
            story = _Story(self, world)
            try:
                yield story
            finally:
                story.close()
                for path in sorted(self.files() - before, reverse=True):
                    with contextlib.suppress(OSError):
                        path.rmdir() if path.is_dir() else path.unlink()
        shutil.rmtree(directory, ignore_errors=True)

    def files(self) -> set[Path]:
        """Return what there is in the directories that are watched."""
        found = set()
        for root in self.watched:
            for directory, names, files in os.walk(root):
                here = Path(directory)
                names[:] = [n for n in names if here / n not in (self.directory, Path(NETNS_DIR))]
                found |= {here / name for name in (*names, *files)}
        return found


class _Story:
    """An ADD that is interfered with, and what comes after it."""

    traced: Trace

    def __init__(self, stage: _Stage, world: World) -> None:
        self._stage = stage
        self._world = world
        self.problems: list[str] = []
        self._bystander: Attachment | None = None
        self._agent: Agent | None = None

    def close(self) -> None:
        """End the agent."""
        if self._agent is not None:
            self._agent.close()

    def point(self, number: int, mode: Mode, way: str) -> Point:
        """Play it, and say what became of it."""
        self.play(number, mode, way)
        changes = self.traced.changes
        return Point(
            number=number,
            change=changes[number - 1] if number <= len(changes) else None,
            way=way,
            problems=tuple(self.problems),
            executions=tuple(self._world.journal),
        )

    def play(self, number: int, mode: Mode, way: str) -> None:
        """ADD, interfered with; DEL; a look around; another container."""
        world = self._world
        traced = trace
        if self._stage.agent:
            self._agent = Agent(self._directory())
            traced = self._agent.trace
        if self._stage.warm:
            # By the same ID in each story: names of links and chains are made of it.
            environ = {**self._environ(), "CNI_CONTAINERID": _BYSTANDER}
            self._bystander = world.attached(environ=environ)
            world.journal.clear()
        attachment = world.prepare(environ=self._environ())
        before = self.lines()
        inside = state.look(attachment.container)
        self.traced = traced(
            world.subject.executable,
            world.environ("ADD", attachment),
            json.dumps(world.request(attachment, attachment.before)).encode(),
            point=number,
            mode=mode,
        )
        attachment.added = done = self.traced.execution
        world.journal.append(done)
        if done.timed_out:
            self.problems.append(f"ADD: {done.ending()}")
        elif number == 0 and not done.ok:
            self.problems.append(f"ADD: {done.ending()}: {_said(done)}")
        if self._agent is not None:
            self._go_on_with_an_agent(self._agent, interfered=number > 0, killing=mode is Mode.KILL)
        self._delete(attachment, way)
        if way == WAYS[0]:
            self.problems += state.left([inside], lambda: [state.look(attachment.container)])
        if self._stage.remainder is not None:
            self._compare(before, done)
        self._another()
        if self._stage.remainder is not None:
            self._expect_whole(attachment)

    def _directory(self) -> Path:
        """Return where the agent lives: where nobody looks for what is left."""
        path = self._stage.directory / f"agent-{self._world.host.name}"
        path.mkdir()
        return path

    def _environ(self) -> dict[str, str | None]:
        return {**self._agent.environ()} if self._agent is not None else {}

    def _go_on_with_an_agent(self, agent: Agent, *, interfered: bool, killing: bool) -> None:
        """See that the agent is as it has to be, and start another in place of a dead one."""
        if not interfered and not self.traced.changes:
            self.problems.append(
                f"the agent was not asked to make the ADD, or changed nothing: {agent.said()}"
            )
        if agent.alive:
            return
        if not (interfered and killing):
            self.problems.append(f"the agent has ended: {agent.said()}")
        agent.close()
        self._agent = Agent(agent.directory)

    def _delete(self, attachment: Attachment, way: str) -> None:
        changes = None
        if way == WAYS[1]:
            attachment.container.close()
            changes = {"CNI_NETNS": ""}
        done = self._world.delete(attachment, changes, prev=attachment.answered.ok)
        if not done.ok:
            self.problems.append(f"DEL {way}: {done.ending()}: {_said(done)}")
        if self._agent is not None:
            self.problems += state.patiently(functools.partial(self._not_served, "DEL", attachment))

    def _not_served(self, command: str, attachment: Attachment) -> list[str]:
        """Find that a call was not made by the agent, which logs it after its answer."""
        agent = self._agent
        if agent is None or agent.has_served(command, attachment.container.id):
            return []
        return [f"{command} was not made by the agent: {agent.said()}"]

    def _compare(self, before: set[str], done: Execution) -> None:
        """Find what is there that neither was nor may be."""
        may_be = before | (self._stage.remainder or set())
        shared = {
            line.split()[1]
            for line in may_be - before
            if line.startswith("link ") and " is " not in line
        }

        def left() -> list[str]:
            now = self.lines()
            found = [f"left: {line}" for line in now - may_be if not shared & set(line.split())]
            return sorted(found) + [f"gone: {line}" for line in sorted(before - now)]

        self.problems += state.patiently(left)

    def _another(self) -> None:
        """Attach and detach another container."""
        try:
            other = self._world.attached(environ=self._environ())
        except Inapplicable as err:
            last = self._world.journal[-1]
            self.problems.append(f"the next container: {err}: {_said(last)}")
            return
        done = self._world.delete(other)
        if not done.ok:
            self.problems.append(f"the next container: DEL: {done.ending()}: {_said(done)}")

    def _expect_whole(self, attachment: Attachment) -> None:
        """Find what is not as it is when nothing was interfered with."""
        whole = self._stage.remainder or set()

        def differs() -> list[str]:
            now = self.lines()
            found = [f"after the next container, left: {line}" for line in sorted(now - whole)]
            return found + [f"after the next container, gone: {x}" for x in sorted(whole - now)]

        known = {problem.removeprefix("left: ") for problem in self.problems}
        self.problems += [
            problem
            for problem in state.patiently(differs)
            if problem.partition("left: ")[2] not in known
        ]

    def lines(self) -> set[str]:
        """Return what there is on the host, one line a thing."""
        world = self._world
        lines = state.look(world.host, rules=True).lines()
        lines |= {self._named(path) for path in self._stage.files()}
        lines |= {self._named(path) for path in world.host.state.rglob("*")}
        if self._bystander is not None:
            inside = state.look(self._bystander.container).lines()
            lines |= {f"in the other container: {line}" for line in inside}
            lines = {self._neutral(line) for line in lines}
        return lines

    def _named(self, path: Path) -> str:
        text = str(path).replace(str(self._world.host.state), _STATE)
        return f"{'directory' if path.is_dir() else 'file'} {text}"

    def _neutral(self, line: str) -> str:
        """Put what is different in each story out of what the bystander has."""
        bystander = self._bystander
        if bystander is None:
            return line
        line = line.replace(bystander.container.id, "OTHER")
        for number, interface in enumerate(bystander.result.get("interfaces", ())):
            name = interface["name"]
            if "sandbox" not in interface and any(c.isdigit() for c in name):
                line = line.replace(name, f"LINK{number}")
        return line


def _said(done: Execution) -> str:
    answer = done.object()
    said = ": ".join(str(answer[key]) for key in ("msg", "details") if answer.get(key))
    return said or done.stdout[-200:].decode("utf-8", "replace") or "nothing on stdout"
