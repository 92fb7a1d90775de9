"""The run: what is measured, in which order, against which targets."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import network, subjects
from benchmarks.contest import Contestant, Outcome, contest
from benchmarks.network import Network, Subject
from benchmarks.rows import Row
from benchmarks.subjects import GO, ONE_CALL, STANDALONE, WARM, MissingError


class Bench:
    """What all parts of a run share: subjects, a directory, how much is to be done."""

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self.rows: list[Row] = []
        self.missing: dict[str, str] = {}
        self.subjects: dict[str, Subject] = {}
        self._stack = ExitStack()
        self._numbers = count(1)

    def __enter__(self) -> "Bench":
        self._make(GO, subjects.go)
        self._make(ONE_CALL, lambda: subjects.one_call(self.fresh("one-call")))
        self._make(STANDALONE, lambda: subjects.standalone(self.fresh("standalone")))
        self._make(WARM, lambda: self._stack.enter_context(self.agent()).subject)
        if GO not in self.subjects:
            sys.exit(self.missing[GO])
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def agent(self) -> subjects.Agent:
        """Start another agent."""
        return subjects.Agent(self.fresh("agent"))

    def fresh(self, name: str) -> Path:
        """Return the path of a directory that is not there yet."""
        return self.directory / f"{name}-{next(self._numbers)}"

    def rounds(self, full: int, quick: int) -> int:
        """Return how often to measure."""
        return quick if self.quick else full

    def subjects_of(self, *names: str) -> list[Subject]:
        """Return those of the subjects ``names`` that there are."""
        return [self.subjects[name] for name in names if name in self.subjects]

    def names(self, *always: str, alone: Sequence[str]) -> dict[str, str]:
        """Return whose rows there are to be: a quick run leaves those out that start Python."""
        return {name: name for name in (*always, *([] if self.quick else alone))}

    def contest(
        self,
        contestants: Sequence[Contestant],
        full: int,
        quick: int,
        *,
        warm_up: int = 2,
        extend: bool = True,
    ) -> Mapping[str, Outcome]:
        """Measure in turns, more often in a full run; with ``extend`` until it is certain."""
        rounds = self.rounds(full, quick)
        return contest(contestants, rounds, extend=extend and not self.quick, warm_up=warm_up)

    @contextmanager
    def networks(
        self, config: Callable[[], Mapping[str, Any]] = network.plain
    ) -> Iterator[Callable[..., Network]]:
        """Return what makes a network of a subject; all are gone after the block."""
        with ExitStack() as stack:

            def make(subject: Subject, own: Mapping[str, Any] | None = None) -> Network:
                made = Network(subject, own or config(), self.fresh("host"))
                stack.callback(made.close)
                return made

            yield make

    def without(self, group: str, what: str, subject: str, target: float | None = None) -> None:
        """Note a row that there should be."""
        why = self.missing.get(subject, "not measured")
        self.rows.append(Row(group, what, subject, target=target, missing=why))

    def _make(self, name: str, make: Callable[[], Subject]) -> None:
        try:
            self.subjects[name] = make()
        except MissingError as err:
            self.missing[name] = str(err)
