"""What every test holds a runtime to."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

import pytest

from tests.runtimes import tally
from tests.runtimes.machine import Machine


class Runtime(Protocol):
    """What starts containers on a machine."""

    machine: Machine

    @property
    def started(self) -> int:
        """How many containers it has started."""

    def clear(self) -> None:
        """End every container, and remove it."""


@contextlib.contextmanager
def unchanged(node: pytest.Item, name: str, runtime: Runtime) -> Iterator[None]:
    """Count the containers of a test; when they are gone again, all has to be as it was."""
    before = runtime.machine.snapshot()
    started = runtime.started
    yield
    tally.count(node, name, runtime.started - started)
    runtime.machine.witness.fail(failing=False)
    runtime.clear()
    after = runtime.machine.snapshot()
    assert after == before, {kind: after[kind] for kind in after if after[kind] != before[kind]}
