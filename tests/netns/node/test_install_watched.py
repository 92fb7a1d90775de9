"""A runtime watches the directory while networks come and go."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host import ROOT
from tests.netns.node.watcher import Watcher
from tests.unit.node.conftest import BIN, CONF, Install, install as install, network

TIMES = 200

# Each network wants a plugin of its own, and is large enough not to be written at once.
LOOP = """\
import json, os, sys
sys.path.insert(0, {root!r})
from cnisdk.node.install import Installation
from cnisdk.node.places import Places
from cnisdk.node.root import Root
os.chdir({files!r})
for number in range(1, {times} + 1):
    plugin = f"p{{number}}"
    with open(plugin, "w") as file:
        file.write(f"#!/bin/sh\\n# {{number}}\\n")
    os.chmod(plugin, 0o755)
    with open("10-net.conflist", "w") as file:
        wire = {{"cniVersion": "1.0.0", "name": "net", "plugins": [{{"type": plugin}}]}}
        json.dump({{**wire, "number": number, "padding": "x" * 100_000}}, file)
    installation = Installation(Root({node!r}), "net", lambda verb, path: None)
    installation.install(Places("", ("/{bin}",), "/{conf}", ""), [plugin, "10-net.conflist"])
    os.write(1, b".")
    os.read(0, 1)
"""


@pytest.fixture
def watched(node: Path) -> Path:
    directory = node / CONF
    directory.mkdir(parents=True)
    return directory


def test_a_network_is_picked_up_whole_under_a_loop_of_200_installs(
    node: Path, watched: Path, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    values = {"root": str(ROOT), "node": str(node), "files": str(tmp_path / "files")}
    code = LOOP.format(**values, times=TIMES, bin=BIN, conf=CONF)
    watcher = Watcher(watched)
    done = 0
    with subprocess.Popen(
        [sys.executable, "-ISBc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as loop:
        assert loop.stdin
        assert loop.stdout
        said = loop.stdout.fileno()
        while done < TIMES:
            ready = select.select([watcher.fd, said], [], [])[0]
            installed = said in ready and os.read(said, 1)
            assert installed or watcher.fd in ready, "the loop has ended early"
            watcher.take()
            for wire in watcher.loaded.values():
                # Its plugin was there first, and stays until another network is.
                plugin = node / BIN / wire["plugins"][0]["type"]
                assert plugin.exists() or wire["number"] != current(watched)
            if installed:
                done += 1
                assert watcher.loaded["10-net.conflist"]["number"] == done
                os.write(loop.stdin.fileno(), b".")
    watcher.close()

    assert loop.returncode == 0
    assert watcher.broken == []
    assert [path.name for path in (node / BIN).iterdir()] == [f"p{TIMES}"]


def current(watched: Path) -> int:
    number: int = json.loads((watched / "10-net.conflist").read_text())["number"]
    return number


def test_a_file_that_is_written_in_place_is_seen_in_pieces(watched: Path) -> None:
    """What the watcher is good for: it does find what others do wrong."""
    watcher = Watcher(watched)
    with (watched / "10-net.conflist").open("wb", buffering=0) as file:
        file.write(b'{"name":')
        watcher.take()
        file.write(b'"net"}')
        watcher.take()
    watcher.close()

    assert watcher.broken == ['{"name":']


def test_a_network_that_is_the_same_wakes_nobody(
    install: Install, files: Path, watched: Path
) -> None:
    install(*files.iterdir())
    watcher = Watcher(watched)

    install(*files.iterdir())

    watcher.take()
    watcher.close()
    assert watcher.events == 0


def test_a_network_that_goes_is_seen_to_go(install: Install, files: Path, watched: Path) -> None:
    network(files / "20-more.conflist", name="more", plugins=[{"type": "a"}])
    install(*files.iterdir(), "--name", "n")
    watcher = Watcher(watched)

    install("--uninstall", "--name", "n")

    watcher.take()
    watcher.close()
    assert watcher.loads == 2
    assert watcher.loaded == {}
