"""An upgrade of a node, interrupted at each thing that it changes."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.conformance.tracees import Mode
from cnisdk.conformance.tracer import trace
from cnisdk.node.directory import DRAFT
from cnisdk.node.errors import NodeError
from cnisdk.node.install import Installation
from cnisdk.node.places import Places
from cnisdk.node.root import Root
from tests.host import ROOT
from tests.unit.node.conftest import BIN, CONF, RECEIPTS, executable, network, tree

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="system calls are known of x86-64 alone"
)

PLACES = Places("", (f"/{BIN}",), f"/{CONF}", "")

SCRIPT = """\
#!{python} -ISB
import sys
sys.path.insert(0, {root!r})
from cnisdk.node.errors import NodeError
from cnisdk.node.install import Installation
from cnisdk.node.places import Places
from cnisdk.node.root import Root
try:
    Installation(Root({node!r}), "net", lambda verb, path: None).install({places}, {paths})
except NodeError as err:
    sys.exit(str(err))
"""


def upgrade(node: str, files: str) -> None:
    paths = sorted(os.path.join(files, name) for name in os.listdir(files))
    installation(node).install(PLACES, paths)


def installation(node: str | Path) -> Installation:
    return Installation(Root(str(node)), "net", lambda verb, path: None)


class Upgrade:
    """A node with version one of three plugins and a network, and version two of the rest."""

    def __init__(self, directory: Path, files: Path, node: Path) -> None:
        self.node = node
        old = directory / "old"
        shutil.copytree(files, old)
        executable(old / "gone", "one")
        upgrade(str(node), str(old))
        self.new = directory / "new"
        self.new.mkdir()
        executable(self.new / "a", "two")
        (self.new / "b").hardlink_to(self.new / "a")
        network(self.new / "10-net.conflist", disableCheck=True)
        network(self.new / "20-more.conflist", name="more", plugins=[{"type": "b"}])
        self.kept = directory / "kept"
        shutil.copytree(node, self.kept)
        self.before = tree(node)
        upgrade(str(node), str(self.new))
        self.after = tree(node)
        self.script = directory / "upgrade"
        self.script.write_text(
            SCRIPT.format(
                python=sys.executable,
                root=str(ROOT),
                node=str(node),
                places=PLACES,
                paths=[str(path) for path in sorted(self.new.iterdir())],
            )
        )
        self.script.chmod(0o755)

    def again(self) -> None:
        """Make the node what it was before the upgrade."""
        shutil.rmtree(self.node)
        shutil.copytree(self.kept, self.node)

    def interrupted(self, mode: Mode) -> Iterator[tuple[str, int]]:
        """Interrupt the upgrade at each change in turn; yield which, and the exit status."""
        self.again()
        whole = trace(str(self.script), os.environ, b"")
        assert whole.execution.status == 0, whole.execution.stderr.decode()
        assert tree(self.node) == self.after
        for point, change in enumerate(whole.changes, 1):
            self.again()
            done = trace(str(self.script), os.environ, b"", point=point, mode=mode)
            yield f"{point}: {change}", done.execution.status

    def check(self) -> None:
        """See that every file is the old or the new one, and no network lacks a plugin."""
        found = tree(self.node)
        for path, content in found.items():
            if DRAFT in path:
                assert not path.endswith((".conflist", ".conf", ".json"))
            elif path.startswith((BIN, CONF)):
                assert content in (self.before.get(path), self.after.get(path)), path
        assert {f"{BIN}/a", f"{BIN}/b", f"{CONF}/10-net.conflist"} <= found.keys()
        networks = [f"{CONF}/10-net.conflist", f"{CONF}/20-more.conflist"]
        if any(found.get(path) == self.after[path] for path in networks):
            for name in ("a", "b"):
                assert found[f"{BIN}/{name}"] == self.after[f"{BIN}/{name}"]


@pytest.fixture
def subject(tmp_path: Path, files: Path, node: Path) -> Upgrade:
    return Upgrade(tmp_path, files, node)


def test_a_killed_upgrade_leaves_whole_files_and_the_next_run_no_debris(
    subject: Upgrade, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    points = []
    for where, status in subject.interrupted(Mode.KILL):
        points.append(where)
        assert status == -9, where
        subject.check()
        shutil.copytree(subject.node, other)

        upgrade(str(subject.node), str(subject.new))
        installation(other).uninstall()

        assert tree(subject.node) == subject.after, where
        # What was drafted of a receipt goes with the next installation.
        assert [path for path in tree(other) if not path.startswith(RECEIPTS)] == [], where
        assert [path for path in tree(other) if DRAFT not in path] == [], where
        shutil.rmtree(other)
    assert sum("rename" in point for point in points) >= 6
    assert sum("fsync" in point for point in points) >= 6


def test_an_upgrade_that_is_refused_anything_leaves_whole_files(subject: Upgrade) -> None:
    """A full disk, a broken one."""
    failed = 0
    for where, status in subject.interrupted(Mode.ERROR):
        subject.check()
        if status:
            failed += 1
            debris = [path for path in tree(subject.node) if DRAFT in path]
            assert debris == [] or "unlink" in where, where
        try:
            upgrade(str(subject.node), str(subject.new))
        except NodeError as err:
            pytest.fail(f"{where}: {err}")
        assert tree(subject.node) == subject.after, where
    assert failed > 20
