"""Run tests that need real root outside, and tell here how they ended.

All tests of a module that are marked ``runtime`` run in one session outside, which the first of
them starts.  Sessions of several modules can run at once: each has namespaces of its own.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.host import REFERENCE, ROOT
from tests.runtimes import outside
from tests.vm import reports

MARKER = "runtime"

_PRIVATE = Path("/run/runtimes")
"""Private to the session and common to its workers, as all of /run is; see `tests.private`."""

PLUGINS = ("portmap", "firewall", "tuning", "loopback")
"""Those of the Go reference plugins that chains here are made with."""

_PASSED_ON = ("CI", "CNI_REFERENCE", "LANG", "LC_ALL")


def elsewhere(item: pytest.Item) -> bool:
    """Say whether a test runs in a session that this one is to start."""
    return _is_marked(item) and outside.SOCKET in os.environ and not impossible(item)


def impossible(item: pytest.Item) -> str:
    """Return why a test cannot run on this machine, "" if it can or needs nothing."""
    marker = item.get_closest_marker(MARKER)
    if marker is None or reports.WRITTEN in os.environ:
        return ""
    lacking = [program for program in marker.args if shutil.which(program) is None]
    lacking += [name for name in PLUGINS if not os.access(f"{REFERENCE}/{name}", os.X_OK)]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    if outside.SOCKET not in os.environ:
        return "container runtimes need root, and not of a user namespace: sudo make test"
    return ""


def of(item: pytest.Item) -> list[pytest.TestReport]:
    """Return the reports of a test that ran in another session; a failure if it did not."""
    _PRIVATE.mkdir(exist_ok=True)
    mine = _Module(item, item.path)
    # While another worker is at this module, there may be one that nobody is at.
    for path in dict.fromkeys(other.path for other in item.session.items if elsewhere(other)):
        if mine.once():
            break
        _Module(item, path).once()
    return reports.carried(item, mine.directory, mine.written, mine.run)


class _Module:
    """The tests of one module, which have a session of their own."""

    def __init__(self, item: pytest.Item, path: Path) -> None:
        self.directory = _PRIVATE / path.stem
        self.shared = Path(os.environ[outside.SOCKET]).parent / path.stem
        self.written = self.shared / "reports"
        self._nodeids = [
            other.nodeid for other in item.session.items if other.path == path and _is_marked(other)
        ]

    def once(self) -> bool:
        """Run them unless that was done; return whether it is, and not just being done."""
        return reports.once(self.directory, self.run, wait=False)

    def run(self) -> str:
        """Run them, and return what is to be known of how the session ended."""
        self.shared.mkdir(exist_ok=True)
        done = _start(self._nodeids, self.written)
        if done.left:
            self.written.unlink(missing_ok=True)  # then none of them has passed
        return f"exit status {done.status}, left: {done.left}\n{done.output}"


def _start(nodeids: list[str], written: Path) -> outside.Done:
    argv = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    argv += ["-p", "tests.vm.reports", "--basetemp=/run/pytest"]
    env = {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/run/home",
        "TMPDIR": "/run/tmp",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "CNISDK_PRIVATE": "1",
        reports.WRITTEN: str(written),
        **{key: os.environ[key] for key in _PASSED_ON if key in os.environ},
    }
    return outside.run([*argv, *nodeids], env=env, cwd=ROOT)


def _is_marked(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARKER) is not None
