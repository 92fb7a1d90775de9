"""Podman with its CNI backend and runc, on a machine of its own."""

import json
import os
import re
import resource
import subprocess
from typing import Any

from tests.runtimes import image
from tests.runtimes.machine import NETWORK, Machine, W

_CONTAINERS = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[network]
network_backend = "cni"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "{configs}"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{W}/graph"
runroot = "{W}/podman"
"""


class Podman:
    """Runs containers; there is no daemon to be started or ended."""

    name = "podman"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.started = 0
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": "/run/home",
            "TMPDIR": "/run/tmp",
            "CONTAINERS_CONF": str(W / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(W / "storage.conf"),
        }
        # Podman asks for more than a poor root may have.
        files, processes = (
            resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
        )
        (W / "containers.conf").write_text(
            _CONTAINERS.format(
                files=min(files, 1048576) if files > 0 else 1048576,
                processes=min(processes, 10000) if processes > 0 else 10000,
                plugins=machine.plugins,
                configs=machine.configs,
            )
        )
        (W / "storage.conf").write_text(_STORAGE.format(W=W))
        self("import", "--quiet", str(machine.layer), image.NAME)

    def __call__(
        self, *argv: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Execute a command of podman's."""
        command = ["podman", "--tmpdir", str(W / "tmp"), *argv]
        return self.machine.run(*command, env=self.env, check=check, timeout=timeout)

    def start(self, name: str, *options: str, command: str = "sleep 600") -> str:
        """Start a container in the background and return its ID."""
        network = [] if any("--network" in option for option in options) else ["--network", NETWORK]
        argv = [
            "run",
            "--detach",
            "--name",
            name,
            *network,
            *options,
            image.NAME,
            "sh",
            "-c",
            command,
        ]
        ident = self(*argv).stdout.strip()
        self.started += 1
        return ident

    def run(self, *argv: str) -> str:
        """Run a container to its end and return what it printed."""
        out = self("run", "--rm", "--network", NETWORK, image.NAME, *argv).stdout
        self.started += 1
        return out

    def exec(self, name: str, *argv: str) -> str:
        """Execute a program in a container and return what it printed."""
        return self("exec", name, *argv).stdout

    def address(self, name: str) -> str:
        """Return the address that the container has, as it sees it."""
        return address_in(self.exec(name, "ip", "-4", "addr", "show"))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what podman says of the container's network."""
        found: dict[str, Any] = json.loads(self("inspect", name).stdout)[0]["NetworkSettings"]
        return found

    def clear(self) -> None:
        """Remove every container."""
        self("rm", "--force", "--all", "--time", "0")

    def close(self) -> None:
        """End what was left running."""
        self.clear()


def address_in(text: str) -> str:
    """Return the first address that is not of the loopback in what ``ip addr`` printed."""
    found: list[str] = re.findall(r"inet ([0-9.]+)/", text)
    addresses = [address for address in found if address != "127.0.0.1"]
    assert addresses, text
    return addresses[0]
