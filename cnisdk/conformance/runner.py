"""Run the checks against a plugin, and judge.

Families of checks are taken from a queue by a few threads, each with a `World` of its own, so
that what one does is never seen by another.
"""

import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cnisdk import versions
from cnisdk.conformance.check import Check, Inapplicable, Level, Violation
from cnisdk.conformance.checks import REGISTRY
from cnisdk.conformance.checks.version import PATIENCE, claimed
from cnisdk.conformance.execution import Execution, Running
from cnisdk.conformance.subject import Subject
from cnisdk.conformance.world import World

WORKERS = 2


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check says of a plugin."""

    check: Check
    outcome: Outcome
    reason: str = ""
    """What is wrong, or why the check says nothing."""
    executions: tuple[Execution, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdicts on a plugin, in the order of the checks."""

    subject: Subject
    claimed: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    seconds: float

    def of(self, outcome: Outcome, level: Level | None = None) -> list[Verdict]:
        """Return the verdicts with an outcome."""
        return [v for v in self.verdicts if v.outcome == outcome and level in (None, v.check.level)]

    def failed(self) -> list[str]:
        """Return the IDs of the checks that failed."""
        return [verdict.check.id for verdict in self.of(Outcome.FAIL)]


def applicable(subject: Subject) -> list[Check]:
    """Return the checks for a plugin of this kind."""
    return [check for check in REGISTRY.values() if subject.kind in check.kinds]


def ask_versions(subject: Subject) -> list[str]:
    """Return the versions that a plugin says to support; all there are if it says nothing."""
    environ = {"CNI_COMMAND": "VERSION", "PATH": os.environ.get("PATH", "")}
    stdin = f'{{"cniVersion": "{versions.CURRENT}"}}'.encode()
    done = Running(subject.executable, environ, stdin, spawn=subject.spawn).finish(PATIENCE)
    return claimed(done) or list(versions.SUPPORTED)


def run(
    subject: Subject,
    *,
    only: Collection[str] | None = None,
    workers: int = WORKERS,
    progress: Callable[[Verdict], object] = lambda verdict: None,
) -> Report:
    """Run the checks and return what they say.

    ``only`` are the IDs of those to run.  ``progress`` is told each verdict as it comes, from
    several threads.  The caller is root in a private host (`cnisdk.conformance.private`).
    """
    started = time.monotonic()
    versions_claimed = ask_versions(subject)
    chosen = [check for check in applicable(subject) if only is None or check.id in only]
    directory = Path(tempfile.mkdtemp(prefix="conformance-", dir="/run"))
    try:
        crew = Crew(subject, versions_claimed, directory, chosen, progress)
        verdicts = crew.work(workers)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Report(
        subject=subject,
        claimed=tuple(versions_claimed),
        verdicts=tuple(verdicts[check.id] for check in chosen),
        seconds=time.monotonic() - started,
    )


class Crew:
    """Threads that run families of checks until there are no more."""

    def __init__(
        self,
        subject: Subject,
        claimed: Sequence[str],
        directory: Path,
        chosen: Sequence[Check],
        progress: Callable[[Verdict], object],
    ) -> None:
        self._subject = subject
        self._claimed = claimed
        self._directory = directory
        self._progress = progress
        self._families: queue.SimpleQueue[list[Check]] = queue.SimpleQueue()
        self._verdicts: dict[str, Verdict] = {}
        self._failures: list[BaseException] = []
        families: dict[str, list[Check]] = {}
        for check in chosen:
            families.setdefault(check.family, []).append(check)
        for family in families.values():
            self._families.put(family)

    def work(self, workers: int) -> dict[str, Verdict]:
        """Do all of it and return the verdicts by ID."""
        threads = [
            threading.Thread(target=self._worker, args=(number,), name=f"conformance-{number}")
            for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        return self._verdicts

    def _worker(self, number: int) -> None:
        directory = self._directory / str(number)
        directory.mkdir()
        try:
            with World(self._subject, directory, self._claimed) as world:
                while not self._failures:
                    for check in self._families.get_nowait():
                        verdict = judge(check, world)
                        self._verdicts[check.id] = verdict
                        self._progress(verdict)
        except queue.Empty:
            return
        except BaseException as err:  # noqa: BLE001 - raised again by the thread that waits
            self._failures.append(err)


class Bench:
    """One world, in a thread of its own, for who wants one check after the other.

    The thread is in the world's network namespace; that of the caller stays where it is.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._thread = ThreadPoolExecutor(1, "conformance")
        self._directory: Path | None = None
        self._world: World | None = None

    def judge(self, check: Check) -> Verdict:
        """Run one check."""
        return self._thread.submit(self._judge, check).result()

    def _judge(self, check: Check) -> Verdict:
        if self._world is None:
            self._directory = Path(tempfile.mkdtemp(prefix="conformance-", dir="/run"))
            directory = self._directory / "0"
            directory.mkdir()
            self._world = World(self.subject, directory, ask_versions(self.subject))
            self._world.__enter__()
        return judge(check, self._world)

    def close(self) -> None:
        """Take the world away."""
        if self._world is not None:
            self._thread.submit(self._world.__exit__, None, None, None).result()
        self._thread.shutdown()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def judge(check: Check, world: World) -> Verdict:
    """Run one check."""
    started = time.monotonic()
    world.journal.clear()
    outcome, reason = Outcome.PASS, ""
    try:
        _expect_since(check, world)
        check.function(world)
    except Violation as err:
        outcome, reason = Outcome.FAIL, str(err)
    except Inapplicable as err:
        outcome, reason = Outcome.SKIP, str(err)
    except Exception as err:
        err.add_note(f"in the check {check.id} of {world.subject.executable}")
        raise
    return Verdict(
        check=check,
        outcome=outcome,
        reason=reason,
        executions=tuple(world.journal),
        seconds=time.monotonic() - started,
    )


def _expect_since(check: Check, world: World) -> None:
    if not versions.at_least(check.since, "0.2.0"):
        return
    if not world.at_least(check.since):
        what = "is asked to be tested" if world.subject.cni_version else "claims versions"
        raise Inapplicable(
            f"{check.since} brought this, and the plugin {what} up to {world.version}"
        )
