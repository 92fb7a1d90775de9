"""The pod of the DaemonSet does its work with the privileges of the manifest, and no others."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.deploy import manifests
from tests.deploy.manifests import KUBERNETES, Object
from tests.deploy.node import Agent, Node
from tests.host import Host, Outcome

NETWORK = "10-cnisdk.conflist"
OBJECTS = manifests.read(KUBERNETES / "base")
POD = manifests.pod(OBJECTS)
(AGENT,) = POD["containers"]


@pytest.fixture
def installed(node: Node) -> Node:
    """A node on which the init container has run."""
    node.run_init(OBJECTS, POD)
    node.boot()
    return node


@pytest.fixture
def agent(installed: Node) -> Iterator[Agent]:
    with Agent(installed, installed.setup(POD, AGENT, OBJECTS)) as agent:
        yield agent


def forwarding(host: Host) -> str:
    return host.run("cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip()


def add(node: Node) -> Outcome:
    assert forwarding(node.host) == "0"
    return node.call("ADD", node.host.container(), NETWORK)


def test_the_init_container_installs_without_any_capability(node: Node) -> None:
    said = node.run_init(OBJECTS, POD)

    assert "put /opt/cni/bin/bridge" in said
    assert said.index("/opt/cni/bin/host-local") < said.index(f"put /etc/cni/net.d/{NETWORK}")
    wire = json.loads((node.path("/etc/cni/net.d") / NETWORK).read_text())
    assert wire["name"] == "cnisdk"
    assert node.path("/run/cnisdk").stat().st_mode & 0o777 == 0o700
    assert node.path("/var/lib/cnisdk/install/cnisdk.json").is_file()


def test_it_installs_nothing_twice(installed: Node) -> None:
    said = installed.run_init(OBJECTS, POD)

    assert "put" not in said.replace("put there", "").split()


def test_another_plugin_of_that_name_stays_unless_force_is_said(node: Node) -> None:
    """Most nodes have the Go plugins there."""
    other = node.path("/opt/cni/bin/bridge")
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    (install,) = POD["initContainers"]
    setup = node.setup(POD, install, OBJECTS)

    refused = node.run(setup, node.environ(install["env"]))
    taken = node.run(setup, node.environ([{"name": "OPTIONS", "value": "--force"}]))

    assert refused.returncode == 1
    assert "--force replaces what is there" in refused.stderr
    assert taken.returncode == 0, taken.stderr
    assert other.read_bytes() == (node.plugins / "bridge").read_bytes()


def test_a_directory_that_root_cannot_write_to_is_named(node: Node) -> None:
    """As where unpacking a release has given it to somebody else: no capability helps here."""
    directory = node.path("/opt/cni/bin")
    directory.chmod(0o555)
    (install,) = POD["initContainers"]

    done = node.run(node.setup(POD, install, OBJECTS), node.environ(install["env"]))

    assert done.returncode == 1
    assert "/opt/cni/bin" in done.stderr
    assert "Permission denied; nothing was changed" in done.stderr
    assert list(directory.iterdir()) == []


def test_the_agent_attaches_with_what_the_manifest_gives_it(installed: Node, agent: Agent) -> None:
    container = installed.host.container()
    before = installed.host.snapshot()

    added = installed.call("ADD", container, NETWORK)
    links = container.links()
    forwards = forwarding(installed.host)
    reservations = list(installed.path("/var/lib/cni/networks/cnisdk").glob("10.88.*"))
    remembered = {**installed.network(NETWORK), "prevResult": added.json}
    checked = installed.plugin("CHECK", container, remembered)
    deleted = installed.call("DEL", container, NETWORK)

    assert added.status == 0, added
    assert checked.status == deleted.status == 0, (checked, deleted)
    agent.log.wait("call ok", command="ADD", plugin="bridge", container=container.id)
    agent.log.wait("call ok", command="DEL", plugin="bridge", container=container.id)
    assert links["eth0"]["addr_info"][0]["local"].startswith("10.88.")
    assert forwards == "1"
    assert len(reservations) == 1
    assert not list(installed.path("/var/lib/cni/networks/cnisdk").glob("10.88.*"))
    after = installed.host.snapshot()
    assert after["links"].keys() - before["links"].keys() == {"cnisdk0"}


def test_the_probes_find_it(installed: Node, agent: Agent) -> None:
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert probe(installed.host, AGENT[kind]) == 200
    nowhere = {**AGENT["livenessProbe"]["httpGet"], "path": "/nowhere"}
    assert probe(installed.host, {"httpGet": nowhere}) == 404


def probe(host: Host, said: Object) -> int:
    """Ask as kubelet does, from the node's network."""
    get = said["httpGet"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with host.inside():
        try:
            url = f"http://{get['host']}:{get['port']}{get['path']}"
            with opener.open(url, timeout=20) as response:
                return int(response.status)
        except urllib.error.HTTPError as err:
            return err.code


def test_it_ends_in_the_time_that_kubelet_gives_it(installed: Node, agent: Agent) -> None:
    assert agent.terminate() == 0
    assert agent.log.wait("stopped")["why"] == "SIGTERM"


def test_without_net_admin_a_call_fails_and_says_so(installed: Node) -> None:
    setup = installed.setup(POD, AGENT, OBJECTS, without="NET_ADMIN")
    with Agent(installed, setup):
        outcome = add(installed)

    assert outcome.status == 1
    assert "Operation not permitted" in outcome.json["msg"]
    assert not list(installed.path("/var/lib/cni/networks/cnisdk").glob("10.88.*"))


def test_without_sys_admin_it_does_not_start_and_says_so(installed: Node) -> None:
    done = installed.run(
        installed.setup(POD, AGENT, OBJECTS, without="SYS_ADMIN"), installed.environ()
    )

    assert done.returncode != 0
    assert "/proc/sys/net" in done.stderr
    assert "denied" in done.stderr or "not permitted" in done.stderr


def test_without_the_mounts_an_add_fails_and_says_so(installed: Node) -> None:
    """Why the agent's command has them, and SYS_ADMIN is not for setns alone."""
    setup = installed.setup(POD, AGENT, OBJECTS)
    with Agent(installed, setup._replace(argv=["cnisdk", "agent"])):
        outcome = add(installed)

    assert outcome.status == 1
    assert "Read-only file system" in outcome.json["msg"]


def test_nothing_else_can_be_written_there(installed: Node) -> None:
    setup = installed.setup(POD, AGENT, OBJECTS)
    files = ["/etc/x", "/usr/x", "/opt/cni/bin/x", "/var/x", "/x", "/proc/sys/kernel/domainname"]
    mounts = setup.argv[-1].partition("exec cnisdk")[0]
    script = (
        "".join(f"(echo x >{path}) 2>&1; " for path in files)
        + "echo 0 >/proc/sys/net/ipv4/ip_forward"
    )
    done = installed.run(
        setup._replace(argv=["/bin/sh", "-c", mounts + script]), installed.environ()
    )

    assert done.stdout.count("Read-only file system") == len(files), done.stdout
    assert done.returncode == 0, "but for parameters of the network"
