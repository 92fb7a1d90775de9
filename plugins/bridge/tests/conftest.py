"""A bridge network on a private host, driven in process, with an IPAM plugin told what to say."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cni_bridge import Bridge
from cnisdk import IPConfig, Result, Route, run
from cnisdk.build import executable
from cnisdk.conformance.check import Kind
from cnisdk.conformance.subject import Subject
from cnisdk.types.convert import to_wire
from tests.host import Container, Host

PROJECT = Path(__file__).parents[1]
NAME = "bridge"

IPAM = """#!/bin/sh
# Answers ADD with what the test wrote to fixed.result, or as fixed.<COMMAND> says.
here=${0%/*} PATH=/usr/bin:/bin
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>"$here/fixed.log"
if [ -e "$here/fixed.$CNI_COMMAND" ]; then . "$here/fixed.$CNI_COMMAND"; fi
if [ "$CNI_COMMAND" = ADD ]; then cat "$here/fixed.result"; fi
"""
REFUSAL = """echo '{"code": 100, "msg": "out of addresses"}'; exit 1\n"""


@dataclass
class Answer:
    status: int
    stdout: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        assert self.status != 0, self.stdout
        return f"{self.json['msg']}; {self.json.get('details', '')}"


class Network:
    """One network, called ``net1``, on one host."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.bin = directory
        self.path = str(directory)
        self.search_path = "/usr/sbin:/usr/bin:/sbin:/bin"
        self.config: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net1",
            "type": "bridge",
            "bridge": "br0",
        }
        script = directory / "fixed"
        script.write_text(IPAM)
        script.chmod(0o755)

    def ipam(self, *addresses: str, routes: tuple[Route, ...] = (), **more: Any) -> "Network":
        """Have the IPAM plugin answer ADD with ``addresses``, in the network's version."""
        ips = tuple(IPConfig.model_validate({"address": a}) for a in addresses)
        result = Result(ips=ips, routes=routes, **more)
        self.ipam_result(to_wire(result, self.config["cniVersion"]))
        self.config["ipam"] = {"type": "fixed"}
        return self

    def ipam_result(self, wire: object) -> None:
        (self.bin / "fixed.result").write_text(json.dumps(wire))

    def ipam_does(self, command: str, script: str) -> None:
        (self.bin / f"fixed.{command}").write_text(script)

    def reserved(self) -> set[tuple[str, str]]:
        """What the IPAM plugin was asked to reserve and not yet to release."""
        log = self.bin / "fixed.log"
        held: set[tuple[str, str]] = set()
        for line in log.read_text().splitlines() if log.exists() else ():
            command, container, ifname = line.split()
            if command == "ADD":
                held.add((container, ifname))
            elif command == "DEL":
                held.discard((container, ifname))
        return held

    def call(
        self,
        command: str,
        container: Container | None = None,
        config: dict[str, Any] | None = None,
        *,
        ifname: str = "eth0",
        args: str = "",
        netns: str | None = None,
        **keys: Any,
    ) -> Answer:
        """Serve one call in the calling thread; ``keys`` are put into the configuration."""
        environ = {"CNI_COMMAND": command, "CNI_PATH": self.path, "CNI_ARGS": args}
        environ["PATH"] = self.search_path
        if container is not None:
            environ |= {"CNI_CONTAINERID": container.id, "CNI_IFNAME": ifname}
            environ["CNI_NETNS"] = container.path if netns is None else netns
        stdin = json.dumps({**(config or self.config), **keys}).encode()
        stdout = io.BytesIO()
        with self.host.inside():
            status = run(Bridge, environ, stdin, stdout)
        return Answer(status, stdout.getvalue())

    def add(self, container: Container, **options: Any) -> dict[str, Any]:
        answer = self.call("ADD", container, **options)
        assert answer.status == 0, answer.stdout
        wire = answer.json
        assert isinstance(wire, dict)
        return wire

    def delete(self, container: Container, **options: Any) -> None:
        answer = self.call("DEL", container, **options)
        assert (answer.status, answer.stdout) == (0, b"")

    def link(self, name: str, where: "Host | Container | None" = None) -> dict[str, Any]:
        """A link as ``ip -j -d link`` shows it."""
        found = (where or self.host).json("ip", "-d", "link", "show", "dev", name)[0]
        assert isinstance(found, dict)
        return found

    def links(self, where: "Host | Container | None" = None) -> set[str]:
        return {link["ifname"] for link in (where or self.host).json("ip", "link")}

    def addresses(self, name: str, where: "Host | Container | None" = None) -> list[str]:
        """Addresses in CIDR notation, IPv6 link-local ones left out."""
        [found] = (where or self.host).json("ip", "addr", "show", "dev", name)
        return [
            f"{a['local']}/{a['prefixlen']}"
            for a in found["addr_info"]
            if not (a["family"] == "inet6" and a["scope"] == "link")
        ]


@pytest.fixture
def network(host: Host, tmp_path: Path) -> Network:
    directory = tmp_path / "bin"
    directory.mkdir()
    return Network(host, directory)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the executables of this plugin and of those beside it."""
    directory = tmp_path_factory.mktemp("bin")
    options = executable.Options(unpack_dirs=("/run/cnisdk-payload",))
    executable.build([PROJECT, "cni-host-local"], directory, options)
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
        kind=Kind("interface"),
        config=config,
        cni_path=(str(built),),
    )
