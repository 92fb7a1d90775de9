"""Calls of real plugins, recorded, looked at, and run again."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cnisdk.cli.group import cnisdk
from tests.host import OURS, REFERENCE, ROOT, Container, Host
from tests.netns.recorder.conftest import Recorder

CORPUS = ROOT / "tests" / "data" / "recorded-calls"


def run(*argv: str | Path) -> Result:
    return CliRunner().invoke(cnisdk, list(map(str, argv)), prog_name="cnisdk")


class Network:
    """bridge, host-local, tuning and portmap, of which the calls are recorded."""

    def __init__(self, recorder: Recorder, host: Host, plugins: str) -> None:
        self.recorder = recorder
        self.host = host
        recorder.plugins(plugins, "bridge", "host-local")
        recorder.plugins(REFERENCE, "tuning", "portmap")
        recorder.record("bridge", "host-local", "tuning", "portmap")
        self.path = str(recorder.bin)

    def requests(self, subnet: str = "10.7.0.0/24") -> list[dict[str, Any]]:
        common = {"cniVersion": "1.0.0", "name": "net"}
        ipam = {
            "type": "host-local",
            "dataDir": str(self.host.state / "ipam"),
            "ranges": [[{"subnet": subnet}]],
        }
        mappings = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
        return [
            {**common, "type": "bridge", "bridge": "br7", "isGateway": True, "ipam": ipam},
            {**common, "type": "tuning", "mac": "c2:11:22:33:44:55"},
            {**common, "type": "portmap", "runtimeConfig": {"portMappings": mappings}},
        ]

    def add(self, container: Container) -> dict[str, Any]:
        """Call the plugins one after the other, as a runtime does."""
        result: dict[str, Any] = {}
        for request in self.requests():
            before = {"prevResult": result} if result else {}
            name = str(request["type"])
            done = self.host.plugin(name, "ADD", {**request, **before}, container, path=self.path)
            result = done.json
        return result

    def each(self, command: str, container: Container, result: dict[str, Any]) -> None:
        for request in self.requests() if command == "CHECK" else reversed(self.requests()):
            config = {**request, "prevResult": result}
            # portmap 1.1.1 looks for IPv6 rules that it had no reason to make, and fails.
            self.host.plugin(
                str(request["type"]), command, config, container, path=self.path, check=False
            )

    def call(self, plugin: str, command: str) -> str:
        """Return the number of the last such call."""
        found = [c.id for c in self.recorder.calls if (c.plugin, c.command) == (plugin, command)]
        return found[-1]

    def run(self, *argv: str) -> Result:
        return run(argv[0], "--calls", str(self.recorder.directory), *argv[1:])


@pytest.fixture
def network(recorder: Recorder, host: Host, plugins: str) -> Network:
    return Network(recorder, host, plugins)


@pytest.mark.reference
def test_calls_of_a_whole_attachment_have_the_same_outcome_again(
    network: Network, host: Host
) -> None:
    """The second container: its address is not the first of the range."""
    network.add(host.container())
    container = host.container()
    result = network.add(container)
    network.each("CHECK", container, result)
    network.each("DEL", container, result)
    before = host.snapshot()
    assert result["ips"][0]["address"] == "10.7.0.3/24"

    for command in ("ADD", "CHECK", "DEL"):
        for plugin in ("bridge", "tuning", "portmap"):
            done = network.run("replay", network.call(plugin, command))
            assert done.exit_code == 0, f"{plugin} {command}: {done.output}"
            assert "the outcome is the same" in done.output
    assert host.snapshot() == before


@pytest.mark.reference
def test_a_replay_says_what_is_different(network: Network, host: Host) -> None:
    """Here it is the question that was changed."""
    network.add(host.container())
    path = network.recorder.directory / f"{int(network.call('bridge', 'ADD')):08}.json"
    fields = json.loads(path.read_text())
    stdin = json.loads(fields["stdin"])
    stdin["ipam"]["ranges"][0][0]["gateway"] = "10.7.0.9"
    changed = network.recorder.directory / "changed"
    changed.write_text(json.dumps({**fields, "stdin": json.dumps(stdin)}))

    done = network.run("replay", "--json", str(changed))

    assert done.exit_code == 1, done.output
    outcome = json.loads(done.output)
    assert outcome["same"] is False
    assert outcome["differences"] == [
        {"path": "ips[0].gateway", "before": '"10.7.0.1"', "after": '"10.7.0.9"'}
    ]


@pytest.mark.reference
def test_without_the_calls_before_it_a_check_fails(network: Network, host: Host) -> None:
    container = host.container()
    network.each("CHECK", container, network.add(container))
    number = network.call("bridge", "CHECK")

    alone = network.run("replay", "--alone", number)
    together = network.run("replay", number)

    assert (alone.exit_code, together.exit_code) == (1, 0)
    assert "~ exit_status: 0 -> 1" in alone.output
    assert "before it: bridge ADD: ok" in together.output


@pytest.mark.reference
def test_a_chain_is_shown_with_what_each_plugin_made_of_the_result(
    network: Network, host: Host
) -> None:
    container = host.container()
    network.add(container)

    done = network.run("calls", "chain", network.call("tuning", "ADD"))

    assert done.exit_code == 0
    steps = [line for line in done.output.splitlines() if "(call" in line]
    assert [line.split(":")[0] for line in steps] == [
        "bridge ADD",
        "  host-local ADD",
        "tuning ADD",
        "portmap ADD",
    ]
    text = done.output
    assert '+ ips: [{"address": "10.7.0.2/24"' in text or "+ ips: [" in text
    assert "~ interfaces[2].mac" in text
    assert '-> "c2:11:22:33:44:55"' in text


@pytest.mark.reference
def test_a_chain_is_shown_as_json(network: Network, host: Host) -> None:
    network.add(host.container())

    done = network.run("calls", "chain", "--json", network.call("bridge", "ADD"))

    bridge, local, tuning, portmap = json.loads(done.output)
    assert (bridge["plugin"], local["plugin"], local["delegate"]) == ("bridge", "host-local", True)
    changed = [change["path"] for change in tuning["changes"]]
    assert [path for path in changed if path != "dns"] == ["interfaces[2].mac"]
    assert portmap["changes"] == []


@pytest.mark.reference
def test_a_failed_add_fails_again(network: Network, host: Host) -> None:
    container = host.container()
    (request, *_) = network.requests(subnet="10.7.0.0/32")
    done = host.plugin("bridge", "ADD", request, container, path=network.path, check=False)
    assert done.status != 0
    network.recorder.stop("host-local", "bridge")

    again = network.run("replay", network.call("bridge", "ADD"))

    assert again.exit_code == 0, again.output
    failed = network.run("calls", "--failed", "--plugin", "bridge").output
    assert done.json["msg"][:20] in failed


@pytest.mark.reference
@pytest.mark.parametrize("name", ["podman/04-bridge-ADD", "ctr/00-bridge-ADD", "cri/00-bridge-ADD"])
@pytest.mark.parametrize("directory", [OURS, REFERENCE], ids=["ours", "reference"])
def test_calls_that_something_else_recorded_can_be_replayed(name: str, directory: str) -> None:
    path = CORPUS / f"{name}.json"

    done = run("replay", "--json", "--cni-path", f"{directory}:{REFERENCE}", path)

    outcome = json.loads(done.output)
    assert outcome["exit_status"] == 0, outcome
    differences = {one["path"] for one in outcome["differences"]}
    assert differences <= {"interfaces[0].mac", "dns"}, outcome


def test_a_call_that_was_not_kept_whole_is_not_replayed(recorder: Recorder) -> None:
    recorder.script("plugin", "cat >/dev/null")
    recorder.record("plugin", stream=1000)
    recorder.run("plugin", stdin=b"x" * 1001)

    done = run("replay", "--calls", recorder.directory, "1")

    assert done.exit_code == 2
    assert "its stdin has 1001 bytes, of which not all were kept" in done.output


def test_a_plugin_that_is_gone_is_not_replayed(recorder: Recorder) -> None:
    recorder.script("plugin", "exit 0")
    recorder.record("plugin")
    recorder.run("plugin")
    recorder.stop("plugin")
    (recorder.bin / "plugin").unlink()

    done = run("replay", "--calls", recorder.directory, "1")

    assert done.exit_code == 2
    assert "plugin" in done.output


def test_a_replay_is_traced(recorder: Recorder, tmp_path: Path) -> None:
    recorder.script("plugin", "exit 0")
    recorder.record("plugin")
    recorder.run("plugin")

    done = run("replay", "--calls", recorder.directory, "--trace", tmp_path / "trace", "1")

    assert done.exit_code == 0, done.output
    assert "execve(" in (tmp_path / "trace").read_text()


def test_state_of_an_ipam_plugin_stays_out_of_the_machines_directories(
    recorder: Recorder, host: Host, tmp_path: Path
) -> None:
    """dataDir is somewhere that a private host does not cover by itself."""
    data = tmp_path / "made" / "by" / "the" / "plugin"
    recorder.copy(f"{OURS}/host-local")
    recorder.record("host-local")
    config = {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "host-local",
        "ipam": {"type": "host-local", "subnet": "10.9.0.0/24", "dataDir": str(data)},
    }
    host.plugin("host-local", "ADD", config, host.container(), path=str(recorder.bin))
    before = files(data)

    done = run("replay", "--calls", recorder.directory, "1")

    assert done.exit_code == 0, done.output
    assert files(data) == before
    assert "net/10.9.0.2" in before


def files(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}
