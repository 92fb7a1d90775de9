"""containerd, and ``ctr run --cni`` on it."""

import contextlib
import itertools
import os
import subprocess
from pathlib import Path

from tests.netns.agent.agents import eventually
from tests.runtimes import image
from tests.runtimes.daemon import Daemon
from tests.runtimes.machine import Machine, W

SOCKET = W / "containerd.sock"

# What ctr looks for networks and plugins in; it has no options for that.
_CTR_CONFIGS = Path("/etc/cni/net.d")
_CTR_PLUGINS = Path("/opt/cni/bin")

_CONFIG = """\
version = 2
root = "{W}/containerd/root"
state = "{W}/containerd/state"
[grpc]
  address = "{SOCKET}"
[ttrpc]
  address = "{SOCKET}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{W}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image.PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{machine.plugins}"
    conf_dir = "{machine.configs}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
"""


class Containerd:
    """The daemon, with our image in one of its namespaces."""

    def __init__(self, machine: Machine, namespace: str) -> None:
        self.machine = machine
        self.namespace = namespace
        self.env = {"PATH": os.environ["PATH"]}
        config = W / "config.toml"
        config.write_text(_CONFIG.format(W=W, SOCKET=SOCKET, machine=machine, image=image))
        argv = ["containerd", "--config", str(config)]
        self.daemon = Daemon(argv, self.env, W / "containerd.log", self._is_ready)
        self.daemon.start()
        self.ctr("image", "import", str(image.saved(W, machine.layer)))

    def _is_ready(self) -> bool:
        return self.ctr("version", check=False).returncode == 0

    def ctr(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Execute a command of ctr's."""
        command = ["ctr", "--address", str(SOCKET), "--namespace", self.namespace, *argv]
        return self.machine.run(*command, env=self.env, check=check)

    def close(self) -> None:
        """End the daemon; a second time does nothing."""
        self.daemon.stop()


class Ctr(Containerd):
    """Containers that ctr starts, in the foreground, as those alone get a DEL."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, "default")
        self.started = 0
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._numbers = itertools.count()
        for path, source in ((_CTR_CONFIGS, machine.configs), (_CTR_PLUGINS, machine.plugins)):
            path.mkdir(parents=True, exist_ok=True)
            machine.run("mount", "--bind", source, path)

    def run(self, name: str, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        done = self.ctr("run", "--cni", "--rm", image.NAME, name, *argv, check=check)
        self.started += done.returncode == 0
        return done

    def start(self, name: str, *argv: str) -> None:
        """Start a container and wait until it runs."""
        command = ["ctr", "--address", str(SOCKET), "run", "--cni", "--rm", image.NAME, name, *argv]
        self._running[name] = subprocess.Popen(
            command, env=self.env, stdin=subprocess.DEVNULL, text=True
        )
        # Networks come before the process of the container.
        eventually(lambda: "RUNNING" in self.ctr("task", "ls").stdout.partition(name)[2], name)
        self.started += 1

    def exec(self, name: str, *argv: str) -> str:
        """Execute a program in a container and return what it printed."""
        ident = f"exec{next(self._numbers)}"
        return self.ctr("task", "exec", "--exec-id", ident, name, *argv).stdout

    def end(self, name: str) -> None:
        """Kill a container, and wait until its network is gone."""
        self.ctr("task", "kill", "--signal", "KILL", name)
        self._running.pop(name).wait(timeout=30)

    def clear(self) -> None:
        """End every container, as long as there is a daemon to ask."""
        if not self.daemon.is_running:
            return
        for name in list(self._running):
            with contextlib.suppress(AssertionError):
                self.end(name)
        # A container whose network could not be made is left where it is.
        for name in self.ctr("container", "ls", "--quiet").stdout.split():
            self.ctr("task", "delete", "--force", name, check=False)
            self.ctr("container", "delete", name)
