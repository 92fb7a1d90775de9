"""On a plain node: the agent as its unit starts it, with the capabilities that are left to it."""

import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cnisdk.agent
from cnisdk.agent.protocol import SOCKET
from tests.deploy.manifests import KUBERNETES
from tests.deploy.node import Node
from tests.host import ROOT
from tests.netns.agent.agents import TIMEOUT, Log

NETWORK = "10-cnisdk.conflist"
UNITS = Path(cnisdk.agent.__file__).parent / "units"

# What systemd does between fork and exec.
START = """\
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
sock.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o600)
sock.listen(int(sys.argv[2]))
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execvp(sys.argv[3], sys.argv[3:])
"""


def settings(unit: str) -> dict[str, list[str]]:
    """Return the values of each setting of a unit."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and line[0] != "#":
            found.setdefault(key, []).append(value)
    return found


SERVICE, LISTENER = settings("cnisdk-agent.service"), settings("cnisdk-agent.socket")
CAPABILITIES = " ".join(SERVICE["CapabilityBoundingSet"]).split()


class Service:
    """A running service: what it logs, what it tells the manager, which process it is."""

    def __init__(self, process: subprocess.Popen[bytes], manager: socket.socket) -> None:
        self.process = process
        self.manager = manager
        self.log = Log()

    def told(self) -> str:
        return self.manager.recv(200).decode()


@contextmanager
def started(node: Node, notify: Path) -> Iterator[Service]:
    """Start the service in the node's namespaces, as systemd does when the socket is asked."""
    (listen,), (backlog,), (command,) = (
        LISTENER["ListenStream"], LISTENER["Backlog"], SERVICE["ExecStart"],
    )  # fmt: skip
    executable, *arguments = shlex.split(command)
    assert executable == "/usr/bin/cnisdk"
    assert SERVICE["NoNewPrivileges"] == ["yes"]
    kept = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in CAPABILITIES)])
    argv = node.enter("setpriv", "--bounding-set", kept, "--no-new-privs", "--")
    argv += [sys.executable, "-c", START, listen, backlog, f"{node.tools}/cnisdk", *arguments]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(TIMEOUT)
        manager.bind(str(notify))
        read, write = os.pipe()
        with node.host.inside():
            process = subprocess.Popen(
                argv, cwd=ROOT, env={**node.environ(), "NOTIFY_SOCKET": str(notify)}, stderr=write
            )
        os.close(write)
        service = Service(process, manager)
        reader = threading.Thread(target=service.log.read, args=(read,), daemon=True)
        reader.start()
        try:
            yield service
        finally:
            process.kill()
            process.wait()
            reader.join(TIMEOUT)


def install(node: Node) -> None:
    files = [*sorted(node.plugins.iterdir()), KUBERNETES / "base" / NETWORK]
    argv: list[str | Path] = [node.tools / "cnisdk", "install", "--prefix", node.root, *files]
    subprocess.run(argv, env=node.environ(), check=True, capture_output=True)


def test_the_unit_starts_an_agent_that_serves_the_node(node: Node, tmp_path: Path) -> None:
    install(node)
    node.boot()
    container = node.host.container()
    node.path("/run/cnisdk").chmod(0o700)
    with started(node, tmp_path / "notify") as service:
        ready = service.told()
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        added = node.call("ADD", container, NETWORK)
        deleted = node.call("DEL", container, NETWORK)
        service.log.wait("call ok", command="ADD", container=container.id)
        service.log.wait("call ok", command="DEL", container=container.id)
        probed = node.host.run(*node.enter("stat", "-c", "%a", SOCKET, "/run/cnisdk/health.sock"))
        service.process.terminate()
        stopping = service.told()
        ended = service.process.wait(TIMEOUT)

    assert (added.status, deleted.status) == (0, 0), (added, deleted)
    assert (ready, stopping, ended) == ("READY=1", "STOPPING=1", 0)
    assert probed.stdout.split() == ["600", "600"]
    assert effective(status) == set(CAPABILITIES)
    assert not list(node.path("/var/lib/cni/networks/cnisdk").glob("10.88.*"))


def effective(status: str) -> set[str]:
    """Return the capabilities of a process."""
    (line,) = [line for line in status.splitlines() if line.startswith("CapEff:")]
    mask = int(line.split()[1], 16)
    listed = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True, check=True)
    names = listed.stdout.split()  # in the order of their numbers
    return {f"CAP_{name.upper()}" for bit, name in enumerate(names) if mask & 1 << bit}
