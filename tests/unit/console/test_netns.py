"""Names of namespaces.  Executables that answer as the engines do stand in for them here."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cnisdk.console.netns import EngineError, GoneError, path_of
from cnisdk.errors import InvalidEnvironmentError
from cnisdk.runtime.attachment import is_of_process
from tests.host import Host

Engine = Callable[..., None]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Make an executable in PATH that notes its arguments and answers."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def make(name: str, stdout: str, stderr: str = "", status: int = 0) -> None:
        (tmp_path / "stdout").write_text(stdout)
        (tmp_path / "stderr").write_text(stderr)
        file = directory / name
        file.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/argv\n'
            f"cat {tmp_path}/stdout; cat {tmp_path}/stderr >&2; exit {status}\n"
        )
        file.chmod(0o755)

    return make


@pytest.fixture
def process(host: Host) -> Iterator[int]:
    """A process in a container."""
    container = host.container()
    with container.inside():
        child = subprocess.Popen(["sleep", "1000"])
    yield child.pid
    child.kill()
    child.wait()


def test_a_path_is_itself(host: Host) -> None:
    assert path_of(host.container().path) == f"{host.path}-c0"


def test_a_name_is_one_of_ip_netns(host: Host) -> None:
    container = host.container()

    assert path_of(container.name) == f"/run/netns/{container.name}"


def test_a_process_has_a_namespace(process: int) -> None:
    assert path_of(f"pid:{process}") == f"/proc/{process}/ns/net"


@pytest.mark.parametrize("text", ["nothing-of-this-name", "/nowhere/at/all", "pid:0"])
def test_what_is_not_there_is_gone(text: str) -> None:
    with pytest.raises(GoneError):
        path_of(text)


def test_a_process_that_has_ended_is_gone() -> None:
    child = subprocess.Popen(["true"])
    child.wait()

    with pytest.raises(GoneError, match=f"no process {child.pid}"):
        path_of(f"pid:{child.pid}")


def test_what_is_no_namespace_is_gone(tmp_path: Path) -> None:
    (tmp_path / "left").touch()  # as a namespace leaves its name after an unmount

    with pytest.raises(GoneError, match="no network namespace") as caught:
        path_of(str(tmp_path / "left"))
    assert "regular file" in caught.value.details


@pytest.mark.parametrize("text", ["", "pid:", "pid:x", "pid:-1", "docker:", "docker:-x", "pid:²"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        path_of(text)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_container_is_where_its_process_is(engine: Engine, process: int, name: str) -> None:
    engine(name, f"{process} \n")

    assert path_of(f"{name}:web") == f"/proc/{process}/ns/net"


def test_an_engine_is_asked_for_a_container_and_nothing_else(
    engine: Engine, process: int, tmp_path: Path
) -> None:
    engine("docker", f"{process} \n")
    path_of("docker:web")

    assert (tmp_path / "argv").read_text().splitlines() == [
        "inspect",
        "--type",
        "container",
        "--format",
        "{{.State.Pid}} {{.NetworkSettings.SandboxKey}}",
        "web",
    ]


def test_a_path_that_outlives_the_process_is_preferred(
    engine: Engine, process: int, host: Host
) -> None:
    container = host.container()
    engine("docker", f"{process} {container.path}\n")

    assert path_of("docker:web") == container.path


def test_a_path_of_another_mount_namespace_is_of_no_use(engine: Engine, process: int) -> None:
    engine("podman", f"{process} /run/user/1000/netns/netns-1\n")

    assert path_of("podman:web") == f"/proc/{process}/ns/net"


# As docker 20.10 and 28.2 and podman 4.3 have it.
@pytest.mark.parametrize(
    ("name", "stderr", "status"),
    [
        ("docker", "Error: No such container: web\n", 1),
        ("docker", "Error response from daemon: No such container: web\n", 1),
        ("podman", "Error: inspecting object: no such container web\n", 125),
    ],
)
def test_a_container_that_is_removed_is_gone(
    engine: Engine, name: str, stderr: str, status: int
) -> None:
    engine(name, "\n", stderr, status)

    with pytest.raises(GoneError, match=f"{name} has no container 'web'"):
        path_of(f"{name}:web")


def test_a_container_that_has_stopped_is_gone(engine: Engine) -> None:
    engine("docker", "0 \n")

    with pytest.raises(GoneError, match="'web' of docker is not running"):
        path_of("docker:web")


def test_a_daemon_that_does_not_run_is_told() -> None:
    """The real client, where it is installed; else there is none to be found."""
    with pytest.raises(EngineError) as caught:
        path_of("docker:web")
    assert caught.value.command == "docker inspect web"


@pytest.mark.parametrize("stdout", ["", "\n", "<no value> \n", "12x \n", "{}"])
def test_an_answer_that_is_none_is_told(engine: Engine, stdout: str) -> None:
    engine("docker", stdout)

    with pytest.raises(EngineError, match="does not say where container 'web' is"):
        path_of("docker:web")


def test_an_engine_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(InvalidEnvironmentError, match="there is no podman in PATH"):
        path_of("podman:web")


@pytest.mark.parametrize(
    ("path", "of_process"),
    [
        ("/proc/1/ns/net", True),
        ("/proc/1/task/1/ns/net", True),
        ("/run/netns/x", False),
        ("/proc/self/ns/net", False),
    ],
)
def test_a_path_by_a_number_is_told_from_others(path: str, *, of_process: bool) -> None:
    assert is_of_process(path) is of_process
