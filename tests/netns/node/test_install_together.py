"""Several installations of one node at once."""

import subprocess
import sys
from pathlib import Path

from cnisdk.node.directory import DRAFT
from tests.host import ROOT
from tests.unit.node.conftest import BIN, CONF, executable, network, tree

SCRIPT = """\
import sys
sys.path.insert(0, {root!r})
from cnisdk.node.install import Installation
from cnisdk.node.places import Places
from cnisdk.node.root import Root
places = Places("", ("/{bin}",), "/{conf}", "")
sys.stdin.read()
for _ in range(10):
    Installation(Root({node!r}), "net", lambda verb, path: None).install(places, {paths})
"""


def test_installations_at_once_leave_the_files_of_one_of_them(node: Path, tmp_path: Path) -> None:
    running = []
    for version in ("one", "two", "three"):
        files = tmp_path / version
        files.mkdir()
        paths = [executable(files / name, version) for name in ("a", "b")]
        paths.append(network(files / "10-net.conflist", version=version))
        values = {"root": str(ROOT), "node": str(node), "paths": [str(path) for path in paths]}
        code = SCRIPT.format(**values, bin=BIN, conf=CONF)
        argv = [sys.executable, "-ISBc", code]
        running.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE))

    for process in running:  # all of them wait for that
        assert process.stdin
        process.stdin.close()
        process.stdin = None

    for process in running:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    found = tree(node)
    versions = [
        version
        for version in ("one", "two", "three")
        for path in (f"{BIN}/a", f"{BIN}/b", f"{CONF}/10-net.conflist")
        if version in str(found[path])
    ]
    assert len(versions) == 3
    assert len(set(versions)) == 1
    assert not [path for path in found if DRAFT in path]
