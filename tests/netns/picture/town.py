"""A node with networks on it: what plugins leave in the kernel, and runtimes on disk."""

import json
import os
import subprocess
import sys
from typing import Any

from click.testing import CliRunner, Result

from cnisdk.cli.group import cnisdk
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.cache import Cache
from cnisdk.runtime.directory import load
from tests.host import CNI_PATH, ROOT, Container, Host

CNISDK = [sys.executable, "-c", "from cnisdk.cli import main; main()"]
ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


class Town:
    """A host whose networks are attached to by ``cnisdk add``."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.conf = host.state / "net.d"
        self.cache = host.state / "cni"
        self.conf.mkdir()

    def network(self, name: str, bridge: str, subnet: str, *more: dict[str, Any]) -> None:
        """Configure a network of a bridge, with ``more`` plugins after it."""
        ipam = {"type": "host-local", "subnet": subnet, "dataDir": f"{self.cache}/networks"}
        ipam["routes"] = [{"dst": "0.0.0.0/0"}]  # type: ignore[assignment]
        first = {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": True}
        wire = {"cniVersion": "1.0.0", "name": name, "plugins": [{**first, "ipam": ipam}, *more]}
        (self.conf / f"10-{name}.conflist").write_text(json.dumps(wire))

    def run(self, *argv: str, **env: str) -> Result:
        line = [*argv, "--cache-dir", str(self.cache)]
        variables = {"CNI_PATH": CNI_PATH, "NETCONFPATH": str(self.conf), **env}
        with self.host.inside():
            return CliRunner().invoke(
                cnisdk, line, env=variables, prog_name="cnisdk", catch_exceptions=False
            )

    def attach(self, network: str, *options: str, path: str = CNI_PATH) -> Container:
        """Attach a new container, with the plugins in ``path``."""
        container = self.host.container()
        line = ["add", network, container.path, "--container-id", container.id, *options]
        done = self.run(*line, CNI_PATH=path)
        assert done.exit_code == 0, done.output
        return container

    def show(self, *options: str) -> Result:
        return self.run("show", "--queue", f"{self.host.state}/queue", *options)

    def picture(self) -> Any:
        return json.loads(self.show("--json").stdout)

    def wrong(self) -> list[tuple[str, str]]:
        """Return what is said to be wrong, each by its kind and its subject."""
        return [(one["kind"], one["subject"]) for one in self.picture()["wrong"]]

    def plant_veth(self, name: str, container: Container, bridge: str = "cni0") -> None:
        """Connect a container without anybody's remembering it."""
        peer = ["peer", "name", "eth7", "netns", container.path]
        self.host.run("ip", "link", "add", name, "master", bridge, "type", "veth", *peer)

    def remember(self, network: str, container: Container, **wire: Any) -> None:
        """Write what a runtime would of an attachment that is there already."""
        parameters = AttachmentParameters(
            container_id=container.id, ifname="eth0", netns=container.path
        )
        config = load(str(next(self.conf.glob(f"*-{network}.conflist"))))
        Cache(str(self.cache)).write(config, parameters, {"cniVersion": "1.0.0", **wire})

    def drawn(self) -> tuple[str, str]:
        """Return the page and the drawing."""
        page, drawing = self.host.state / "page.html", self.host.state / "drawing.svg"
        self.show("--html", str(page), "--svg", str(drawing))
        return page.read_text(), drawing.read_text()

    def powerless(self, *argv: str) -> str:
        """Run a command as root without root's capabilities; return what it prints."""
        line = [*argv, "--cache-dir", str(self.cache), "--config-dir", str(self.conf)]
        drop = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
        return self.host.run(*drop, *CNISDK, *line, env=ENV).stdout

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a command on the host; the caller ends it."""
        line = [*argv, "--cache-dir", str(self.cache), "--config-dir", str(self.conf)]
        with self.host.inside():
            return subprocess.Popen(
                [*CNISDK, *line],
                env=ENV,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def plant_veth_on_a_bridge(self, name: str) -> None:
        """Leave a network's bridge with a cable that nobody remembers, and nothing else."""
        self.host.run("ip", "link", "add", "cni0", "type", "bridge")
        self.plant_veth(name, self.host.container())
