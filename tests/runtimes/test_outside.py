"""Sessions of real root: what they can do, and what they cannot do to the machine."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.host import ROOT
from tests.runtimes import elsewhere, outside
from tests.runtimes.stranger import STRANGER


@pytest.fixture
def shared() -> Path:
    """The directory that all sessions have in common."""
    if outside.SOCKET not in os.environ:
        reason = "needs root, and not of a user namespace: sudo make test"
        pytest.skip(reason)
    return Path(os.environ[outside.SOCKET]).parent


def run(script: str) -> outside.Done:
    return outside.run(["sh", "-c", script], env={"PATH": os.environ["PATH"]}, cwd=ROOT)


@pytest.mark.usefixtures("shared")
def test_a_session_is_root_of_the_machine() -> None:
    done = run("cat /proc/self/uid_map; pwd; exit 3")

    assert done == (3, f"         0          0 4294967295\n{ROOT}\n", [])


def test_what_is_written_stays_in_the_session(shared: Path) -> None:
    mine = shared / "mine"

    done = run(f"echo a >/usr/cnisdk-was-here; echo b >{mine}; cd /layer/upper; find usr -type f")

    assert done.output == "usr/cnisdk-was-here\n"
    assert not os.path.lexists("/usr/cnisdk-was-here")
    assert mine.read_text() == "b\n"
    mine.unlink()


@pytest.mark.usefixtures("shared")
def test_processes_and_cgroups_go_with_the_session() -> None:
    script = """
        for tasks in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs); do
            mkdir ${tasks%/*}/left && echo $$ >${tasks%/*}/left/cgroup.procs
        done
        setsid sleep 1000 </dev/null >/dev/null 2>&1 &
        find /sys/fs/cgroup -name left | grep -c left
    """
    done = run(script)

    assert int(done.output) > 0
    assert done.left == []
    assert done.status == 0  # there is no such answer before the cgroups are gone


@pytest.mark.usefixtures("shared")
def test_a_session_sees_no_cgroups_but_its_own() -> None:
    done = run("find /sys/fs/cgroup -mindepth 2 -type d ! -path '*/session'; ip -br link")

    assert done.output.split()[0] == "lo"
    assert len(done.output.splitlines()) == 1


KILLED = """
import os, signal, sys
sys.path.insert(0, os.getcwd())
from pathlib import Path
from tests.netns.agent.agents import eventually
from tests.runtimes import outside

shared = Path("/run/shared")
shared.mkdir(parents=True)
if os.fork() == 0:
    os.environ |= outside.stay(str(shared))
    started = f"{Path(os.environ[outside.SOCKET]).parent}/started"
    script = f"setsid sleep 1000 & echo >{started}; wait"
    print(outside.run(["sh", "-c", script], env=dict(os.environ), cwd=Path("/")), flush=True)
    os._exit(1)
eventually(lambda: list(shared.glob("outside-*/started")))
cgroups = [path for path in Path("/sys/fs/cgroup").rglob("cnisdk-*") if path.is_dir()]
(child,) = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
os.kill(child, signal.SIGKILL)
eventually(lambda: not list(shared.glob("outside-*")), "the process outside stays")
left = [path for path in cgroups if path.exists()]
print(len(cgroups) > 0, left)
"""


@pytest.mark.usefixtures("shared")
def test_sessions_end_when_the_one_that_asked_is_killed() -> None:
    argv = [sys.executable, "-B", "-c", KILLED]

    done = outside.run(argv, env={"PATH": os.environ["PATH"]}, cwd=ROOT)

    assert done == (0, "True []\n", []), done.output


def test_a_test_without_real_root_says_why(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(outside.SOCKET, raising=False)
    request.node.add_marker(pytest.mark.runtime())
    assert not elsewhere.elsewhere(request.node)
    assert "need root" in elsewhere.impossible(request.node)


def test_a_test_without_its_runtime_says_which(request: pytest.FixtureRequest) -> None:
    request.node.add_marker(pytest.mark.runtime("sh", "no-such-runtime"))
    assert elsewhere.impossible(request.node) == "not installed: no-such-runtime"


@pytest.mark.usefixtures("shared")
def test_another_user_gets_nothing_out_of_the_agent() -> None:
    environ = {"PATH": os.environ["PATH"]}
    argv = [sys.executable, "-m", "tests.runtimes.stranger"]
    done = outside.run(argv, env=environ, cwd=ROOT)

    assert done.status == 0, done.output
    met = json.loads(done.output.splitlines()[-1])
    refused = [line for line in met["log"] if line["event"] == "refused a client"]
    assert met["directory"] == 0o700
    assert (met["as it is"], met["wide open"], met["root after it"]) == (
        "PermissionError",
        "Rf",
        "AS",
    )
    assert [(line["uid"], line["why"]) for line in refused] == [(STRANGER, f"has uid {STRANGER}")]
    assert done.left == []
