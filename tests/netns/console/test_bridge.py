"""``bridge add CID NETNS`` and the other verbs, on a real kernel."""

import subprocess

import pytest

from tests.host import OURS, Container
from tests.netns.console.conftest import Node


@pytest.fixture
def container(node: Node) -> Container:
    """A container on a node that has a network for it."""
    ipam = {"type": "host-local", "subnet": "10.8.0.0/24", "dataDir": str(node.host.state / "ipam")}
    node.network("net", {"type": "bridge", "bridge": "br0", "isGateway": True, "ipam": ipam})
    return node.host.container()


def addresses(container: Container) -> list[str]:
    links = container.links()
    found = links["eth0"]["addr_info"] if "eth0" in links else []
    return [address["local"] for address in found if address["family"] == "inet"]


def test_an_attachment_from_its_beginning_to_its_end(node: Node, container: Container) -> None:
    before = node.host.snapshot()

    added = node.type("bridge", "add", container.id, container.path)

    assert added.json["ips"] == [{"address": "10.8.0.2/24", "gateway": "10.8.0.1", "interface": 2}]
    assert f"configuration: network 'net', {node.net_d}/net.conflist" in added.stderr
    assert addresses(container) == ["10.8.0.2"]
    container.run("ping", "-c1", "-W5", "10.8.0.1")
    node.type("bridge", "check", container.id, container.path)
    node.type("bridge", "del", container.id, container.path)
    assert addresses(container) == []
    assert node.remembered == []
    after = node.host.snapshot()
    assert after["links"].keys() - before["links"].keys() == {"br0"}
    assert after["nft"] == before["nft"]


def test_what_add_was_given_need_not_be_typed_again(node: Node, container: Container) -> None:
    node.type("bridge", "add", container.id, container.name)

    node.type("bridge", "check", container.id)
    node.type("bridge", "del", container.id)

    assert addresses(container) == []


def test_check_finds_what_is_wrong(node: Node, container: Container) -> None:
    node.type("bridge", "add", container.id, container.name)
    container.run("ip", "addr", "flush", "dev", "eth0")

    checked = node.type("bridge", "check", container.id, check=False)

    assert (checked.status, checked.stdout) == (1, "")
    assert "10.8.0.2" in checked.stderr
    assert f"Next: to make it anew: {OURS}/bridge del {container.id}" in checked.stderr


def test_del_works_when_the_namespace_is_gone(node: Node, container: Container) -> None:
    node.type("bridge", "add", container.id, container.name)
    container.close()

    deleted = node.type("bridge", "del", container.id, container.name)

    assert f"no network namespace {container.path}: going on without" in deleted.stderr
    assert not list(node.host.state.glob("ipam/net/10.*"))
    assert node.remembered == []


def test_del_a_second_time_succeeds(node: Node, container: Container) -> None:
    node.type("bridge", "add", container.id, container.name)
    node.type("bridge", "del", container.id, container.name)

    again = node.type("bridge", "del", container.id, container.name)

    assert "not known to be attached by bridge: deleting all the same" in again.stderr


def test_an_interface_that_is_there_stays(node: Node, container: Container) -> None:
    """A runtime would follow a failed ADD with a DEL, and take the interface of a pod away."""
    container.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")

    added = node.type("bridge", "add", container.id, container.name, check=False)

    assert added.status == 1
    assert "Next: choose another name with --ifname" in added.stderr
    assert "eth0" in container.links()
    assert node.remembered == []
    assert node.type("bridge", "add", container.id, container.name, "--ifname", "eth1").json


def test_a_process_names_its_namespace(node: Node, container: Container) -> None:
    with container.inside():
        child = subprocess.Popen(["sleep", "1000"])
    try:
        node.type("bridge", "add", container.id, f"pid:{child.pid}")
        node.type("bridge", "check", container.id)
        assert addresses(container) == ["10.8.0.2"]
    finally:
        child.kill()
        child.wait()

    deleted = node.type("bridge", "del", container.id)

    assert "may be another's by now" in deleted.stderr
    assert addresses(container) == []


def test_another_process_of_that_number_is_left_alone(node: Node, container: Container) -> None:
    """The attachment remembers a process; by the time of DEL the number is somebody else's."""
    other = node.host.container()
    with container.inside():
        child = subprocess.Popen(["sleep", "1000"])
    with other.inside():
        stranger = subprocess.Popen(["sleep", "1000"])
    try:
        node.type("bridge", "add", container.id, f"pid:{child.pid}")
        node.type("bridge", "add", other.id, other.name)
        (entry,) = node.cache.glob(f"results/*-{container.id}-eth0")
        text = entry.read_text()
        entry.write_text(text.replace(f"/proc/{child.pid}/", f"/proc/{stranger.pid}/"))

        node.type("bridge", "del", container.id)

        assert addresses(container) == []
        assert addresses(other) == ["10.8.0.3"]
    finally:
        for process in (child, stranger):
            process.kill()
            process.wait()


def test_the_namespace_of_this_host_is_refused(node: Node) -> None:
    added = node.type("bridge", "add", "c1", node.host.path, check=False)

    assert added.status == 1
    assert "this one uses the host's" in added.stderr


def test_status_asks_the_plugin(node: Node, container: Container) -> None:
    assert node.type("bridge", "status").stdout == ""
    assert node.type("bridge", "status", "--human").stdout == (
        "bridge can attach containers to net\n"
    )


def test_gc_keeps_what_is_in_use(node: Node, container: Container) -> None:
    other = node.host.container()
    for each in (container, other):
        node.type("bridge", "add", each.id, each.name)

    node.type("bridge", "gc", "--valid", other.id)

    assert [file.name for file in node.host.state.glob("ipam/net/10.*")] == ["10.8.0.3"]


def test_gc_of_what_is_known_takes_nothing_from_it(node: Node, container: Container) -> None:
    node.type("bridge", "add", container.id, container.name)

    collected = node.type("bridge", "gc", "--known")

    assert f"still in use: {container.id}:eth0" in collected.stderr
    node.type("bridge", "check", container.id)


def test_a_table_is_printed_for_a_person(node: Node, container: Container) -> None:
    added = node.type("bridge", "add", container.id, container.name, "--human")

    assert "ADDRESS      GATEWAY   INTERFACE\n10.8.0.2/24  10.8.0.1  eth0" in added.stdout


def test_a_capability_is_passed_though_nothing_declares_it(
    node: Node, container: Container
) -> None:
    mac = "0a:58:0a:08:00:02"

    added = node.type("bridge", "add", container.id, container.name, "--capability", f'mac="{mac}"')

    assert container.links()["eth0"]["address"] == mac
    assert "a runtime would not" in added.stderr
    node.type("bridge", "check", container.id)


def test_host_local_reserves_without_the_plugin_that_delegates(
    node: Node, container: Container
) -> None:
    added = node.type("host-local", "add", container.id, container.name)

    assert added.json["ips"] == [{"address": "10.8.0.2/24", "gateway": "10.8.0.1"}]
    assert "other plugins too, which are not called: bridge" in added.stderr
    node.type("host-local", "check", container.id)
    node.type("host-local", "del", container.id)
    assert not list(node.host.state.glob("ipam/net/10.*"))


def test_a_plugin_to_delegate_to_that_is_missing_is_told(node: Node, container: Container) -> None:
    added = node.type(
        "bridge", "add", container.id, container.name, "--cni-path", "/nowhere", check=False
    )

    assert added.status == 1
    assert "Next: install that plugin beside bridge" in added.stderr
    assert "eth0" not in container.links()


def test_a_wrong_configuration_is_told_with_its_place(node: Node, container: Container) -> None:
    file = node.network("a", {"type": "bridge", "mtu": "1500"})

    added = node.type("bridge", "add", container.id, container.name, check=False)

    assert added.status == 1
    assert '$.mtu: "1500" should be a valid integer' in added.stderr
    assert f"Next: correct {file}; '{OURS}/bridge schema' shows the keys there are" in added.stderr
