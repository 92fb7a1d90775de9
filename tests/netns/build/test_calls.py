"""Whole calls through built executables of every kind."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnisdk.agent import trailer
from cnisdk.build.interpreter import LIBC, elf_interpreter
from tests.host import OURS, Host, cni_variables
from tests.netns.build.conftest import UNPACKED


def config(host: Host, **more: Any) -> dict[str, Any]:
    ipam = {"type": "host-local", "subnet": "10.9.0.0/29", "dataDir": str(host.state / "data")}
    return {
        "cniVersion": "1.0.0",
        "name": "n",
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipam": ipam,
        **more,
    }


@pytest.fixture(params=["built", "standalone", "scripts"])
def directory(request: pytest.FixtureRequest) -> Path:
    """Each kind of executables in turn."""
    found: Path = request.getfixturevalue(request.param)
    return found


def test_add_check_del(host: Host, directory: Path) -> None:
    container = host.container()
    raw = config(host)
    path = str(directory)

    result = host.plugin("bridge", "ADD", raw, container, path=path).json

    assert result["ips"][0]["address"] == "10.9.0.2/29"
    (link,) = container.json("ip", "addr", "show", "eth0")
    assert [a["local"] for a in link["addr_info"] if a["family"] == "inet"] == ["10.9.0.2"]
    with_result = {**raw, "prevResult": result}
    host.plugin("bridge", "CHECK", with_result, container, path=path)
    host.plugin("bridge", "DEL", with_result, container, path=path)
    assert [link["ifname"] for link in container.json("ip", "link")] == ["lo"]
    assert not list(host.state.glob("data/n/10.*"))


def traced(host: Host, directory: Path, path: str, log: Path) -> list[str]:
    """ADD a container and return what was executed."""
    container = host.container()
    variables = cni_variables("ADD", container, path)
    host.run(
        "strace", "-f", "-qq", "-o", str(log), "-e", "trace=execve", f"{directory}/bridge",
        env=variables, input=json.dumps(config(host)),
    )  # fmt: skip
    return [
        line.split('execve("')[1].split('"')[0]
        for line in log.read_text().splitlines()
        if "execve(" in line and line.endswith("= 0")
    ]


def test_bridge_and_host_local_are_one_process(host: Host, directory: Path, tmp_path: Path) -> None:
    executed = traced(host, directory, str(directory), tmp_path / "trace")

    assert executed[0] == f"{directory}/bridge"
    assert not [path for path in executed if path.endswith("host-local")]
    assert len(executed) <= 2


def test_a_link_elsewhere_to_the_same_payload_is_served_too(
    host: Host, built: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(built / "host-local", tmp_path / "bin" / "host-local")

    executed = traced(host, built, str(tmp_path / "bin"), tmp_path / "trace")

    assert not [path for path in executed if path.endswith("host-local")]


@pytest.mark.parametrize("other", ["script", "another build"])
def test_the_executable_of_somebody_else_is_executed(
    host: Host, built: Path, tmp_path: Path, other: str
) -> None:
    theirs = tmp_path / "theirs" / "host-local"
    theirs.parent.mkdir()
    if other == "script":
        theirs.write_text(f'#!/bin/sh\nexec {OURS}/host-local "$@"\n')
    else:
        data = (built / "host-local").read_bytes()
        at = data.rindex(b"payload-id=") + len(b"payload-id=")
        theirs.write_bytes(data[:at] + b"0" * 32 + data[at + 32 :])
    theirs.chmod(0o755)

    executed = traced(host, built, f"{theirs.parent}:{built}", tmp_path / "trace")

    assert str(theirs) in executed


@pytest.mark.reference
def test_the_go_plugin_is_executed(host: Host, built: Path, tmp_path: Path) -> None:
    from tests.host import REFERENCE

    executed = traced(host, built, f"{REFERENCE}:{built}", tmp_path / "trace")

    assert f"{REFERENCE}/host-local" in executed


def test_a_delegate_in_the_same_process_fails_as_an_executed_one_does(
    host: Host, built: Path
) -> None:
    raw = config(host)
    raw["ipam"]["subnet"] = "10.9.0.0/30"
    host.plugin("bridge", "ADD", raw, host.container(), path=str(built))
    before = host.snapshot()

    answers = [
        host.plugin("bridge", "ADD", raw, host.container(), path=path, check=False)
        for path in (str(built), OURS)
    ]

    assert [answer.status for answer in answers] == [1, 1]
    assert answers[0].json == answers[1].json
    assert host.snapshot() == before


def test_a_delegate_that_is_not_there_is_an_error_as_ever(host: Host, built: Path) -> None:
    answers = [
        host.plugin(
            "bridge", "ADD", config(host), host.container(), check=False, path=path,
            env={"CNI_PATH": "/nowhere"},
        ).json
        for path in (str(built), OURS)
    ]  # fmt: skip

    assert answers[0] == answers[1]


def test_called_by_a_name_that_no_plugin_has_it_says_which_it_is(
    host: Host, built: Path, tmp_path: Path
) -> None:
    shutil.copy(built / "bridge", tmp_path / "brigde")

    answer = host.plugin("brigde", "STATUS", {}, path=str(tmp_path), check=False)

    assert answer.status == 1
    assert answer.json["code"] == 999
    assert "it is only bridge, host-local" in answer.json["details"]


def test_typed_by_a_person_it_says_what_it_is(host: Host, directory: Path) -> None:
    done = host.run(f"{directory}/host-local", env={})

    assert done.stdout == ""
    assert "CNI plugin HostLocal" in done.stderr


def test_calls_write_nothing_beside_what_was_unpacked(host: Host, built: Path) -> None:
    found = trailer.read(str(built / "bridge"))
    assert found is not None
    identity = found.value("payload-id")  # others unpack their own beside it just now

    def there() -> list[Path]:
        beside = UNPACKED.glob(f"*{identity}*")
        return sorted([*beside, *(UNPACKED / identity).rglob("*")])

    host.plugin("host-local", "STATUS", config(host), path=str(built), check=False)
    before = there()
    assert len(before) > 1

    host.plugin("bridge", "ADD", config(host), host.container(), path=str(built))

    assert set(there()) - set(before) == set()


def test_locale_and_variables_of_a_runtime_do_not_matter(
    host: Host, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "encodings").mkdir()
    env = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "LC_ALL": "POSIX",
        "PYTHONIOENCODING": "ascii",
        "PYTHONSAFEPATH": "",
    }
    raw = config(host, name="n")
    raw["args"] = {"x": "höß"}

    host.plugin("bridge", "ADD", raw, host.container(), path=str(directory), env=env)


# -- with nothing but libc -----------------------------------------------------------------------


@pytest.fixture
def root(standalone: Path) -> Iterator[Path]:
    """A root directory: the executables, libc, its loader, and what a kernel gives."""
    root = Path(f"/run/root-{os.getpid()}")
    root.mkdir(mode=0o755)
    (root / "bin").mkdir()
    shutil.copy(standalone / "bridge", root / "bin" / "bridge")
    os.link(root / "bin" / "bridge", root / "bin" / "host-local")
    loader = elf_interpreter("/bin/sh")
    for path in libc(loader):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    show("/proc", root)
    (root / "run" / "netns").mkdir(parents=True)
    yield root
    for path in (root / "proc", *(root / "run" / "netns").iterdir()):
        subprocess.run(["umount", "--recursive", "--lazy", path], check=True)
    shutil.rmtree(root)


def show(path: str, root: Path) -> None:
    """Let ``path`` be seen in ``root``."""
    target = root / path.lstrip("/")
    target.mkdir() if os.path.isdir(path) else target.touch()
    subprocess.run(["mount", "--rbind", path, target], check=True)


def libc(loader: str) -> list[Path]:
    """Return the loader, and the files of libc beside the one that it finds."""
    listed = subprocess.run([loader, "--list", "/bin/sh"], capture_output=True, text=True)
    (found,) = [
        Path(line.split(" => ")[1].split(" (")[0])
        for line in listed.stdout.splitlines()
        if "libc.so" in line
    ]
    names = [path for path in found.parent.iterdir() if path.name.startswith(LIBC)]
    return [Path(loader), *(path for path in names if ".so." in path.name)]


def test_standalone_needs_nothing_but_libc_and_its_loader(host: Host, root: Path) -> None:
    container = host.container()
    show(container.path, root)
    raw = {**config(host), "ipam": {"type": "host-local", "subnet": "10.9.0.0/29"}}
    chroot = str(shutil.which("chroot", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"))

    def call(command: str) -> str:
        env = cni_variables(command, container, "/bin")
        return host.run(chroot, root, "/bin/bridge", env=env, input=json.dumps(raw)).stdout

    result = json.loads(call("ADD"))

    assert result["ips"][0]["address"] == "10.9.0.2/29"
    (link,) = container.json("ip", "addr", "show", "eth0")
    assert [a["local"] for a in link["addr_info"] if a["family"] == "inet"] == ["10.9.0.2"]
    raw["prevResult"] = result
    assert call("CHECK") == ""
    assert call("DEL") == ""
    assert [link["ifname"] for link in container.json("ip", "link")] == ["lo"]
    assert not (root / "usr" / "lib" / "python3").exists()
