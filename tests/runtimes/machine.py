"""The machine that a runtime is started on: one session's own, see `tests.runtimes.outside`.

What is on it comes from ``ip``, ``nft``, ``iptables-save`` and the kernel's own files, never from
the runtime nor from the code under test.
"""

import contextlib
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnisdk.conformance.host import Namespace
from tests.host import REFERENCE
from tests.netns.agent.agents import eventually
from tests.runtimes import image
from tests.runtimes.elsewhere import PLUGINS
from tests.runtimes.outside import LAYER
from tests.runtimes.witness_plugin import Witness

W = Path("/run/runtime")
"""Where everything is that a runtime writes: images, containers, state."""

NETWORK = "net1"
SUBNET = "10.66.1.0/24"
_PREFIX = "10.66.1."
GATEWAY = "10.66.1.1"
BRIDGE = "cni-test0"
MTU = 1400


class Machine(Namespace):
    """The namespaces that this process is in, with our plugins in `plugins`."""

    def __init__(self, built: Path) -> None:
        self.name = "machine"
        self.path = "/proc/self/ns/net"
        self.plugins = W / "bin"
        self.configs = W / "net.d"
        for path in (self.plugins, self.configs, Path("/run/tmp"), Path("/run/home")):
            path.mkdir(parents=True, exist_ok=True)
        for name in ("bridge", "host-local"):
            shutil.copy(built / name, self.plugins / name)
        for name in PLUGINS:
            shutil.copy(f"{REFERENCE}/{name}", self.plugins / name)
        # Runtimes look there too, and the Go bridge is not to step in for ours.
        if os.path.isdir("/usr/lib/cni"):
            self.run("mount", "-t", "tmpfs", "tmpfs", "/usr/lib/cni")
        network = {"cniVersion": "1.0.0", "name": NETWORK, "plugins": _chain()}
        (self.configs / "10-net1.conflist").write_text(json.dumps(network))
        self.witness = Witness(self.plugins, W)
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.layer = image.layer(W)
        self._processes = self.processes()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Do nothing: the caller is inside."""
        yield

    def http(self, port: int) -> str:
        """Return what a published port answers, on an address of the machine's own."""
        url = f"http://{GATEWAY}:{port}/"
        answers: list[str] = []

        def is_answered() -> bool:
            with (
                contextlib.suppress(ConnectionError, urllib.error.URLError),
                urllib.request.urlopen(url, timeout=5) as answer,
            ):
                answers.append(str(answer.read(), "ascii"))
            return bool(answers)

        eventually(is_answered, f"{url} does not answer")
        return answers[0]

    def processes(self) -> dict[int, str]:
        """Return all processes but those that end with the reading of them."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                zombie = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not zombie:
                    found[int(path.name)] = command
        return found

    def _new_processes(self) -> dict[int, str]:
        """Return the processes that were not there before any runtime."""
        found = self.processes()
        return {pid: found[pid] for pid in found.keys() - self._processes.keys()}

    def snapshot(self) -> dict[str, Any]:
        """Return what `Namespace.snapshot` does, and all else that containers have."""
        return {
            **super().snapshot(),
            "namespaces": _files("/run/netns"),
            "mounts": _mounts(),
            "cgroups": self.cgroups(),
            "state": [path for path in _files("/var/lib/cni") if not _is_kept(path)],
        }

    def cgroups(self) -> list[str]:
        """Return the cgroups, but what runtimes make once, for themselves or to put others in."""
        top = Path("/sys/fs/cgroup")
        hierarchies = [top] if (top / "cgroup.procs").exists() else list(top.iterdir())
        return sorted(
            str(path)
            for hierarchy in hierarchies
            for path in hierarchy.glob("*/**")
            if path.is_dir() and path.parent != hierarchy and path.name != "conmon"
        )

    def reserved(self) -> list[str]:
        """Return the addresses that host-local has given away."""
        return sorted(
            path.name
            for path in Path("/var/lib/cni/networks").glob("*/*")
            if re.fullmatch(r"[0-9.]+", path.name)
        )

    def left(self) -> dict[str, Any]:
        """Return what should not be there when every container and the runtime are gone.

        The bridge stays, and chains of portmap and firewall in which no rule is of a container.
        """
        rules = self.run("nft", "list", "ruleset").stdout + self.run("iptables-save").stdout
        snapshot = self.snapshot()
        found = {
            **{kind: snapshot[kind] for kind in ("namespaces", "mounts", "cgroups", "state")},
            "links": sorted(self.links().keys() - {"lo", BRIDGE}),
            "rules": [line for line in rules.splitlines() if _PREFIX in line],
            "addresses": self.reserved(),
            "processes": self._new_processes(),
        }
        return {kind: value for kind, value in found.items() if value}

    def written(self) -> list[str]:
        """Return the files that were written where they should not: all but below /run."""
        return sorted(
            str(path.relative_to(LAYER / "upper"))
            for path in (LAYER / "upper").rglob("*")
            if not path.is_dir() and not path.is_relative_to(LAYER / "upper/layer")
        )


def _chain() -> list[dict[str, Any]]:
    """Return the plugins of a chain: ours, then those of the reference, then the witness."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": SUBNET, "gateway": GATEWAY}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "mtu": MTU,
        "ipam": ipam,
    }
    return [
        bridge,
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "tuning"},
        {"type": "witness"},
        # Last, since it forgets its rules when a DEL brings no prevResult, as after a failed ADD.
        {"type": "firewall", "backend": "iptables"},
    ]


def _files(directory: str) -> list[str]:
    return sorted(str(path) for path in Path(directory).rglob("*") if not path.is_dir())


def _mounts() -> list[str]:
    """Return the mounts that containers have: namespaces and file systems."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    paths = [line.split()[1] for line in lines]
    ends = ("/merged", "/shm", "/rootfs")
    return sorted(
        path
        for path in paths
        if path.startswith("/run/netns/") or (path.startswith(f"{W}/") and path.endswith(ends))
    )


def _is_kept(path: str) -> bool:
    """Say whether host-local keeps a file when nothing is reserved."""
    return os.path.basename(path) == "lock" or "/last_reserved_ip." in path or "/.index/" in path
