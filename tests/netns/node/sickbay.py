"""A healthy node on a private host, and what can be wrong with one."""

import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from cnisdk.agent import trailer
from cnisdk.cli.group import cnisdk
from cnisdk.node import directory
from cnisdk.node.doctor.finding import Check, Level
from cnisdk.node.doctor.node import Node as Examined
from cnisdk.node.places import Places
from cnisdk.node.root import Root
from cnisdk.recorder.wrapping import STORE, record
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.cache import Cache
from cnisdk.runtime.config import NetworkConfig
from tests.host import ROOT, Container, Host

SPEAKS = '{"cniVersion": "1.1.0", "supportedVersions": ["0.4.0", "1.0.0", "1.1.0"]}'
OLD = '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}'
RESULT: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "ips": [{"address": "10.9.0.2/24"}, {"address": "fd09::2/64"}],
}


class Said(NamedTuple):
    """How the doctor ended, and what it printed."""

    exit_code: int
    stdout: str


class Node:
    """A node with a network, its plugins and one container, all of it well."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bin = host.state / "bin"
        self.conf = host.state / "net.d"
        self.cache = host.state / "cni"
        self.queue = host.state / "queue"
        # Its path must not be longer than 107 bytes, wherever the tests' directory is.
        directory = tempfile.mkdtemp(prefix="agent-", dir="/run")
        self.stack = contextlib.ExitStack()
        self.stack.callback(shutil.rmtree, directory)
        self.socket = Path(directory, "agent.sock")
        for path in (self.bin, self.conf, self.cache, self.queue):
            path.mkdir()
        for name in ("bridge", "host-local", "portmap", "firewall"):
            self.plugin(name)
        self.network = self.write("10-net.conflist")
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            host.run("sysctl", "-w", f"{name}=1")
        self.wrapped: tuple[str, ...] = ()
        """What the doctor is started by, in a process of its own."""
        self.container = host.container()
        self.attach(self.container)

    def plugin(self, name: str, first: str = "#!/bin/sh", text: str = f"echo '{SPEAKS}'") -> Path:
        path = self.bin / name
        path.write_text(f"{first}\n{text}\n")
        path.chmod(0o755)
        return path

    def built(self, name: str, *settings: tuple[str, str], payload: bytes = b"") -> Path:
        """Write a plugin as our build makes it; its launcher is none."""
        said = [("versions", "0.4.0,1.0.0,1.1.0"), ("socket", str(self.socket)), *settings]
        path = self.bin / name
        path.write_bytes(trailer.append(b"#!/bin/sh\n", said, payload))
        path.chmod(0o755)
        return path

    def write(self, file: str, **keys: Any) -> NetworkConfig:
        ipam = {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]]}
        bridge = {"type": "bridge", "ipMasq": True, "ipam": ipam}
        plugins = [bridge, {"type": "portmap"}, {"type": "firewall"}]
        wire = {"cniVersion": "1.1.0", "name": "net", "plugins": plugins, **keys}
        data = json.dumps(wire).encode()
        (self.conf / file).write_bytes(data)
        return NetworkConfig.parse(data)

    def attach(self, container: Container) -> AttachmentParameters:
        """Leave what an ADD leaves: the interface, and what is on disk."""
        container.run("ip", "link", "add", "eth0", "type", "bridge")  # every kernel has those
        for ip in RESULT["ips"]:
            container.run("ip", "address", "add", ip["address"], "dev", "eth0")
        parameters = AttachmentParameters(
            container_id=container.id, ifname="eth0", netns=container.path
        )
        Cache(str(self.cache)).write(self.network, parameters, RESULT)
        self.reserve("10.9.0.2", container.id)
        return parameters

    def reserve(self, address: str, container_id: str, *, age: float = 600) -> None:
        """Reserve an address, so many seconds ago."""
        reserved = self.cache / "networks" / "net"
        reserved.mkdir(parents=True, exist_ok=True)
        (reserved / address).write_text(f"{container_id}\r\neth0")
        then = time.time() - age
        os.utime(reserved / address, (then, then))

    def listen(self) -> socket.socket:
        """Return a listening socket where the agent's is."""
        sock = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.bind(str(self.socket))
        sock.listen(1)
        return sock

    def doctor(self, *options: str) -> Said:
        line = ["doctor", "--bin-dir", str(self.bin), "--conf-dir", str(self.conf)]
        line += ["--cache-dir", str(self.cache), "--queue", str(self.queue)]
        line += ["--socket", str(self.socket), "--runtime", "containerd", *options]
        if self.wrapped:
            code = "from cnisdk.cli import main; main()"
            env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
            argv = [*self.wrapped, sys.executable, "-c", code, *line]
            done = self.host.run(*argv, env=env, check=False)
            return Said(done.returncode, done.stdout)
        with self.host.inside():
            said = CliRunner().invoke(cnisdk, line, prog_name="cnisdk", catch_exceptions=False)
        return Said(said.exit_code, said.stdout)

    def examined(self) -> Examined:
        """Return it as the doctor's checks have it."""
        places = Places("", (str(self.bin),), str(self.conf), "as it was said")
        return Examined(
            Root(),
            places,
            cache_dir=str(self.cache),
            socket=str(self.socket),
            queue_dir=str(self.queue),
        )

    def diagnosis(self, *options: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """Return what was found, and what could not be looked at."""
        wire = json.loads(self.doctor("--json", *options).stdout)
        return wire["findings"], wire["unseen"]


class Plant(NamedTuple):
    """Something wrong with a node, and what is to be said of it."""

    make: Callable[[Node], object]
    level: Level
    subject: str
    text: str
    mend: str


def _stale_container(node: Node) -> None:
    node.reserve("10.9.0.3", "gone")


def _dead_agent(node: Node) -> None:
    node.listen().close()


def _no_tools(node: Node) -> None:
    """Cover the directory that has them; the plugins here need nothing of it."""
    script = 'mount -t tmpfs tmpfs /usr/sbin && exec "$@"'
    node.wrapped = ("unshare", "-m", "/bin/sh", "-c", script, "sh")


def _drop(node: Node) -> None:
    node.write("10-net.conflist", plugins=[{"type": "bridge"}])
    chain = "type filter hook forward priority 0; policy drop;"
    node.host.run("nft", "-f", "-", input=f"table ip filter {{ chain FORWARD {{ {chain} }}; }}")


PLANTS: dict[Check, Plant] = {
    Check.NO_NETWORK: Plant(
        lambda node: (node.conf / "10-net.conflist").unlink(),
        Level.PROBLEM,
        "net.d",
        "there is no network",
        "cnisdk install",
    ),
    Check.CONFIG_BROKEN: Plant(
        lambda node: (node.conf / "20-half.conflist").write_text('{"name":'),
        Level.PROBLEM,
        "20-half.conflist",
        "not JSON",
        "correct or remove it",
    ),
    Check.CONFIG_VERSION: Plant(
        lambda node: node.write("10-net.conflist", cniVersion="9.0.0"),
        Level.PROBLEM,
        "10-net.conflist",
        "$.cniVersion: '9.0.0' is not one of",
        "change cniVersion",
    ),
    Check.CONFIG_SHADOWED: Plant(
        lambda node: node.write("20-net.conflist"),
        Level.WARNING,
        "20-net.conflist",
        "10-net.conflist comes first",
        "remove the one that is not meant",
    ),
    Check.CONFIG_UNUSED: Plant(
        lambda node: node.write("20-more.conflist", name="more"),
        Level.WARNING,
        "20-more.conflist",
        "containerd attaches pods to 10-net.conflist",
        "give it a name before 10-net.conflist",
    ),
    Check.PLUGIN_MISSING: Plant(
        lambda node: (node.bin / "host-local").unlink(),
        Level.PROBLEM,
        "host-local",
        "10-net.conflist ($.plugins[0].ipam.type)",
        "install it there",
    ),
    Check.PLUGIN_NOT_EXECUTABLE: Plant(
        lambda node: (node.bin / "portmap").chmod(0o644),
        Level.PROBLEM,
        "bin/portmap",
        "is not executable",
        "chmod 755",
    ),
    Check.PLUGIN_INTERPRETER: Plant(
        lambda node: node.plugin("portmap", "#!/opt/gone/python -I"),
        Level.PROBLEM,
        "bin/portmap",
        "runs on /opt/gone/python, which is not there",
        "install /opt/gone/python",
    ),
    Check.PLUGIN_PAYLOAD: Plant(
        lambda node: _payload(node),
        Level.PROBLEM,
        "bin/portmap",
        "nowhere to unpack to",
        "--unpack-dir",
    ),
    Check.PLUGIN_FAILS: Plant(
        lambda node: node.plugin("portmap", text="echo oops; exit 1"),
        Level.PROBLEM,
        "bin/portmap",
        "does not answer VERSION",
        "CNI_COMMAND=VERSION",
    ),
    Check.PLUGIN_VERSION: Plant(
        lambda node: node.plugin("portmap", text=f"echo '{OLD}'"),
        Level.PROBLEM,
        "10-net.conflist",
        "portmap does not speak version 1.1.0, only 0.4.0, 1.0.0",
        "change cniVersion",
    ),
    Check.INSTALL_UNFINISHED: Plant(
        lambda node: (node.bin / f"{directory.DRAFT}1-1").touch(),
        Level.WARNING,
        "bin",
        "it was killed",
        "run cnisdk install again",
    ),
    Check.WRITABLE: Plant(
        lambda node: node.conf.chmod(0o777),
        Level.PROBLEM,
        "net.d",
        "can be written to by everybody",
        "chmod go-w",
    ),
    Check.FORWARDING: Plant(
        lambda node: node.host.run("sysctl", "-w", "net.ipv6.conf.all.forwarding=0"),
        Level.PROBLEM,
        "net.ipv6.conf.all.forwarding",
        "is 0",
        "/etc/sysctl.d",
    ),
    Check.FORWARD_POLICY: Plant(
        _drop, Level.WARNING, "chain ip filter FORWARD", "drops what no rule accepts", "firewall"
    ),
    Check.NO_FIREWALL: Plant(
        _no_tools, Level.PROBLEM, "net", "neither nft nor iptables", "install nftables"
    ),
    Check.CACHE_BROKEN: Plant(
        lambda node: (node.cache / "results" / "net-c-eth0").touch(),
        Level.PROBLEM,
        "results/net-c-eth0",
        "is no attachment",
        "remove it",
    ),
    Check.ATTACHMENT_STALE: Plant(
        lambda node: _stale_attachment(node),
        Level.WARNING,
        "results/net-",
        "is gone",
        "cnisdk del net --container-id",
    ),
    Check.RESERVATION_STALE: Plant(
        _stale_container,
        Level.WARNING,
        "networks/net",
        "10.9.0.3 (gone)",
        "cnisdk del net --container-id gone --ifname eth0",
    ),
    Check.QUEUE_WAITING: Plant(
        lambda node: (node.queue / "1").touch(),
        Level.WARNING,
        "queue",
        "1 DELs wait for an agent",
        "cnisdk agent",
    ),
    Check.LEAKED_LINK: Plant(
        lambda node: _forgotten_cable(node),
        Level.WARNING,
        "vethleak",
        "no runtime remembers an attachment",
        "ip link delete vethleak",
    ),
    Check.LEAKED_RULE: Plant(
        lambda node: node.host.run("nft", "-f", "-", input=RULE),
        Level.WARNING,
        "rule",
        "masquerades 10.9.0.99, an address that nothing here has",
        "cnisdk gc net",
    ),
    Check.LOST_INTERFACE: Plant(
        lambda node: node.container.run("ip", "link", "delete", "eth0"),
        Level.PROBLEM,
        "eth0",
        "has no interface eth0 any more",
        "attach it again",
    ),
    Check.LOST_ADDRESS: Plant(
        lambda node: node.container.run("ip", "addr", "del", "10.9.0.2/24", "dev", "eth0"),
        Level.PROBLEM,
        "eth0",
        "10.9.0.2/24 was given to it",
        "cnisdk check net",
    ),
    Check.RECORDED: Plant(
        lambda node: _record(node, "portmap"),
        Level.WARNING,
        "bin/portmap",
        "its calls are recorded",
        "cnisdk record --stop",
    ),
    Check.RECORDER_LOST: Plant(
        lambda node: _lose(node, "unwanted"),
        Level.PROBLEM,
        "bin/unwanted",
        "is a recorder whose plugin is gone",
        "install the plugin again",
    ),
    Check.AGENT_DEAD: Plant(
        _dead_agent, Level.WARNING, "agent.sock", "has ended and left its socket", "start it"
    ),
    Check.AGENT_SILENT: Plant(
        lambda node: node.listen(), Level.PROBLEM, "agent.sock", "does not answer", "its log"
    ),
    Check.AGENT_VERSION: Plant(
        lambda node: answering(node, b"Rv"),
        Level.WARNING,
        "agent.sock",
        "speaks another protocol",
        "of one version",
    ),
}


RULE = """
add table inet cni_plugins_masquerade
add chain inet cni_plugins_masquerade masq_checks
add rule inet cni_plugins_masquerade masq_checks ip saddr 10.9.0.99 ip daddr != 10.9.0.0/24 \
masquerade comment "0123456789abcdef-0123456789abcdef, net: net, if: eth0, id: gone"
"""


def _forgotten_cable(node: Node) -> None:
    """Leave the network's bridge with a container that nobody remembers."""
    node.host.run("ip", "link", "add", "cni0", "type", "bridge")
    peer = ["peer", "name", "eth7", "netns", node.host.container().path]
    node.host.run("ip", "link", "add", "vethleak", "master", "cni0", "type", "veth", *peer)


def _record(node: Node, name: str) -> None:
    record(str(node.bin / name), calls=str(node.host.state / "calls"))


def _lose(node: Node, name: str) -> None:
    node.plugin(name)
    _record(node, name)
    (node.bin / STORE / name / "run" / name).unlink()


def _stale_attachment(node: Node) -> None:
    container = node.host.container()
    node.attach(container)
    container.close()


def _payload(node: Node) -> None:
    shared = node.host.state / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    settings = [("mode", "exec"), ("exec", "/bin/sh"), ("payload-id", "0" * 32)]
    node.built("portmap", *settings, ("unpack-dir", str(shared)), payload=b"payload")


def answering(node: Node, answer: bytes) -> None:
    """Answer the next call."""
    sock = node.listen()

    def serve() -> None:
        with sock.accept()[0] as peer:
            peer.recv(4096)
            if answer:
                peer.sendall(answer)
                peer.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    node.stack.callback(thread.join)
