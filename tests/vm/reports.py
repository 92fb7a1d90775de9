"""Carry the reports of tests that ran in a guest to the session that wants them.

In the guest it is a pytest plugin (``-p tests.vm.reports``) that writes each report to a file as
it comes.  At the caller, `of` boots a guest for the first test that asks, with all of the
session's tests; whoever else asks, other workers of pytest-xdist too, waits and reads (`carried`).
"""

import fcntl
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.vm import uml

MARKER = "vm"

WRITTEN = "CNISDK_VM_REPORTS"
"""Variable that names the file, in the guest."""

_PRIVATE = Path("/run/vm")
"""Private to the session and common to its workers, as all of /run is; see `tests.private`."""

_ROOT = Path(__file__).parent.parent.parent

# As tests.private enters namespaces, but no user namespace: in a chroot there can be none.
_ENTER = """\
export CNISDK_OUTSIDE="$(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/net)"
export CNISDK_PRIVATE=1
exec unshare --net --mount --ipc --uts --pid --fork --mount-proc -- "$@"
"""


def elsewhere(item: pytest.Item) -> bool:
    """Say whether a test runs in a guest that this session is to boot."""
    return _is_marked(item) and WRITTEN not in os.environ and uml.installed()


def of(item: pytest.Item) -> list[pytest.TestReport]:
    """Return the reports of a test that ran in the guest; a failure if it did not."""

    def boot() -> str:
        nodeids = [other.nodeid for other in item.session.items if _is_marked(other)]
        done = _boot(nodeids)
        return f"exit status {done.status}\n{done.output}"

    return carried(item, _PRIVATE, _PRIVATE / "shared" / "reports", boot)


def carried(
    item: pytest.Item, directory: Path, written: Path, boot: Callable[[], str]
) -> list[pytest.TestReport]:
    """Return the reports of a test that ``boot`` has run; a failure if it did not.

    Whoever is first in ``directory`` boots, and keeps there what ``boot`` says of how it ended.
    """
    once(directory, boot)
    ended = directory / "ended"
    found = read(item.config, written, item.nodeid)
    if found and found[-1].when == "teardown":
        return found
    said = f"it did not run to its end there; what was said:\n{ended.read_text()}"
    report = pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call")
    return [*found, report]


def once(directory: Path, boot: Callable[[], str], *, wait: bool = True) -> bool:
    """Boot unless somebody has, and return whether it is done.

    That somebody is at it is waited for, or means that it is not done.
    """
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        ended = directory / "ended"
        if not ended.exists():
            ended.write_text(boot())
        return True


def read(config: pytest.Config, written: Path, nodeid: str) -> list[pytest.TestReport]:
    """Return the reports of one test, in their order."""
    lines = written.read_text().splitlines() if written.exists() else []
    wires = [wire for wire in map(json.loads, lines) if wire["nodeid"] == nodeid]
    for wire in wires:
        if isinstance(wire["longrepr"], list):  # where a test was skipped, and why
            wire["longrepr"] = tuple(wire["longrepr"])
    hook = config.hook.pytest_report_from_serializable
    return [hook(config=config, data=wire) for wire in wires]


def _boot(nodeids: Sequence[str]) -> uml.Done:
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", __name__]
    pytest_ += ["--basetemp=/run/pytest"]  # not beside those of the caller's sessions
    env = {
        "PATH": os.environ["PATH"],
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # imports take ten times as long there
        WRITTEN: f"{uml.SHARED}/reports",
        **{key: os.environ[key] for key in ("CI", "CNI_REFERENCE") if key in os.environ},
    }
    argv = ["sh", "-c", _ENTER, "sh", *pytest_, *nodeids]
    return uml.run(argv, directory=_PRIVATE, cwd=_ROOT, env=env)


def _is_marked(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARKER) is not None


class _Writer:
    """Writes each report to ``path``, as one line of JSON."""

    def __init__(self, config: pytest.Config, path: str) -> None:
        self.config = config
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self.config.hook.pytest_report_to_serializable
        wire: Any = hook(config=self.config, report=report)
        with Path(self.path).open("a") as file:
            file.write(json.dumps(wire) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Write reports; called in the guest only, where this module is a plugin."""
    config.pluginmanager.register(_Writer(config, os.environ[WRITTEN]))
