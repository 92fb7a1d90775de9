"""Interrupt an ADD at everything that it changes, and see whether DEL takes it all back.

Each point is a story of its own on a host of its own: an ADD that is killed, or of which one
system call fails, then DEL, then another container that comes and goes.  What a plugin makes
once and for all, such as its bridge, is known from a story in which nothing is interfered with:
that may be there afterwards, and after the other container it has to be there whole.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnisdk.conformance import state
from cnisdk.conformance.changes import Change
from cnisdk.conformance.check import Inapplicable
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.runner import ask_versions
from cnisdk.conformance.subject import Subject
from cnisdk.conformance.tracer import Mode, Trace, trace
from cnisdk.conformance.world import Attachment, World

WAYS = ("with the namespace", "without the namespace")
"""How DEL is called: as if the container was still there, and as if it had gone."""

_PATIENCE = 1.0
_STATE = "$STATE"


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
    watched: Sequence[Path] = (),
    started: Callable[[int], object] = lambda points: None,
    progress: Callable[[Point], object] = lambda point: None,
) -> Sweep:
    """Try every point, or ``most`` spread evenly over all, or ``only`` the one of that number.

    With ``warm`` another container is attached all the while, and must come to no harm.
    ``watched`` are the directories in which the plugin keeps files; what it adds there is
    removed after each point, so nobody else may use them.  The caller is root in a private
    host.  Raises `Inapplicable` if an ADD that is left alone does not work.
    """
    directory = Path(tempfile.mkdtemp(prefix="sweep-", dir="/run"))
    try:
        stage = _Stage(subject, directory, warm, watched)
        with stage.story() as clean:
            clean.play(0, mode, WAYS[0])
            if clean.problems:
                raise Inapplicable("\n".join(clean.problems))
            stage.remainder = clean.lines()
            found = clean.traced.changes
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


def changes(subject: Subject, *, warm: bool = False, watched: Sequence[Path] = ()) -> list[Change]:
    """Return what an ADD changes that is left alone: the points, in their order."""
    directory = Path(tempfile.mkdtemp(prefix="sweep-", dir="/run"))
    try:
        with _Stage(subject, directory, warm, watched).story() as clean:
            clean.play(0, Mode.KILL, WAYS[0])
            return clean.traced.changes
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
        self, subject: Subject, directory: Path, warm: bool, watched: Sequence[Path]
    ) -> None:
        self.subject = subject
        self.directory = directory
        self.warm = warm
        self.watched = [*watched] or [Path(path) for path in state.WATCHED]
        self.remainder: set[str] | None = None
        self._claimed = ask_versions(subject)
        self._count = 0

    @contextlib.contextmanager
    def story(self) -> Iterator["_Story"]:
        """Yield a story on a host of its own."""
        self._count += 1
        directory = self.directory / str(self._count)
        directory.mkdir()
        before = self.files()
        with World(self.subject, directory, self._claimed) as world:
            try:
                yield _Story(self, world)
            finally:
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
                names[:] = [n for n in names if here / n not in (self.directory, _NETNS)]
                found |= {here / name for name in (*names, *files)}
        return found


_NETNS = Path("/run/netns")


class _Story:
    """An ADD that is interfered with, and what comes after it."""

    traced: Trace

    def __init__(self, stage: _Stage, world: World) -> None:
        self._stage = stage
        self._world = world
        self.problems: list[str] = []
        self._bystander: Attachment | None = None

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
        if self._stage.warm:
            self._bystander = world.attached()
            world.journal.clear()
        attachment = world.prepare()
        before = self.lines()
        inside = state.look(attachment.container)
        self.traced = trace(
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
        self._delete(attachment, way)
        if way == WAYS[0]:
            self.problems += state.left(
                [inside], lambda: [state.look(attachment.container)], patience=_PATIENCE
            )
        if self._stage.remainder is not None:
            self._compare(before, done)
        self._another()
        if self._stage.remainder is not None:
            self._expect_whole(attachment)

    def _delete(self, attachment: Attachment, way: str) -> None:
        changes = None
        if way == WAYS[1]:
            attachment.container.close()
            changes = {"CNI_NETNS": ""}
        done = self._world.delete(attachment, changes, prev=attachment.answered.ok)
        if not done.ok:
            self.problems.append(f"DEL {way}: {done.ending()}: {_said(done)}")

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

        self.problems += _patiently(left)

    def _another(self) -> None:
        """Attach and detach another container."""
        try:
            other = self._world.attached()
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
            for problem in _patiently(differs)
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


def _patiently(find: Callable[[], list[str]]) -> list[str]:
    """Return what ``find`` finds, once it finds nothing or does not stop finding."""
    deadline = time.monotonic() + _PATIENCE
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _said(done: Execution) -> str:
    answer = done.object()
    said = ": ".join(str(answer[key]) for key in ("msg", "details") if answer.get(key))
    return said or done.stdout[-200:].decode("utf-8", "replace") or "nothing on stdout"
