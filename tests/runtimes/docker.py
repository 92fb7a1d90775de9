"""Docker, whose containers are attached by hand: it knows nothing of CNI."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.host import ROOT
from tests.runtimes import image
from tests.runtimes.daemon import Daemon
from tests.runtimes.machine import NETWORK, Machine, W

SOCKET = f"unix://{W}/docker.sock"

SETTINGS = {
    "data-root": f"{W}/docker",
    "exec-root": f"{W}/docker-exec",
    "pidfile": f"{W}/docker.pid",
    "deprecated-key-path": f"{W}/docker-key.json",
    "hosts": [SOCKET],
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "ip-forward": False,
    "live-restore": True,
    "storage-driver": "overlay2",
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
}

_CNISDK = f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from cnisdk.cli import main
main()
"""


class Docker:
    """The daemon, with its own containerd and our image."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.started = 0
        self.env = {"PATH": os.environ["PATH"], "HOME": "/run/home", "DOCKER_HOST": SOCKET}
        settings = W / "docker.json"
        settings.write_text(json.dumps(SETTINGS))
        argv = ["dockerd", "--config-file", str(settings)]
        self.daemon = Daemon(argv, self.env, W / "dockerd.log", self._is_ready)
        self.daemon.start()
        self("load", "--input", str(image.saved(W, machine.layer)))

    def _is_ready(self) -> bool:
        return self("version", check=False).returncode == 0

    def __call__(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Execute a command of docker's."""
        return self.machine.run("docker", *argv, env=self.env, check=check)

    def start(self, name: str, *command: str) -> str:
        """Start a container without a network and return its ID."""
        argv = ["run", "--detach", "--network=none", "--name", name, image.NAME, *command]
        ident = self(*argv).stdout.strip()
        self.started += 1
        return ident

    def exec(self, name: str, *argv: str) -> str:
        """Execute a program in a container and return what it printed."""
        return self("exec", name, *argv).stdout

    def inspect(self, name: str, what: str) -> str:
        """Return what docker says of a container."""
        return self("inspect", "--format", f"{{{{{what}}}}}", name).stdout.strip()

    def netns(self, name: str) -> str:
        """Return the path of a container's network namespace."""
        return f"/proc/{self.inspect(name, '.State.Pid')}/ns/net"

    def attach(self, name: str, *options: str, check: bool = True) -> Any:
        """Attach a container to the network with ``cnisdk add`` and return the result."""
        ident, netns = self.inspect(name, ".Id"), self.netns(name)
        done = self._cnisdk("add", NETWORK, netns, "--container-id", ident, *options, check=check)
        return json.loads(done.stdout) if check else done

    def detach(self, ident: str, netns: str) -> None:
        """Take a container off the network, whether it is still there or not."""
        self._cnisdk("del", NETWORK, netns, "--container-id", ident)

    def _cnisdk(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        where = {
            "NETCONFPATH": str(self.machine.configs),
            "CNI_PATH": str(self.machine.plugins),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-c", _CNISDK, *argv]
        return self.machine.run(*command, env={**self.env, **where}, check=check)

    def clear(self) -> None:
        """Detach every container, and remove it, as long as there is a daemon to ask."""
        if not self.daemon.is_running:
            return
        for ident in self("ps", "--all", "--quiet", "--no-trunc").stdout.split():
            self.detach(ident, self.netns(ident))
            self("rm", "--force", ident)

    def close(self) -> None:
        """End the daemon; a second time does nothing."""
        self.daemon.stop()
