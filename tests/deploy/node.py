"""A node with a runtime that calls plugins, and containers of a pod on it as a manifest wants them.

What matters to our containers is as kubelet and runc have it: volumes, the modes of directories
that kubelet makes, a ConfigMap's links, what is read-only, capabilities, process IDs.  There is no
image: the root directory is the machine's, and ``cnisdk`` is this checkout's.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.deploy.inside import Setup
from tests.deploy.manifests import Object
from tests.host import ROOT, Container, Host, Outcome
from tests.netns.agent.agents import TIMEOUT, Log, environ

DIRECTORIES = ("etc", "opt/cni/bin", "run", "tmp", "usr", "var/lib")

ON_THE_NODE = ("/opt/cni/bin", "/run/cnisdk", "/var/lib/cni", "/var/lib/cnisdk")
"""Where a runtime and our launchers look."""


class Node:
    """A node whose files are in a directory; its network is that of ``host``."""

    def __init__(self, host: Host, directory: Path, plugins: Path) -> None:
        """``plugins`` is what the image has there; ``networks`` may be set, ``tools`` too."""
        self.host = host
        self.root = directory / "node"
        self.directory = directory
        self.plugins = plugins
        self.networks: Path | None = None
        for name in DIRECTORIES:
            (self.root / name).mkdir(parents=True)
        self.tools = directory / "tools"
        self.tools.mkdir()
        script = self.tools / "cnisdk"
        script.write_text(f"#!{sys.executable} -P\nfrom cnisdk.cli import main\nmain()\n")
        script.chmod(0o755)
        self._node: subprocess.Popen[bytes] | None = None

    def path(self, path: str) -> Path:
        """Return where a path of the node is."""
        return self.root / path.lstrip("/")

    def environ(self, variables: Sequence[Mapping[str, str]] = ()) -> dict[str, str]:
        path = f"{self.tools}:/usr/sbin:/usr/bin:/sbin:/bin"
        given = {one["name"]: one["value"] for one in variables}
        return {"PATH": path, "PYTHONPATH": environ()["PYTHONPATH"], **given}

    # -- a runtime ----------------------------------------------------------------------------

    def boot(self) -> None:
        """Have a mount namespace in which the node's files are where they belong."""
        for path in ON_THE_NODE:
            self.path(path).mkdir(exist_ok=True)
        mounts = [(str(self.path(path)), path, False) for path in ON_THE_NODE]
        setup = Setup(["sh", "-c", "echo ready && exec sleep infinity"], mounts)
        self._node = subprocess.Popen(
            ["unshare", "--mount", "--propagation=slave", *_inside(setup)],
            cwd=ROOT,
            env=environ(),
            stdout=subprocess.PIPE,
        )
        assert self._node.stdout is not None
        assert self._node.stdout.readline() == b"ready\n"

    def enter(self, *argv: str) -> list[str]:
        """Return a command that executes ``argv`` with the node's files."""
        assert self._node is not None, "the node has not been booted"
        return ["nsenter", f"--mount=/proc/{self._node.pid}/ns/mnt", "--", *argv]

    def call(self, command: str, container: Container, network: str) -> Outcome:
        """Have the first plugin of a network file called, as by a runtime."""
        return self.plugin(command, container, self.network(network))

    def plugin(self, command: str, container: Container, config: Mapping[str, Any]) -> Outcome:
        """Execute the plugin that ``config`` names, in the node's namespaces."""
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container.id,
            "CNI_NETNS": container.path,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        argv = self.enter(f"/opt/cni/bin/{config['type']}")
        done = self.host.run(*argv, env=variables, input=json.dumps(config), check=False)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def network(self, name: str) -> dict[str, Any]:
        """Return what a runtime gives to the first plugin of a network that is on the node."""
        wire = json.loads((self.path("/etc/cni/net.d") / name).read_text())
        return {**wire["plugins"][0], "name": wire["name"], "cniVersion": wire["cniVersion"]}

    def close(self) -> None:
        if self._node is not None:
            self._node.kill()
            self._node.communicate()

    # -- kubelet ------------------------------------------------------------------------------

    def mount_volumes(self, pod: Object, objects: Sequence[Object]) -> dict[str, Path]:
        """Make what the pod's volumes need, as kubelet does; return where each is."""
        volumes = {}
        for volume in pod["volumes"]:
            if "hostPath" in volume:
                path, kind = self.path(volume["hostPath"]["path"]), volume["hostPath"]["type"]
                if kind == "DirectoryOrCreate":
                    path.mkdir(mode=0o755, parents=True, exist_ok=True)
                elif kind == "FileOrCreate":
                    path.touch(mode=0o644)
                assert path.is_dir() == kind.startswith("Directory")
            else:
                path = self.directory / "volumes" / volume["name"]
                (one,) = [
                    one for one in objects if one["metadata"]["name"] == volume["configMap"]["name"]
                ]
                _project(path, one["data"])
            volumes[volume["name"]] = path
        return volumes

    def setup(
        self, pod: Object, container: Object, objects: Sequence[Object], *, without: str = ""
    ) -> Setup:
        """Return how runc would make a container, less one capability."""
        volumes = self.mount_volumes(pod, objects)
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["capabilities"]["drop"] == ["ALL"]
        mounts = [(str(self.plugins), "/plugins", True)]
        if self.networks is not None:
            mounts.append((str(self.networks), "/networks", True))
        mounts += [
            (str(volumes[one["name"]]), one["mountPath"], one.get("readOnly", False))
            for one in container["volumeMounts"]
        ]
        return Setup(
            argv=[*container["command"], *container.get("args", ())],
            mounts=mounts,
            hidden=str(self.root),
            capabilities=[
                name for name in security["capabilities"].get("add", ()) if name != without
            ],
            no_new_privileges=not security.get("allowPrivilegeEscalation", True),
        )

    def run(self, setup: Setup, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a container that ends by itself."""
        with self.host.inside():
            return subprocess.run(
                _contained(setup), cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
                check=False,
            )  # fmt: skip

    def run_init(self, objects: Sequence[Object], pod: Object) -> str:
        """Run the pod's init containers, which must succeed; return what they said."""
        said = ""
        for container in pod["initContainers"]:
            env = self.environ(container.get("env", ()))
            done = self.run(self.setup(pod, container, objects), env)
            assert done.returncode == 0, done.stderr
            said += done.stdout + done.stderr
        return said


class Agent:
    """The agent of a pod, once it serves."""

    def __init__(self, node: Node, setup: Setup) -> None:
        self.log = Log()
        read, write = os.pipe()
        with node.host.inside():
            self.process = subprocess.Popen(
                _contained(setup), cwd=ROOT, env=node.environ(), stderr=write, stdout=write
            )
        os.close(write)
        self._reader = threading.Thread(target=self.log.read, args=(read,), daemon=True)
        self._reader.start()
        self.log.wait("serving")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT)

    def terminate(self) -> int:
        """End it as kubelet does; return its exit status."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        (init,) = map(int, children.read_text().split())
        os.kill(init, signal.SIGTERM)
        return self.process.wait(TIMEOUT + 10)


@contextlib.contextmanager
def booted(host: Host, directory: Path, plugins: Path) -> Iterator[Node]:
    node = Node(host, directory, plugins)
    try:
        yield node
    finally:
        node.close()


def _inside(setup: Setup) -> list[str]:
    return [sys.executable, "-m", "tests.deploy.inside", json.dumps(setup._asdict())]


def _contained(setup: Setup) -> list[str]:
    new = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *new, *_inside(setup)]


def _project(path: Path, data: Mapping[str, str]) -> None:
    """Write a ConfigMap as kubelet does: links to links, so that all changes at once.

    Each pod has a directory of its own.
    """
    if path.exists():
        shutil.rmtree(path)
    version = path / "..2026_11_24"
    version.mkdir(parents=True)
    for name, text in data.items():
        (version / name).write_text(text)
        (path / name).symlink_to(f"..data/{name}")
    (path / "..data").symlink_to(version.name)
