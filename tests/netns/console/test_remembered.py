"""What is remembered of typed attachments, and what a plugin is told because of it."""

import base64
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cnisdk.call import AttachmentKey
from cnisdk.runtime import AttachmentParameters, Cache, NetworkConfig
from tests.host import Container
from tests.netns.console.conftest import Node, Probe


@pytest.fixture
def container(node: Node) -> Container:
    return node.host.container()


def entry(node: Node, name: str) -> dict[str, Any]:
    """Return what a file of the cache says, its configuration read."""
    found: dict[str, Any] = json.loads((node.cache / "results" / name).read_text())
    return {**found, "config": json.loads(base64.b64decode(found["config"]))}


def test_a_call_is_as_a_runtime_makes_it(node: Node, probe: Probe, container: Container) -> None:
    node.network("net", {"type": "probe", "capabilities": {"mac": True}, "prevResult": {}})

    node.type(
        *("probe", "add", "c1", container.name, "--ifname", "net1", "--args", "A=1;B=2"),
        *("--capability", 'mac="02:00:00:00:00:01"', "--cni-path", "/a:/b"),
        CNI_COMMAND="DEL",
        CNI_NETNS="/somebody/elses",
        CNI_UNKNOWN="x",
    )

    ((_, env, config),) = probe.calls
    assert env == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": container.path,
        "CNI_IFNAME": "net1",
        "CNI_ARGS": "A=1;B=2",
        "CNI_PATH": "/a:/b",
    }
    assert config == {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "probe",
        "runtimeConfig": {"mac": "02:00:00:00:00:01"},
    }


def test_a_runtimes_call_with_an_argument_stays_one(
    node: Node, probe: Probe, container: Container
) -> None:
    """Nobody types what is no verb with CNI_COMMAND set."""
    config = {"cniVersion": "1.1.0", "name": "n", "type": "probe"}
    env = {"CNI_COMMAND": "STATUS", "CNI_PATH": "/a"}

    done = node.host.run(str(node.bin / "probe"), "nonsense", env=env, input=json.dumps(config))

    assert (done.stdout, probe.commands) == ("", ["STATUS"])


def test_check_and_del_are_told_what_add_was(
    node: Node, probe: Probe, container: Container
) -> None:
    node.network("net", {"type": "probe", "capabilities": {"mac": True}})
    capability = ["--capability", 'mac="02:00:00:00:00:01"']
    added = node.type("probe", "add", "c1", container.name, "--args", "A=1", *capability)
    node.network("net", {"type": "probe", "changed": True})

    node.type("probe", "check", "c1")
    node.type("probe", "del", "c1")

    first, *later = probe.calls
    for _, env, config in later:
        assert {**env, "CNI_COMMAND": "ADD"} == first[1]
        assert config == {**first[2], "prevResult": added.json}
    assert probe.commands == ["ADD", "CHECK", "DEL"]


def test_a_configuration_that_is_typed_comes_before_the_remembered_one(
    node: Node, probe: Probe, container: Container
) -> None:
    file = node.network("net", {"type": "probe"})
    added = node.type("probe", "add", "c1", container.name)
    node.network("net", {"type": "probe", "changed": True})

    node.type("probe", "del", "c1", "--config", str(file))

    config = probe.calls[-1][2]
    assert config["changed"] is True
    assert config["prevResult"] == added.json
    assert node.remembered == []


def test_libcni_reads_what_is_remembered(node: Node, probe: Probe, container: Container) -> None:
    node.network("net", {"type": "other"}, {"type": "probe", "x": 1}, {"type": "last"})

    node.type("probe", "add", "c1", container.name)

    assert node.remembered == ["net-c1-eth0"]
    found = entry(node, "net-c1-eth0")
    assert found["kind"] == "cniCacheV1"
    assert (found["networkName"], found["containerId"], found["ifName"]) == ("net", "c1", "eth0")
    assert found["config"]["plugins"] == [{"type": "probe", "x": 1}]  # not what was not called
    assert found["result"]["ips"] == [{"address": "10.0.0.1/24"}]


def test_an_attachment_cannot_be_added_twice(
    node: Node, probe: Probe, container: Container
) -> None:
    node.type("probe", "add", "c1", container.name)

    again = node.type("probe", "add", "c1", container.name, check=False)

    assert again.status == 1
    assert f"detach it first: {node.bin}/probe del c1 {container.name}" in again.stderr
    assert probe.commands == ["ADD"]


def test_a_second_plugin_follows_the_first(node: Node, container: Container) -> None:
    """As in a chain: it is given the result, and its own takes that one's place."""
    one, two = node.probe("one"), node.probe("two")
    first = node.type("one", "add", "c1", container.name)

    second = node.type("two", "add", "c1", container.name)

    assert "follows one in network 'cnisdk-one'" in second.stderr
    assert two.calls[0][2]["prevResult"] == first.json
    assert two.calls[0][2]["name"] == "cnisdk-one"
    assert [ip["address"] for ip in second.json["ips"]] == ["10.0.0.1/24", "10.0.0.2/24"]
    node.type("one", "check", "c1")
    assert one.calls[-1][2]["prevResult"] == second.json
    assert entry(node, "cnisdk-one-c1-eth0")["result"] == second.json


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_an_attachment_is_forgotten_with_the_last_of_its_plugins(
    node: Node, container: Container, order: tuple[str, str]
) -> None:
    for name in ("one", "two"):
        node.probe(name)
        node.type(name, "add", "c1", container.name)

    node.type(order[0], "del", "c1")
    plugins = entry(node, "cnisdk-one-c1-eth0")["config"]["plugins"]
    node.type(order[1], "del", "c1")

    assert [plugin["type"] for plugin in plugins] == [order[1]]
    assert node.remembered == []


def test_of_an_attachment_of_a_runtime_only_the_own_part_is_deleted(
    node: Node, probe: Probe, container: Container
) -> None:
    chain = [{"type": "first"}, {"type": "probe", "x": 1}]
    wire = {"cniVersion": "1.1.0", "name": "net", "plugins": chain}
    network = NetworkConfig.parse(json.dumps(wire).encode())
    parameters = AttachmentParameters(container_id="c1", ifname="eth0", netns=container.path)
    Cache(str(node.cache)).write(network, parameters, {"cniVersion": "1.1.0"})

    deleted = node.type("probe", "del", "c1")

    assert probe.calls[0][2]["x"] == 1
    assert "attached by other plugins too, which are not called: first" in deleted.stderr
    assert entry(node, "net-c1-eth0")["config"]["plugins"] == [{"type": "first"}]


def test_del_tells_of_another_interface(node: Node, probe: Probe, container: Container) -> None:
    node.type("probe", "add", "c1", container.name, "--ifname", "net1")

    deleted = node.type("probe", "del", "c1")

    assert "c1 is attached with --ifname net1" in deleted.stderr
    assert node.remembered == ["cnisdk-probe-c1-net1"]


def test_check_needs_an_add(node: Node, probe: Probe, container: Container) -> None:
    checked = node.type("probe", "check", "c1", container.name, check=False)

    assert (checked.status, probe.commands) == (1, [])
    assert "is not attached by probe" in checked.stderr


def test_a_failed_add_takes_itself_back_and_is_not_remembered(
    node: Node, probe: Probe, container: Container
) -> None:
    probe.does("ADD", "(HERE / 'undone').unlink(missing_ok=True)\nraise PluginError('no', 'why')")

    added = node.type("probe", "add", "c1", container.name, check=False)

    assert (added.status, added.stdout, node.remembered) == (1, "", [])
    assert "Error: no (code 100)\n  why\nNext: " in added.stderr
    assert probe.commands == ["ADD"]


def test_an_add_that_cannot_be_remembered_is_taken_back(
    node: Node, probe: Probe, container: Container
) -> None:
    node.cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(node.cache)]
    subprocess.run(mount, check=True)
    try:
        (node.cache / "results").mkdir()
        (node.cache / "full").write_bytes(b"x" * 4096)
        added = node.type("probe", "add", "c1", container.name, check=False)
        remembered = node.remembered
    finally:
        subprocess.run(["umount", node.cache], check=True)

    assert (added.status, added.stdout, remembered) == (1, "", [])
    assert "No space left on device" in added.stderr
    assert "Next: make room" in added.stderr
    assert probe.commands == ["ADD", "DEL"]
    assert probe.calls[1][2]["prevResult"]["ips"] == [{"address": "10.0.0.1/24"}]


def test_a_failed_del_is_remembered(node: Node, probe: Probe, container: Container) -> None:
    node.type("probe", "add", "c1", container.name)
    probe.does("DEL", "raise PluginError('not yet')")

    deleted = node.type("probe", "del", "c1", check=False)

    assert deleted.status == 1
    assert node.remembered == ["cnisdk-probe-c1-eth0"]


@pytest.mark.parametrize("text", ["", "{", '{"kind": "cniCacheV1"}', "[]"])
def test_del_works_with_a_damaged_file(
    node: Node, probe: Probe, container: Container, text: str
) -> None:
    node.type("probe", "add", "c1", container.name)
    (node.cache / "results" / "cnisdk-probe-c1-eth0").write_text(text)

    node.type("probe", "del", "c1", container.name)

    assert probe.commands == ["ADD", "DEL"]
    assert "prevResult" not in probe.calls[1][2]


def test_del_works_with_a_damaged_configuration(
    node: Node, probe: Probe, container: Container
) -> None:
    node.type("probe", "add", "c1", container.name)
    file = node.cache / "results" / "cnisdk-probe-c1-eth0"
    file.write_text(json.dumps({**json.loads(file.read_text()), "config": ""}))

    deleted = node.type("probe", "del", "c1", container.name)

    assert "what is remembered cannot be used" in deleted.stderr
    assert (probe.commands, node.remembered) == (["ADD", "DEL"], [])


def test_a_version_without_check_has_no_prev_result(
    node: Node, probe: Probe, container: Container
) -> None:
    node.network("net", {"type": "probe"}, version="0.3.1")
    node.type("probe", "add", "c1", container.name)

    checked = node.type("probe", "check", "c1", check=False)
    node.type("probe", "del", "c1")

    assert checked.status == 1
    assert "Next: change cniVersion in" in checked.stderr
    assert "prevResult" not in probe.calls[-1][2]


def test_gc_is_told_what_is_in_use(node: Node, probe: Probe, container: Container) -> None:
    node.type("probe", "add", "c1", container.name)

    node.type("probe", "gc", "--known", "--valid", "c2:net1")

    assert probe.calls[-1][2]["cni.dev/valid-attachments"] == [
        {"containerID": "c1", "ifname": "eth0"},
        {"containerID": "c2", "ifname": "net1"},
    ]


def test_a_hook_that_prints_spoils_no_result(
    node: Node, probe: Probe, container: Container
) -> None:
    added = node.type("probe", "add", "c1", container.name)

    assert added.json["ips"]
    assert "a stray print" in added.stderr


def test_an_exception_is_told_with_its_place(
    node: Node, probe: Probe, container: Container
) -> None:
    probe.does("ADD", "raise LookupError('surprise')")

    added = node.type("probe", "add", "c1", container.name, check=False)

    assert "Traceback" in added.stderr
    assert "Error: LookupError: surprise (code 999)" in added.stderr
    assert "Next: this is a defect of probe" in added.stderr


def test_a_hook_that_dies_is_told(node: Node, probe: Probe, container: Container) -> None:
    probe.does("ADD", "os.kill(os.getpid(), 9)")

    added = node.type("probe", "add", "c1", container.name, check=False)

    assert added.status == 1
    assert "killed by signal 9" in added.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_add_that_is_interrupted_takes_back_what_it_did(
    node: Node, probe: Probe, container: Container, signum: int
) -> None:
    """The signal reaches the process that was typed alone; the hook runs in its child."""
    fifo = node.host.state / "fifo"
    os.mkfifo(fifo)
    probe.does(
        "ADD",
        f"self.undo.push((HERE / 'taken-back').touch)\n"
        f"open({str(fifo)!r}, 'w').close()\n"
        "from cnisdk import cancel\n"
        "with cancel.interruptible(): time.sleep(60)",
    )
    argv = [str(node.bin / "probe"), "add", "c1", container.name, "--cache-dir", str(node.cache)]
    typed = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    fifo.read_text()

    typed.send_signal(signum)
    out, err = typed.communicate()

    assert (typed.returncode, out) == (1, "")
    assert "Error: ADD was stopped (code 11)" in err
    assert (probe.here / "taken-back").exists()
    assert node.remembered == []


def test_two_at_once_are_one_after_the_other(node: Node, container: Container) -> None:
    """Else the second to write would forget what the first has added."""
    names = ["one", "two", "three"]
    for name in names:
        node.probe(name)
    where = ["--cache-dir", str(node.cache)]
    typed = [
        subprocess.Popen([str(node.bin / name), "add", "c1", container.name, *where])
        for name in names
    ]

    assert [child.wait() for child in typed] == [0, 0, 0]

    (name,) = node.remembered
    plugins = entry(node, name)["config"]["plugins"]
    assert sorted(plugin["type"] for plugin in plugins) == sorted(names)


def test_the_cache_finds_it_by_container_and_interface(
    node: Node, probe: Probe, container: Container
) -> None:
    node.type("probe", "add", "c1", container.name)

    (found,) = Cache(str(node.cache)).attachments("c1")

    assert found.key == AttachmentKey("c1", "eth0")
    assert Path(found.parameters.netns) == Path(container.path)
