"""Our runtime with the Go reference plugins, on a real kernel."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cnisdk.cli.group import cnisdk
from cnisdk.runtime import (
    AttachmentParameters,
    Cache,
    ExecutionError,
    NetworkConfig,
    Runtime,
    validate,
)
from tests.host import REFERENCE, Container, Host

pytestmark = pytest.mark.reference


def configuration(host: Host, version: str, *more: dict[str, Any]) -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "dataDir": str(host.state / "networks"),
        "ranges": [[{"subnet": "10.99.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni9", "isGateway": True, "ipam": ipam}
    return {"cniVersion": version, "name": "blue", "plugins": [bridge, *more]}


def network(host: Host, version: str, *more: dict[str, Any]) -> NetworkConfig:
    return NetworkConfig.parse(json.dumps(configuration(host, version, *more)).encode())


def parameters(container: Container) -> AttachmentParameters:
    return AttachmentParameters(container_id=container.id, ifname="eth0", netns=container.path)


@pytest.fixture
def runtime(host: Host) -> Runtime:
    return Runtime([REFERENCE], cache=Cache(str(host.state / "cni")), timeout=30)


def addresses(container: Container) -> list[str]:
    (link,) = container.json("ip", "-4", "addr", "show", "eth0")
    return [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]]


def leases(host: Host) -> list[str]:
    directory = host.state / "networks" / "blue"
    return sorted(p.name for p in directory.glob("10.*")) if directory.exists() else []


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0"])
def test_a_container_is_attached_checked_and_detached(
    host: Host, runtime: Runtime, version: str
) -> None:
    net = network(host, version, {"type": "tuning", "mtu": 1400})
    container = host.container()
    attachment = parameters(container)

    with host.inside():
        wire = runtime.add(net, attachment)
        assert wire["cniVersion"] == version
        assert [ip["address"] for ip in wire["ips"]] == addresses(container)
        if version != "0.3.1":
            runtime.check(net, attachment)
        runtime.delete(net, attachment)
        runtime.delete(net, attachment)

    assert "eth0" not in {link["ifname"] for link in container.json("ip", "link")}
    assert leases(host) == []
    assert runtime.cache.attachments() == []


def test_check_fails_when_somebody_took_the_address(host: Host, runtime: Runtime) -> None:
    net = network(host, "1.0.0")
    container = host.container()

    with host.inside():
        runtime.add(net, parameters(container))
        container.run("ip", "addr", "flush", "dev", "eth0")
        with pytest.raises(ExecutionError, match="failed CHECK"):
            runtime.check(net, parameters(container))


def test_a_failed_add_leaves_nothing(host: Host, runtime: Runtime) -> None:
    container = host.container()
    net = network(host, "1.0.0", {"type": "tuning", "sysctl": {"net.none.such": "1"}})

    with host.inside(), pytest.raises(ExecutionError, match="plugin 'tuning'") as caught:
        runtime.add(net, parameters(container))

    assert caught.value.rollback == ()
    assert "eth0" not in {link["ifname"] for link in container.json("ip", "link")}
    assert leases(host) == []


def test_gc_detaches_a_container_whose_namespace_is_gone(host: Host, runtime: Runtime) -> None:
    net = network(host, "1.0.0")
    gone, stays = host.container(), host.container()

    with host.inside():
        for container in (gone, stays):
            runtime.add(net, parameters(container))
        gone.close()
        runtime.gc(net, [parameters(stays).key])

    assert [f"{lease}/24" for lease in leases(host)] == addresses(stays)
    assert [a.key for a in runtime.cache.attachments()] == [parameters(stays).key]


def test_the_reference_plugins_are_valid(host: Host, runtime: Runtime) -> None:
    found = validate(network(host, "1.0.0", {"type": "tuning"}), runtime)

    assert found.problems == found.notes == ()


def test_the_command_line_attaches_and_detaches(host: Host, tmp_path: Path) -> None:
    container = host.container()
    (tmp_path / "10-blue.conflist").write_text(json.dumps(configuration(host, "1.0.0")))
    env = {"NETCONFPATH": str(tmp_path), "CNI_PATH": REFERENCE}

    def run(*argv: str) -> Result:
        options = ("--cache-dir", str(host.state / "cni"))
        with host.inside():
            return CliRunner().invoke(cnisdk, [*argv, *options], env=env, catch_exceptions=False)

    added = run("add", "blue", container.name)
    assert added.exit_code == 0, added.stderr
    assert [ip["address"] for ip in json.loads(added.stdout)["ips"]] == addresses(container)
    assert addresses(container)[0] in run("list").stdout
    for verb in ("check", "del"):
        done = run(verb, "blue", container.name)
        assert (done.exit_code, done.output) == (0, "")
    assert leases(host) == []
