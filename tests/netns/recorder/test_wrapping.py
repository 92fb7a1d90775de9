"""A recorder comes into a plugin's place and goes, and the plugin is there at every moment."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from cnisdk.conformance.tracees import Mode
from cnisdk.conformance.tracer import trace
from cnisdk.node.errors import NodeError
from cnisdk.recorder import wrapping
from cnisdk.recorder.wrapping import State, original, recorded
from tests.host import ROOT, Host
from tests.netns.recorder.conftest import CAT, PYTHON, Recorder, identity

NAME = "basename $0"
"""A plugin that answers with the name it was called by."""


def test_a_recorded_plugin_answers_as_before(recorder: Recorder, plugins: str, host: Host) -> None:
    recorder.plugins(plugins, "bridge", "host-local")
    config = {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "bridge",
        "bridge": "br0",
        "ipam": {
            "type": "host-local",
            "dataDir": str(host.state),
            "ranges": [[{"subnet": "10.1.0.0/24"}]],
        },
    }
    path = str(recorder.bin)
    recorder.record("bridge", "host-local")
    container = host.container()

    added = host.plugin("bridge", "ADD", config, container, path=path)
    deleted = host.plugin(
        "bridge", "DEL", {**config, "prevResult": added.json}, container, path=path
    )

    assert added.json["ips"][0]["address"] == "10.1.0.2/24"
    assert added.json["interfaces"][2]["sandbox"] == container.path
    assert (deleted.status, deleted.stdout) == (0, "")
    assert [(call.plugin, call.command, call.status) for call in recorder.calls] == [
        ("bridge", "ADD", 0),
        ("host-local", "ADD", 0),
        ("bridge", "DEL", 0),
        ("host-local", "DEL", 0),
    ]
    bridge, local = recorder.calls[:2]
    assert bridge.stdout.decode() == added.stdout
    assert bridge.env["CNI_NETNS"] == container.path
    assert bridge.fields["netns"] == os.stat(container.path).st_ino
    assert (bridge.is_delegate, local.is_delegate) == (False, True)
    assert local.fields["ppid"] == bridge.fields["child"]


def test_stopping_puts_the_very_file_back(recorder: Recorder) -> None:
    path = recorder.script("plugin", NAME)
    path.chmod(0o754)
    before = identity(path)
    recorder.record("plugin")
    assert identity(path) != before

    said = recorder.stop("plugin")

    assert said == [f"restored {path}"]
    assert identity(path) == before
    assert os.listdir(recorder.bin) == ["plugin"]


def test_a_link_is_put_back_as_the_link_that_it_was(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = recorder.script("plugin", NAME).rename(tmp_path / "real" / "multi")
    path = recorder.bin / "plugin"
    path.symlink_to("../real/multi")
    before, target_before = identity(path), identity(target)
    recorder.record("plugin")

    assert recorder.run("plugin").stdout == b"plugin\n"
    assert recorder.call.plugin == "plugin"
    recorder.stop("plugin")

    assert (identity(path), identity(target)) == (before, target_before)
    assert os.listdir(recorder.bin) == ["plugin"]


def test_of_several_plugins_in_one_file_each_keeps_its_name(recorder: Recorder) -> None:
    """Hard links, as our builds have them, and links as those of busybox."""
    first = recorder.script("first", NAME)
    (recorder.bin / "second").hardlink_to(first)
    (recorder.bin / "third").symlink_to("first")
    (recorder.bin / "fourth").symlink_to(recorder.bin / "third")
    before = {name: identity(recorder.bin / name) for name in os.listdir(recorder.bin)}

    recorder.record("first", "second")

    for name in ("first", "second", "third", "fourth"):
        assert recorder.run(name).stdout == f"{name}\n".encode()
    assert [call.plugin for call in recorder.calls] == ["first", "second", "first", "first"]
    recorder.stop("first", "second")
    assert {name: identity(recorder.bin / name) for name in os.listdir(recorder.bin)} == before


def test_a_link_and_what_it_leads_to_can_both_be_recorded(recorder: Recorder) -> None:
    recorder.script("first", NAME)
    (recorder.bin / "second").symlink_to("first")
    before = {name: identity(recorder.bin / name) for name in os.listdir(recorder.bin)}
    for order in (("first", "second"), ("second", "first")):
        recorder.record(*order)

        assert recorder.run("second").stdout == b"second\n"
        assert recorder.run("first").stdout == b"first\n"
        recorder.stop(*order)
        assert {name: identity(recorder.bin / name) for name in os.listdir(recorder.bin)} == before


def test_recording_again_changes_the_settings_alone(recorder: Recorder) -> None:
    path = recorder.script("plugin", NAME)
    before = identity(path)
    recorder.record("plugin")
    recorder.run("plugin")
    recorder.record("plugin", calls=1)
    recorder.run("plugin")

    assert recorder.call.id == "2"
    recorder.stop("plugin")
    assert identity(path) == before


def test_the_plugin_behind_a_recorder_can_be_found(recorder: Recorder) -> None:
    path = recorder.script("plugin", NAME)
    before = identity(path)
    assert original(str(path)) == str(path)
    recorder.record("plugin")

    assert identity(Path(original(str(path)))) != identity(path)
    assert identity(Path(original(str(path))))[0] == before[0]


# -- what happens in the meantime ----------------------------------------------------------------


def state(recorder: Recorder) -> State:
    (one,) = recorded(str(recorder.bin))
    return one.state


def replaced(recorder: Recorder) -> Path:
    path = recorder.script("new", "echo new")
    path.rename(recorder.bin / "plugin")
    return recorder.bin / "plugin"


def written_over(recorder: Recorder) -> Path:
    return recorder.script("plugin", "echo new")


@pytest.mark.parametrize("upgrade", [replaced, written_over])
def test_an_upgrade_is_noticed_and_stays(
    recorder: Recorder, upgrade: Callable[[Recorder], Path]
) -> None:
    recorder.script("plugin", "echo old")
    recorder.record("plugin")
    path = upgrade(recorder)
    new = identity(path)

    assert recorder.run("plugin").stdout == b"new\n"
    assert state(recorder) is State.REPLACED
    assert recorder.stop("plugin") == [f"{path} was replaced since, and is left as it is"]
    assert identity(path) == new
    assert os.listdir(recorder.bin) == ["plugin"]


def test_an_upgrade_can_be_recorded_in_turn(recorder: Recorder) -> None:
    recorder.script("plugin", "echo old")
    recorder.record("plugin")
    recorder.run("plugin")
    new = identity(replaced(recorder))
    recorder.record("plugin")

    assert recorder.run("plugin").stdout == b"new\n"
    assert state(recorder) is State.RECORDED
    old, now = recorder.calls
    assert old.fields["file"]["inode"] != now.fields["file"]["inode"]
    recorder.stop("plugin")
    assert identity(recorder.bin / "plugin") == new


def test_a_plugin_that_was_removed_does_not_come_back(recorder: Recorder) -> None:
    path = recorder.script("plugin", "echo old")
    recorder.record("plugin")
    path.unlink()

    assert state(recorder) is State.REMOVED
    assert recorder.stop("plugin") == [f"{path} was removed since, and is not put back"]
    assert os.listdir(recorder.bin) == []


def test_a_recorder_without_its_files_still_runs_the_plugin(recorder: Recorder) -> None:
    recorder.script("plugin", "echo plugin")
    recorder.record("plugin")
    store = recorder.bin / ".cnisdk-recorded" / "plugin"
    shutil.rmtree(store / "__pycache__")
    (store / "flight.py").unlink()

    assert recorder.run("plugin").stdout == b"plugin\n"


def test_a_recorder_without_its_plugin_is_not_taken_for_one(recorder: Recorder) -> None:
    path = recorder.script("plugin", "echo plugin")
    recorder.record("plugin")
    shutil.rmtree(recorder.bin / ".cnisdk-recorded")

    assert recorder.run("plugin").returncode != 0
    for action in (recorder.stop, recorder.record):
        with pytest.raises(NodeError, match="a recorder whose plugin is gone"):
            action("plugin")
    assert path.exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path.unlink(), "there is no"),
        (lambda path: path.chmod(0o644), "no executable file"),
    ],
)
def test_what_is_no_plugin_is_refused(
    recorder: Recorder, prepare: Callable[[Path], object], message: str
) -> None:
    path = recorder.script("plugin", NAME)
    prepare(path)

    with pytest.raises(NodeError, match=message):
        recorder.record("plugin")
    with pytest.raises(NodeError, match="is not recorded"):
        recorder.stop("plugin")


def test_a_directory_that_others_can_read_is_refused(recorder: Recorder) -> None:
    path = recorder.script("plugin", NAME)
    before = identity(path)
    recorder.directory.mkdir(mode=0o755)

    with pytest.raises(NodeError, match="0755; it has to be ours"):
        recorder.record("plugin")
    assert identity(path) == before


# -- interrupted anywhere ------------------------------------------------------------------------

SCRIPT = """\
#!{python} -ISB
import sys
sys.path.insert(0, {root!r})
from cnisdk.node.errors import NodeError
from cnisdk.recorder import wrapping
from cnisdk.recorder.wrapping import record, stop
wrapping._GLANCE = 0.0
try:
    {action}
except NodeError as err:
    sys.exit(str(err))
"""


class Interrupted:
    """A command that is interrupted at each thing that it changes, each time from the same."""

    def __init__(self, recorder: Recorder, tmp_path: Path, action: str, *, link: bool) -> None:
        self.recorder = recorder
        self.path = recorder.script("plugin", NAME)
        if link:
            self.path.rename(tmp_path / "real")
            self.path.symlink_to(tmp_path / "real")
        self.before = identity(self.path)
        where = f"{str(self.path)!r}"
        self.script = tmp_path / action
        calls = "" if action == "stop" else f", calls={str(recorder.directory)!r}"
        self.script.write_text(
            SCRIPT.format(python=sys.executable, root=str(ROOT), action=f"{action}({where}{calls})")
        )
        self.script.chmod(0o755)

    def everywhere(self, mode: Mode, prepare: Callable[[], object]) -> Iterator[tuple[str, int]]:
        prepare()
        whole = trace(str(self.script), os.environ, b"")
        assert whole.execution.status == 0, whole.execution.stderr.decode()
        for point, change in enumerate(whole.changes, 1):
            prepare()
            done = trace(str(self.script), os.environ, b"", point=point, mode=mode)
            yield f"{point}: {change}", done.execution.status

    def answers(self, where: str) -> None:
        """See that there is a plugin, and that it works."""
        done = self.recorder.run("plugin")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"plugin\n", b""), where

    def is_as_before(self, where: str) -> None:
        assert identity(self.path) == self.before, where
        left = [name for name in os.listdir(self.recorder.bin) if name != "plugin"]
        assert left == [], where


@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls are known of x86-64 alone")
@pytest.mark.parametrize(("mode", "link"), [(Mode.KILL, False), (Mode.ERROR, True)])
@pytest.mark.parametrize("action", ["record", "stop"])
def test_an_interrupted_command_leaves_a_plugin_that_works(
    recorder: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    mode: Mode,
    *,
    link: bool,
) -> None:
    """Killed, or refused anything; the next run completes it, and the one after ends it."""
    monkeypatch.setattr(wrapping, "_GLANCE", 0.0)  # no call is under way here, ever
    subject = Interrupted(recorder, tmp_path, action, link=link)

    def prepare() -> None:
        if recorded(str(recorder.bin)):
            recorder.stop("plugin")
        if action == "stop":
            recorder.record("plugin")

    points, killed = [], 0
    for where, status in subject.everywhere(mode, prepare):
        points.append(where)
        killed += status == -9  # not the last ones, where this time there was less to change
        subject.answers(where)
        if action == "record":
            recorder.record("plugin")
            subject.answers(where)
        with suppress(NodeError):  # not recorded any more
            recorder.stop("plugin")
        subject.is_as_before(where)
    assert any("rename" in point for point in points)
    assert mode is not Mode.KILL or killed >= len(points) - 5


def test_a_call_that_does_not_end_keeps_what_it_runs_from(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrapping, "_PATIENCE", 0.0)
    path = recorder.script("plugin", "echo ready; read -r _; basename $0")
    before = identity(path)
    recorder.record("plugin")
    started = subprocess.Popen(
        [path], env={"CNI_COMMAND": "ADD"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert started.stdout
    assert started.stdout.readline() == b"ready\n"

    said = recorder.stop("plugin")

    assert "a call is under way" in said[1]
    assert identity(path)[-1] == before[-1]
    assert started.communicate(b"\n")[0] == b"plugin\n"
    monkeypatch.undo()
    recorder.stop("plugin")
    assert identity(path) == before
    assert os.listdir(recorder.bin) == ["plugin"]


TOGGLE = """\
import os, sys, time
from cnisdk.recorder.wrapping import record, stop
plugin, calls = sys.argv[1:]
for kept in range(12):
    record(plugin, calls=calls)
    deadline = time.monotonic() + 30
    while len(os.listdir(calls)) <= kept:
        assert time.monotonic() < deadline, "no call was recorded"
        time.sleep(0.001)
    stop(plugin)
"""

PLUGINS = {
    "shell": "#!/bin/sh\ncat; basename $0\n",
    "python": f"#!{PYTHON} -I\nimport sys\nprint(sys.stdin.read() + 'plugin')\n",
}


@pytest.mark.parametrize("kind", ["shell", "python", "binary"])
def test_calls_never_miss_the_plugin_while_recording_begins_and_ends(
    recorder: Recorder, kind: str
) -> None:
    """Between a call and the moment an interpreter opens a script it may be another file."""
    path = recorder.copy(CAT, "plugin")
    if kind in PLUGINS:
        path.write_text(PLUGINS[kind])
    expected = recorder.run("plugin", stdin=b"x\n").stdout
    # In a process of its own: a copy of this one must not have the recorder open for writing.
    toggle = subprocess.Popen(
        [sys.executable, "-c", TOGGLE, path, recorder.directory], cwd=ROOT, stderr=subprocess.PIPE
    )

    def call() -> list[tuple[int, bytes, bytes]]:
        found = []
        while toggle.poll() is None:
            done = recorder.run("plugin", stdin=b"x\n")
            found.append((done.returncode, done.stdout, done.stderr))
        return found

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call) for _ in range(3)]
        answers = [answer for future in calls for answer in future.result()]

    assert toggle.communicate()[1] == b""
    assert toggle.returncode == 0
    assert set(answers) == {(0, expected, b"")}
    assert 12 <= len(recorder.calls) < len(answers)
