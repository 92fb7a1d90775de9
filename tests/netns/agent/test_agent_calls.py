"""Calls through launcher and agent do what calls of the executables do."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.host import OURS, Container, Host, Outcome
from tests.netns.agent.agents import RunningAgent


def bridge(host: Host, **ipam: Any) -> dict[str, Any]:
    return {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "subnet": "10.1.0.0/29",
            "dataDir": str(host.state / "ipam"),
            **ipam,
        },
    }


def without_names(outcome: Outcome) -> Any:
    """Return the answer without what differs each time: MACs, veth names, paths."""
    text = re.sub(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC", outcome.stdout)
    text = re.sub(r"veth[0-9a-f]+", "VETH", text)
    return json.loads(re.sub(r"host-[0-9a-z-]+|/[^\"]*/state/ipam", "PATH", text))


def test_an_attachment_is_what_one_call_makes(agent: RunningAgent, tmp_path: Path) -> None:
    answers, snapshots = [], []
    for number, path in enumerate([str(agent.path), OURS]):
        state = tmp_path / str(number)
        state.mkdir()
        host = Host(state)
        container = host.container()
        answers.append(agent.call(host, "bridge", "ADD", bridge(host), container, path=path))
        inside = container.json("ip", "addr", "show", "eth0")[0]
        snapshots.append(
            (
                [link["kind"] for link in host.snapshot()["links"].values()],
                sorted(map(os.path.basename, host.snapshot()["files"])),
                [(a["local"], a["prefixlen"]) for a in inside["addr_info"] if a["scope"] != "link"],
            )
        )
        host.close()

    assert answers[0].status == 0, answers[0]
    assert without_names(answers[0]) == without_names(answers[1])
    assert snapshots[0] == snapshots[1]


def test_check_and_delete_follow_an_add(agent: RunningAgent, host: Host) -> None:
    container = host.container()
    first = agent.call(host, "bridge", "ADD", bridge(host), container)
    agent.call(host, "bridge", "DEL", bridge(host), container)
    before = host.snapshot()
    result = agent.call(host, "bridge", "ADD", bridge(host), container)
    whole = {**bridge(host), "prevResult": result.json}

    assert agent.call(host, "bridge", "CHECK", whole, container) == (0, "", "")
    container.run("ip", "link", "set", "eth0", "down")
    assert agent.call(host, "bridge", "CHECK", whole, container).status == 1
    assert agent.call(host, "bridge", "DEL", whole, container) == (0, "", "")
    after = host.snapshot()
    assert first.status == result.status == 0
    assert after["links"] == before["links"]
    assert set(after["files"]) == set(before["files"])


def test_status_and_gc_are_served(agent: RunningAgent, host: Host) -> None:
    container = host.container()
    agent.call(host, "bridge", "ADD", bridge(host), container)
    nothing = {**bridge(host), "cni.dev/valid-attachments": []}

    assert agent.call(host, "bridge", "STATUS", bridge(host)) == (0, "", "")
    assert agent.call(host, "bridge", "GC", nothing) == (0, "", "")
    assert not list(host.state.glob("ipam/net/10.*"))


def test_errors_are_those_of_one_call(agent: RunningAgent, host: Host) -> None:
    container = host.container()
    cases: list[tuple[str, dict[str, Any], Container | None]] = [
        ("ADD", {**bridge(host), "mtu": "big"}, container),
        ("ADD", bridge(host), None),
        ("ADD", bridge(host, subnet="nonsense"), container),
        ("ADD", bridge(host, rangeStart="10.1.0.1", rangeEnd="10.1.0.1"), container),
        ("CHECK", bridge(host), container),
    ]
    for command, config, where in cases:
        ours = agent.call(host, "bridge", command, config, where)
        alone = agent.call(host, "bridge", command, config, where, path=OURS)

        assert ours.status == alone.status == 1
        assert without_names(ours) == without_names(alone)
    assert host.snapshot()["files"].keys() <= {"ipam/net/lock"}


def test_a_served_delegate_needs_no_executable(agent: RunningAgent, host: Host) -> None:
    container = host.container()
    bin_ = str(agent.path)
    env = {"CNI_PATH": "/nowhere"}

    outcome = agent.call(host, "bridge", "ADD", bridge(host), container, path=bin_, env=env)

    assert outcome.status == 0
    assert outcome.json["ips"][0]["address"] == "10.1.0.2/29"


def test_the_host_is_the_callers_namespace(quick: bytes, tmp_path: Path, host: Host) -> None:
    """The agent lives in other network and mount namespaces, and sees no /run/netns."""
    hide = 'mount -t tmpfs tmpfs /run/netns && exec "$0" "$@"'
    wrapped = ["unshare", "--net", "--mount", "sh", "-c", hide]
    container = host.container()
    with RunningAgent(tmp_path, quick, wrapped=wrapped) as agent:
        assert not os.path.exists(f"/proc/{agent.process.pid}/root{container.path}")
        result = agent.call(host, "bridge", "ADD", bridge(host), container)
        assert result.status == 0, result
        links = host.snapshot()["links"]
        whole = {**bridge(host), "prevResult": result.json}
        checked = agent.call(host, "bridge", "CHECK", whole, container)
        deleted = agent.call(host, "bridge", "DEL", whole, container)

    assert [link["kind"] for link in links.values() if link["kind"]] == ["bridge", "veth"]
    assert {i["sandbox"] for i in result.json["interfaces"] if "sandbox" in i} == {container.path}
    assert (checked, deleted) == ((0, "", ""), (0, "", ""))
    assert [kind for link in host.snapshot()["links"].values() if (kind := link["kind"])] == [
        "bridge"
    ]


DELEGATE = """\
#!/bin/sh
config=$(cat)
case $CNI_COMMAND in
ADD)
    nsenter --net="$CNI_NETNS" ip link add "$CNI_IFNAME" type bridge || exit 1
    echo '{"cniVersion": "1.1.0", "interfaces": ['
    echo '  {"name": "'$CNI_IFNAME'", "sandbox": "'$CNI_NETNS'", "secret": 12345678901234567890}]}'
    ;;
CHECK)
    case $config in *'"'$CNI_NETNS'"'*) exit 0 ;; esac
    echo '{"code": 100, "msg": "sandbox in prevResult is not '$CNI_NETNS'"}'
    exit 1
    ;;
esac
"""


@pytest.mark.parametrize("hidden", [False, True])
def test_an_executable_delegate_finds_the_container(
    quick: bytes, tmp_path: Path, host: Host, *, hidden: bool
) -> None:
    hide = 'mount -t tmpfs tmpfs /run/netns && exec "$0" "$@"'
    wrapped = ["unshare", "--mount", "sh", "-c", hide] if hidden else []
    container = host.container()
    with RunningAgent(tmp_path, quick, wrapped=wrapped) as agent:
        script = agent.path / "native-delegate"
        script.write_text(DELEGATE)
        script.chmod(stat.S_IRWXU)
        config = {
            "cniVersion": "1.1.0",
            "name": "net",
            "type": "meta",
            "delegate": "native-delegate",
        }
        added = agent.call(host, "meta", "ADD", config, container)
        assert added.status == 0, added
        whole = {**config, "prevResult": added.json}
        checked = agent.call(host, "meta", "CHECK", whole, container)

    assert added.json["interfaces"] == [
        {"name": "eth0", "sandbox": container.path, "secret": 12345678901234567890}
    ]
    assert container.json("ip", "link", "show", "eth0")[0]["ifname"] == "eth0"
    assert checked.status == 0, checked


@pytest.mark.parametrize("hidden", [False, True])
def test_a_plugin_that_needs_a_process_gets_one(
    quick: bytes, tmp_path: Path, host: Host, *, hidden: bool
) -> None:
    hide = 'mount -t tmpfs tmpfs /run/netns && exec "$0" "$@"'
    wrapped = ["unshare", "--net", "--mount", "sh", "-c", hide] if hidden else []
    container = host.container()
    notes = tmp_path / "notes"
    config = {"cniVersion": "1.1.0", "name": "net", "type": "process", "journal": str(notes)}
    with RunningAgent(tmp_path, quick, wrapped=wrapped) as agent:
        added = agent.call(host, "process", "ADD", config, container)
        assert added.status == 0, added
        whole = {**config, "prevResult": added.json}
        checked = agent.call(host, "process", "CHECK", whole, container)
        pid = agent.process.pid

    _, process, command, *_, inode = notes.read_text().split()
    assert (command, int(inode)) == ("ADD", os.stat(host.path).st_ino)
    assert int(process) != pid
    assert added.json["interfaces"] == [{"name": "eth0", "sandbox": container.path}]
    assert container.json("ip", "link", "show", "eth0")[0]["ifname"] == "eth0"
    assert (checked.status, checked.json["code"]) == (1, 999)
    assert "from the process" in checked.stderr


def test_every_log_line_of_a_call_names_the_attachment(agent: RunningAgent, host: Host) -> None:
    container = host.container()
    config = {"cniVersion": "1.1.0", "name": "net", "type": "misbehaving", "odd": "say"}

    outcome = agent.call(
        host, "misbehaving", "ADD", config, container, env={"TRACEPARENT": "00-1-2-01"}
    )

    assert outcome.stderr == "one line\n"
    for event in ("one line", "call ok"):
        line = agent.log.wait(event, container=container.id)
        assert (
            line["ifname"],
            line["network"],
            line["command"],
            line["plugin"],
            line["trace"],
        ) == (
            "eth0",
            "net",
            "ADD",
            "misbehaving",
            "00-1-2-01",
        )
