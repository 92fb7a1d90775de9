"""Agents that one call leaves behind for the next, of executables of both kinds."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cnisdk.agent import native, trailer
from cnisdk.agent.warm import runtime_directory
from cnisdk.build import executable
from cnisdk.build.executable import Options
from tests.host import ROOT, Container, Host, Outcome, cni_variables
from tests.netns.agent.agents import eventually
from tests.netns.build.conftest import PLUGINS, UNPACKED, built_once

Opener = Callable[..., "Warm"]


class Warm:
    """Executables with an identity that no other test has, and the agent that they leave."""

    def __init__(self, executables: Path, directory: Path, settings: dict[str, str]) -> None:
        """Copy them; all of one name would have the settings of the first otherwise."""
        self.identity = uuid.uuid4().hex
        self.path = directory / self.identity
        self.path.mkdir()
        self.home = Path("/run/cnisdk-warm", self.identity)
        for source in executables.iterdir():
            data = source.read_bytes()
            found = trailer.read(str(source))
            assert found is not None
            front = data[: found.payload_offset]
            payload = data[found.payload_offset :][: found.payload_length]
            changed = {**dict(settings), "payload-id": self.identity}
            kept = [pair for pair in found.settings if pair[0] not in changed]
            old = found.value("payload-id").encode()
            file = self.path / source.name
            file.write_bytes(
                trailer.append(
                    front.replace(old, self.identity.encode()), [*kept, *changed.items()], payload
                )
            )
            file.chmod(0o755)

    def call(
        self, host: Host, container: Container, warm: str = "", command: str = "ADD"
    ) -> Outcome:
        """ADD an address, or another command for it."""
        ipam = {"type": "host-local", "subnet": "10.9.0.0/24", "dataDir": str(host.state / "data")}
        config = {"cniVersion": "1.0.0", "name": "n", "type": "bridge", "ipam": ipam}
        env = {"CNISDK_WARM": warm} if warm else {}
        return host.plugin("host-local", command, config, container, path=str(self.path), env=env)

    @property
    def pid(self) -> int:
        """The agent's process ID, 0 if none listens."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            try:
                sock.connect(str(self.home / "agent.sock"))
            except (FileNotFoundError, ConnectionRefusedError):
                return 0
            peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", peer)[0])

    def appears(self) -> int:
        """Wait for the agent, and return its process ID."""
        eventually(lambda: self.pid, "no agent was left behind")
        return self.pid

    def processes(self) -> list[int]:
        """Return all processes that came out of the executables."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if self.identity.encode() in entry.read_bytes():
                    found.append(int(entry.parent.name))
        return found

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.home / "log").read_text().splitlines()]

    def serves(self, container: Container) -> None:
        """Wait until the agent has logged that it has served a call for the container."""
        eventually(lambda: self.served(container), "the agent was not asked")

    def served(self, container: Container) -> bool:
        """Say whether the agent has logged that it has served a call for the container."""
        lines = self.log() if self.home.exists() else []
        return any(
            line["event"] == "call ok" and line.get("container") == container.id for line in lines
        )

    def close(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(UNPACKED / self.identity, ignore_errors=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_once(tmp_path_factory, "built", Options(unpack_dirs=(str(UNPACKED),)))


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scripts(tmp_path_factory.mktemp("scripts"), PLUGINS)


def make_scripts(output: Path, projects: list[Path]) -> Path:
    """Build as where there is no compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "prebuilt", lambda: None)
        patch.setattr(native, "compile_launcher", lambda *args, **kwargs: None)
        executable.build(projects, output)
    return output


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Opener]:
    """Makes `Warm`s, and ends what they left."""
    made: list[Warm] = []

    def make(executables: Path, **settings: str) -> Warm:
        made.append(Warm(executables, tmp_path, settings))
        return made[-1]

    yield make
    for warm in made:
        warm.close()


@pytest.fixture(params=["built", "scripts"])
def either(request: pytest.FixtureRequest, make: Opener) -> Warm:
    """Executables of either kind, built with ``--warm 60``."""
    return make(request.getfixturevalue(request.param), warm="60")


@pytest.fixture
def warm(built: Path, make: Opener) -> Warm:
    """Executables with the native launcher, built with ``--warm 60``."""
    return make(built, warm="60")


# -- what it is for ----------------------------------------------------------------------------


def test_the_first_call_leaves_an_agent_that_serves_the_second(host: Host, either: Warm) -> None:
    first, second = host.container(), host.container()

    assert either.call(host, first).json["ips"][0]["address"] == "10.9.0.2/24"
    pid = either.appears()
    assert either.call(host, second).json["ips"][0]["address"] == "10.9.0.3/24"

    assert not either.served(first)
    either.serves(second)
    assert either.pid == pid


def test_bridge_and_its_delegate_are_served_by_it(host: Host, either: Warm) -> None:
    container = host.container()
    either.call(host, host.container())
    either.appears()
    ipam = {"type": "host-local", "subnet": "10.8.0.0/24", "dataDir": str(host.state / "data")}
    config = {"cniVersion": "1.0.0", "name": "m", "type": "bridge", "bridge": "br0", "ipam": ipam}

    host.plugin("bridge", "ADD", config, container, path=str(either.path))

    either.serves(container)
    (link,) = container.json("ip", "-4", "addr", "show", "eth0")
    assert link["addr_info"][0]["local"] == "10.8.0.2"
    host.plugin("bridge", "DEL", config, container, path=str(either.path))
    assert [link["ifname"] for link in container.json("ip", "link")] == ["lo"]


def test_the_second_call_executes_no_python(host: Host, warm: Warm, tmp_path: Path) -> None:
    warm.call(host, host.container())
    warm.appears()
    container = host.container()
    variables = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": container.id,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(warm.path),
    }
    config = {"cniVersion": "1.0.0", "name": "n", "type": "bridge"}
    log = tmp_path / "trace"

    host.run(
        "strace", "-f", "-qq", "-o", log, "-e", "trace=process", warm.path / "bridge",
        env=variables, input=json.dumps(config),
    )  # fmt: skip

    started = [line for line in log.read_text().splitlines() if "exec" in line or "fork" in line]
    assert len(started) == 1
    warm.serves(container)


def test_the_variable_alone_is_enough(host: Host, built: Path, make: Opener) -> None:
    warm = make(built)
    container = host.container()

    warm.call(host, host.container(), "60")
    warm.appears()
    warm.call(host, container, "60")

    warm.serves(container)


# -- what it must not do -----------------------------------------------------------------------


def test_without_opting_in_nothing_is_left_behind(host: Host, built: Path, make: Opener) -> None:
    warm = make(built)

    warm.call(host, host.container())

    assert warm.processes() == []
    assert not warm.home.exists()


@pytest.mark.parametrize("variable", ["0", "no"])
def test_the_variable_can_say_no(host: Host, either: Warm, variable: str) -> None:
    either.call(host, host.container(), variable)

    assert either.processes() == []
    assert not either.home.exists()


def test_a_call_that_says_no_is_not_served_by_it(host: Host, either: Warm) -> None:
    either.call(host, host.container())
    either.appears()
    container = host.container()

    either.call(host, container, "0")

    assert not either.served(container)


def test_a_call_that_fails_leaves_nothing_behind(host: Host, warm: Warm) -> None:
    outcome = host.plugin("bridge", "ADD", {}, host.container(), path=str(warm.path), check=False)

    assert outcome.status == 1
    assert warm.processes() == []


def test_it_holds_nothing_of_its_caller(host: Host, either: Warm, tmp_path: Path) -> None:
    container = host.container()
    variables = {
        **cni_variables("DEL", container, str(either.path)),
        "PATH": os.environ["PATH"],
        "SECRET": "of the runtime",
    }
    config = {"cniVersion": "1.0.0", "name": "n", "type": "bridge"}
    with open(tmp_path / "inherited", "w") as inherited, host.inside():
        # It returns, so the ends of the pipes have been read.
        subprocess.run(
            [either.path / "bridge"],
            input=json.dumps(config).encode(),
            capture_output=True,
            env=variables,
            cwd=tmp_path,
            pass_fds=[inherited.fileno()],
            timeout=10,
            check=True,
        )
    process = Path("/proc", str(either.appears()))
    eventually(lambda: (process / "comm").read_text() == "cnisdk-warm\n")

    files = open_files(process)
    assert files.pop(0) == "/dev/null"
    assert {files.pop(1), files.pop(2)} == {f"{either.home}/log"}
    ours = (str(either.home), str(UNPACKED / either.identity), "socket:", "anon_inode:", "net:")
    assert [file for file in files.values() if not file.startswith(ours)] == []
    assert f"net:[{os.stat(container.path).st_ino}]" not in files.values()
    assert os.readlink(process / "cwd") == "/"
    assert os.getsid(int(process.name)) != os.getsid(0)


def open_files(process: Path) -> dict[int, str]:
    """Return what a process has open; it may be opening and closing meanwhile."""
    found = {}
    for fd in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[int(fd.name)] = os.readlink(fd)
    return found


# -- its end -----------------------------------------------------------------------------------


def test_it_ends_when_its_time_is_over(host: Host, warm: Warm) -> None:
    began = time.monotonic()
    warm.call(host, host.container(), "1")
    warm.appears()

    eventually(lambda: not warm.processes())

    assert 0.9 < time.monotonic() - began < 5
    assert not (warm.home / "agent.sock").exists()
    warm.call(host, host.container())
    warm.appears()


def test_calls_do_not_prolong_it(host: Host, warm: Warm) -> None:
    container = host.container()
    warm.call(host, container, "1")
    pid = warm.appears()
    ends = time.monotonic() + 5

    while warm.pid == pid:
        assert time.monotonic() < ends, warm.log()[-5:]
        warm.call(host, container, "1", "DEL")  # may be repeated, however fast it is


def test_a_killed_one_is_followed_by_another(host: Host, either: Warm) -> None:
    either.call(host, host.container())
    pid = either.appears()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not either.pid)
    container = host.container()

    either.call(host, host.container())
    assert either.appears() != pid
    either.call(host, container)

    either.serves(container)


def test_a_terminated_one_takes_its_socket_away(host: Host, warm: Warm) -> None:
    warm.call(host, host.container())
    pid = warm.appears()
    eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "cnisdk-warm\n")
    warm.call(host, host.container())  # it serves

    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not warm.processes())

    assert not (warm.home / "agent.sock").exists()


# -- whom it serves ----------------------------------------------------------------------------


def test_another_version_has_one_of_its_own(
    host: Host, built: Path, make: Opener, warm: Warm
) -> None:
    warm.call(host, host.container())
    pid = warm.appears()
    other, container = make(built, warm="60"), host.container()

    other.call(host, container)

    assert not warm.served(container)
    assert other.appears() != pid


def test_several_first_calls_at_once_leave_one(host: Host, either: Warm) -> None:
    variables = {
        "CNI_COMMAND": "DEL",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(either.path),
        "PATH": os.environ["PATH"],
    }
    config = json.dumps({"cniVersion": "1.0.0", "name": "n", "type": "bridge"}).encode()
    with host.inside():
        calls = [
            subprocess.Popen(
                [either.path / "bridge"],
                stdin=subprocess.PIPE,
                env={**variables, "CNI_CONTAINERID": f"c{i}"},
            )
            for i in range(3)
        ]
    for call in calls:
        call.communicate(config)

    assert [call.returncode for call in calls] == [0, 0, 0]
    pid = either.appears()
    eventually(lambda: either.processes() == [pid])


@pytest.mark.parametrize("namespaces", ["-m", "-Ur"])
def test_a_caller_in_other_namespaces_makes_one_call(
    host: Host, warm: Warm, namespaces: str
) -> None:
    warm.call(host, host.container())
    pid = warm.appears()
    container = host.container()
    variables = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": container.id,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(warm.path),
        "PATH": os.environ["PATH"],
    }
    config = json.dumps({"cniVersion": "1.0.0", "name": "n", "type": "bridge"})

    done = host.run("unshare", namespaces, warm.path / "bridge", env=variables, input=config)

    assert "refused the call, reason f" in done.stderr
    assert not warm.served(container)
    assert warm.pid == pid


def test_a_changed_plugin_is_served_by_no_old_agent(
    host: Host, make: Opener, tmp_path: Path
) -> None:
    project = tmp_path / "host_local"
    shutil.copytree(ROOT / "plugins" / "host_local", project)
    warm = make(make_scripts(tmp_path / "made", [project]), warm="60")
    # What is as new as this may have been read before it was changed, for all the agent knows.
    newest = max(file.stat().st_ctime for file in project.rglob("*"))
    eventually(lambda: time.time() > newest + 0.5)
    first, second = host.container(), host.container()
    warm.call(host, host.container())
    pid = warm.appears()
    warm.call(host, first)
    warm.serves(first)

    (project / "cni_host_local" / "__init__.py").touch()
    warm.call(host, second)

    assert not warm.served(second)
    eventually(lambda: warm.pid != pid)


def test_a_directory_that_others_may_write_to_is_not_used(host: Host, warm: Warm) -> None:
    warm.home.mkdir(parents=True)
    warm.home.chmod(0o755)

    warm.call(host, host.container())

    eventually(lambda: not warm.processes())
    assert list(warm.home.iterdir()) == []


@pytest.mark.parametrize(("mode", "used"), [(0o700, True), (0o755, True), (0o777, False)])
def test_a_runtime_directory_that_others_can_write_to_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, *, used: bool
) -> None:
    tmp_path.chmod(mode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert runtime_directory() == (str(tmp_path) if used else "")


def test_a_runtime_directory_of_another_user_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    assert runtime_directory() == ""


def test_where_run_cannot_be_used_it_is_in_the_directory_of_the_user(
    host: Host, warm: Warm
) -> None:
    warm.home.mkdir(parents=True)
    warm.home.chmod(0o755)
    ipam = {"type": "host-local", "subnet": "10.9.0.0/24", "dataDir": str(host.state / "data")}
    config = {"cniVersion": "1.0.0", "name": "n", "type": "bridge", "ipam": ipam}
    runtime = Path(f"/run/user-{os.getpid()}")  # a socket's path must be short
    runtime.mkdir(mode=0o700)
    container = host.container()

    def call(container: Container) -> None:
        env = {"XDG_RUNTIME_DIR": str(runtime)}
        host.plugin("host-local", "ADD", config, container, path=str(warm.path), env=env)

    call(host.container())
    warm.home = runtime / "cnisdk-warm" / warm.identity
    warm.appears()
    call(container)

    warm.serves(container)
