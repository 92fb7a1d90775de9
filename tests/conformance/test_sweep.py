"""The sweep, over our plugins, and over tiny ones of which it is known what they leave."""

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cnisdk.cli.sweep import text
from cnisdk.conformance import ptrace
from cnisdk.conformance.check import Kind
from cnisdk.conformance.subject import Subject
from cnisdk.conformance.sweep import Sweep, changes, sweep
from cnisdk.conformance.tracees import Mode
from cnisdk.conformance.tracer import trace
from tests.conformance import sweeping
from tests.host import OURS

pytestmark = pytest.mark.skipif(
    platform.machine() not in ptrace.MACHINES, reason="system calls are not known of this machine"
)

ENVIRON = {"PATH": os.environ["PATH"]}

# Gives one address; what it keeps is a file a container, drafted and then renamed.
IPAM = """#!/bin/sh
case $CNI_COMMAND in
VERSION) echo '{{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}}' ;;
ADD)
    echo "$CNI_IFNAME" >{kept}/draft || exit 1
    mv {kept}/draft "{kept}/$CNI_CONTAINERID" || exit 1
    echo '{{"cniVersion": "1.0.0", "ips": [{{"address": "10.1.0.2/24"}}]}}' ;;
DEL) rm -f {deleted} ;;
esac
"""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    directory = tmp_path / "kept"
    directory.mkdir()
    return directory


def ipam(kept: Path, deleted: str) -> Subject:
    path = kept.parent / "tiny"
    path.write_text(IPAM.format(kept=kept, deleted=deleted.format(kept=kept)))
    path.chmod(0o755)
    config = {"name": "n", "type": "tiny", "ipam": {"type": "tiny"}}
    return Subject(executable=str(path), kind=Kind.IPAM, config=config)


def ours(kept: Path) -> Subject:
    config = {
        "name": "n",
        "type": "bridge",
        "bridge": "swept0",
        "isGateway": True,
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": str(kept)},
    }
    return Subject(executable=f"{OURS}/bridge", kind=Kind.INTERFACE, config=config)


@pytest.mark.parametrize("mode", Mode)
def test_our_bridge_and_host_local_leave_nothing_wherever_they_are_interrupted(
    mode: Mode, kept: Path
) -> None:
    found = sweep(ours(kept), mode=mode, most=3, watched=[kept])
    assert not found.failed, text(found)
    assert all(point.change for point in found.points)


def test_a_draft_that_host_local_cannot_remove_goes_with_delete(kept: Path) -> None:
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": str(kept)}
    config = {"name": "n", "type": "host-local", "ipam": ipam}
    subject = Subject(executable=f"{OURS}/host-local", kind=Kind.IPAM, config=config)
    calls = [str(change) for change in changes(subject, watched=[kept])]
    (point,) = [
        number
        for number, call in enumerate(calls, 1)
        if "unlink" in call and call.endswith("/.reservation")
    ]
    found = sweep(subject, mode=Mode.ERROR, only=point, watched=[kept])
    assert not found.failed, text(found)


def test_iptables_that_cannot_be_executed_for_now_is_no_reason_to_use_nftables(kept: Path) -> None:
    """The table of the other backend would stay, and containers would be in different ones."""
    plain = ours(kept)
    subject = Subject(
        executable=plain.executable,
        kind=plain.kind,
        config={**(plain.config or {}), "ipMasq": True},
    )
    calls = [str(change) for change in changes(subject, watched=[kept])]
    (point,) = [n for n, call in enumerate(calls, 1) if call.endswith("iptables-restore")]

    found = sweep(subject, mode=Mode.ERROR, only=point, watched=[kept])

    assert not found.failed, text(found)
    assert not any(point.executions[0].ok for point in found.points)


def test_what_is_forgotten_by_delete_is_found(kept: Path) -> None:
    leaking = ipam(kept, '"{kept}/$CNI_CONTAINERID"')
    found = sweep(leaking, most=4, watched=[kept])
    assert found.failed
    for point in found.failed:
        assert point.problems == (f"left: file {kept}/draft",)


def test_what_delete_takes_back_is_no_finding(kept: Path) -> None:
    tidy = ipam(kept, '"{kept}/$CNI_CONTAINERID" {kept}/draft')
    assert not sweep(tidy, watched=[kept]).failed


def test_harm_to_a_container_that_is_attached_all_the_while_is_found(kept: Path) -> None:
    reckless = ipam(kept, "{kept}/*")
    assert not sweep(reckless, watched=[kept]).failed
    found = sweep(reckless, warm=True, watched=[kept])
    assert len(found.failed) == len(found.points)
    for point in found.points:
        assert f"gone: file {kept}/bystander" in point.problems


def test_our_plugins_leave_a_container_alone_that_is_attached_all_the_while(kept: Path) -> None:
    found = sweep(ours(kept), most=2, warm=True, watched=[kept])
    assert not found.failed, text(found)


def test_all_sweeps_are_summed_up_in_a_table() -> None:
    rows = sweeping.rows()
    found = sweeping.Found(40, 1, "")
    lines = sweeping.table(
        (row, found, found if row.has_reference else None) for row in rows
    ).splitlines()
    assert len(lines) == len(rows) + 2
    assert lines[1].split() == ["bridge", "one", "call", "none", "kill", "40", "1", "40", "1"]
    with_reference = sum(row.has_reference for row in rows)
    sums = [40 * len(rows), len(rows), 40 * with_reference, with_reference]
    assert lines[-1].split() == ["all", *map(str, sums)]


def test_a_sweep_that_could_not_be_done_is_told_in_the_table() -> None:
    failed = sweeping.Found(0, 0, "why")
    (_, line, _) = sweeping.table([(sweeping.rows()[0], failed, None)]).splitlines()
    assert line.split()[-4:] == ["failed", "?", "-", "-"]


def test_a_point_is_the_same_call_each_time(kept: Path) -> None:
    tidy = ipam(kept, '"{kept}/$CNI_CONTAINERID" {kept}/draft')
    whole = [str(change).split("host-")[0] for change in changes(tidy, watched=[kept])]
    calls = [line.partition(": ")[2].split()[0] for line in whole]
    assert calls[:2] == ["openat", "write"]
    assert any(call.startswith("rename") for call in calls)
    assert calls[-1] == "write"
    for number, line in enumerate(whole, 1):
        stopped = sweep(tidy, only=number, watched=[kept]).points[0]
        assert str(stopped.change).split("host-")[0] == line


def test_a_killed_tree_is_dead_and_the_call_not_made(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\n(mkdir {tmp_path}/made)\nmkdir {tmp_path}/after\n")
    script.chmod(0o755)
    whole = trace(str(script), ENVIRON, b"")
    names = [change.call for change in whole.changes]
    point = names.index("mkdir") + 1
    for name in ("made", "after"):
        (tmp_path / name).rmdir()
    killed = trace(str(script), ENVIRON, b"", point=point, mode=Mode.KILL)
    assert killed.execution.status == -9
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "after").exists()


def test_a_call_that_fails_is_not_made(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nexec mkdir {tmp_path}/made\n")
    script.chmod(0o755)
    whole = trace(str(script), ENVIRON, b"")
    point = [change.call for change in whole.changes].index("mkdir") + 1
    (tmp_path / "made").rmdir()
    failed = trace(str(script), ENVIRON, b"", point=point, mode=Mode.ERROR)
    assert failed.execution.status == 1
    assert b"No space left on device" in failed.execution.stderr
    assert not (tmp_path / "made").exists()


# Writes to a full pipe, which takes it when its child has sent three signals, each once it waits.
RESTARTING = """#!{python} -IS
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.siginterrupt(signal.SIGUSR1, False)
fd = os.open("{fifo}", os.O_RDWR)
os.write(fd, bytes(65536))
if os.fork() == 0:
    for _ in range(3):
        while open(f"/proc/{{os.getppid()}}/stat").read().split()[2] != "S":
            pass
        os.kill(os.getppid(), signal.SIGUSR1)
        while "{bit}" in open(f"/proc/{{os.getppid()}}/status").read():
            pass
    os.read(fd, 65536)
    os._exit(0)
os.write(fd, b"x")
"""


def test_a_call_that_the_kernel_restarts_is_one_change(tmp_path: Path) -> None:
    """A sysctl of the network is written again and again while another process changes links."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = tmp_path / "script"
    pending = f"ShdPnd:\\t{1 << (signal.SIGUSR1 - 1):016x}"
    script.write_text(RESTARTING.format(python=sys.executable, fifo=fifo, bit=pending))
    script.chmod(0o755)

    done = trace(str(script), ENVIRON, b"")

    assert done.execution.ok, done.execution
    written = [change for change in done.changes if change.call == "write"]
    assert [change.what for change in written] == [str(fifo)] * 2


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nsleep 60\n")
    script.chmod(0o755)
    stuck = trace(str(script), ENVIRON, b"", timeout=0.5)
    assert stuck.execution.timed_out
    assert stuck.execution.status == -9


def test_the_command_says_which_file_does_not_do(tmp_path: Path) -> None:
    from cnisdk.cli.sweep import sweep as command

    (tmp_path / "config").write_text(json.dumps({"plugins": []}))
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    done = CliRunner().invoke(command, [str(script), "--config", str(tmp_path / "config")])
    assert done.exit_code == 2
    assert "no plugin of the type script" in done.output


def test_the_text_counts_points_that_left_something(kept: Path) -> None:
    subject = ipam(kept, "nothing")
    found = Sweep(subject=subject, mode=Mode.KILL, changes=(), points=())
    assert text(found).endswith("without the namespace: none left something")


def test_tracing_ends_while_another_child_lives_on_and_leaves_it_alone(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text("#!/bin/sh\necho done; exit 3\n")
    plugin.chmod(0o755)
    with subprocess.Popen(["sh", "-c", "read gone; exit 7"], stdin=subprocess.PIPE) as other:
        done = trace(str(plugin), ENVIRON, b"", timeout=20).execution

        assert other.poll() is None
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait() == 7
    assert (done.status, done.stdout, done.timed_out) == (3, b"done\n", False)
