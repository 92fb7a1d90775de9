"""Calls of host-local in this process."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from cni_host_local import HostLocal
from cnisdk.build import executable
from cnisdk.conformance.check import Kind
from cnisdk.conformance.subject import Subject
from cnisdk.runner import run
from tests.host import Container, Host, Outcome

PROJECT = Path(__file__).parents[1]
NAME = "host-local"


class Call(Protocol):
    """Runs one call in this process."""

    def __call__(
        self,
        command: str,
        config: Mapping[str, Any],
        container: Container | None = None,
        *,
        container_id: str = "",
        ifname: str = "eth0",
        args: str = "",
    ) -> Outcome:
        """Run one call; containers may share a namespace, as host-local never enters it."""
        ...


def _call(
    command: str,
    config: Mapping[str, Any],
    container: Container | None = None,
    *,
    container_id: str = "",
    ifname: str = "eth0",
    args: str = "",
) -> Outcome:
    environ = {"CNI_COMMAND": command, "CNI_PATH": "/nowhere"}
    if container is not None:
        environ |= {
            "CNI_CONTAINERID": container_id or container.id,
            "CNI_NETNS": container.path,
            "CNI_IFNAME": ifname,
            "CNI_ARGS": args,
        }
    stdout = io.BytesIO()
    reader, writer = os.pipe()
    with open(reader, encoding="utf-8") as log:
        try:
            status = run(HostLocal, environ, json.dumps(config).encode(), stdout, writer)
        finally:
            os.close(writer)
        return Outcome(status, stdout.getvalue().decode(), log.read())


@pytest.fixture
def call() -> Call:
    return _call


@pytest.fixture
def container(host: Host) -> Container:
    return host.container()


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    return {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "ipam": {
            "type": "host-local",
            "dataDir": str(tmp_path / "data"),
            "ranges": [[{"subnet": "10.1.2.0/24"}]],
        },
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "net"


def with_ipam(network: dict[str, Any], **ipam: Any) -> dict[str, Any]:
    return {**network, "ipam": {**network["ipam"], **ipam}}


def ips(outcome: Outcome) -> list[str]:
    assert outcome.status == 0, outcome
    return [ip["address"] for ip in outcome.json["ips"]]


def reservations(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.name != "lock" and not path.name.startswith("last_reserved_ip.")
    }


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the executables of this plugin and of those beside it."""
    directory = tmp_path_factory.mktemp("bin")
    options = executable.Options(unpack_dirs=("/run/cnisdk-payload",))
    executable.build([PROJECT, "cni-bridge"], directory, options)
    return directory


@pytest.fixture(scope="session")
def conflist() -> dict[str, Any]:
    """Return the network that is delivered with the plugin."""
    loaded: dict[str, Any] = json.loads((PROJECT / f"10-{NAME}.conflist").read_bytes())
    return loaded


@pytest.fixture(scope="session")
def subject(built: Path, conflist: dict[str, Any]) -> Subject:
    """Return the plugin as the conformance kit takes it."""
    plugins = conflist["plugins"]
    config = next(p for p in plugins if NAME in (p["type"], p.get("ipam", {}).get("type")))
    return Subject(
        executable=str(built / NAME),
        kind=Kind("ipam"),
        config=config,
        cni_path=(str(built),),
    )
