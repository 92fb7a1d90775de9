"""Each thing that the doctor looks for is planted on a node that is well, and found."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from cnisdk.agent import native
from cnisdk.cli.group import cnisdk
from cnisdk.node.doctor import state
from cnisdk.node.doctor.finding import Check, Level, Report
from cnisdk.picture import leftovers
from cnisdk.recorder.wrapping import record
from cnisdk.runtime.attachment import AttachmentParameters
from cnisdk.runtime.cache import Cache
from tests.host import OURS, ROOT, Host
from tests.netns.agent.agents import RunningAgent
from tests.netns.node.sickbay import PLANTS, Node, answering


@pytest.fixture
def node(host: Host) -> Iterator[Node]:
    node = Node(host)
    with node.stack:
        yield node


def test_nothing_is_wrong_with_a_node_that_is_well(node: Node) -> None:
    said = node.doctor()

    assert said.exit_code == 0
    assert said.stdout.startswith("no problems, no warnings; plugins in")
    assert node.diagnosis() == ([], [])


@pytest.mark.parametrize("check", Check)
def test_what_is_wrong_is_found_and_nothing_else(node: Node, check: Check) -> None:
    plant = PLANTS[check]
    plant.make(node)

    findings, unseen = node.diagnosis()

    (finding,) = findings
    assert (finding["check"], finding["level"]) == (check, plant.level)
    assert plant.subject in finding["subject"]
    assert plant.text in finding["text"]
    assert plant.mend in finding["mend"]
    assert unseen == []


@pytest.mark.parametrize("check", [Check.CONFIG_BROKEN, Check.CONFIG_SHADOWED])
def test_only_a_problem_is_a_failure(node: Node, check: Check) -> None:
    PLANTS[check].make(node)

    said = node.doctor()

    assert said.exit_code == (1 if PLANTS[check].level is Level.PROBLEM else 0)
    assert f"[{check}]" in said.stdout
    assert f"mend: {PLANTS[check].mend}" in said.stdout


def test_every_check_is_in_the_manual() -> None:
    text = (ROOT / "docs/install.md").read_text()

    listed = re.findall(r"^\| `([a-z-]+)` \| (problem|warning)", text, re.MULTILINE)

    assert {(name, level) for name, level in listed} == {
        (str(check), str(plant.level)) for check, plant in PLANTS.items()
    }


def test_nothing_is_changed(node: Node) -> None:
    for check in (Check.CONFIG_BROKEN, Check.RESERVATION_STALE, Check.ATTACHMENT_STALE):
        PLANTS[check].make(node)
    before = node.host.snapshot()
    times = {path: path.lstat().st_mtime_ns for path in node.host.state.rglob("*")}

    assert len(node.diagnosis()[0]) == 3

    assert node.host.snapshot() == before
    assert {path: path.lstat().st_mtime_ns for path in node.host.state.rglob("*")} == times


# -- plugins -----------------------------------------------------------------------------------


def test_what_others_can_write_is_not_executed(node: Node) -> None:
    proof = node.host.state / "proof"
    node.plugin("portmap", text=f"touch {proof}").chmod(0o777)

    findings, unseen = node.diagnosis()

    assert [finding["check"] for finding in findings] == ["writable"]
    assert "what others can write is not executed" in unseen[0]["why"]
    assert not proof.exists()


def test_a_plugin_that_never_answers_is_not_waited_for(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnisdk.node.doctor.plugins.PATIENCE", 0.2)
    node.plugin("portmap", text="exec sleep 1000")

    (finding,) = node.diagnosis()[0]

    assert finding["check"] == "plugin-fails"


def test_a_plugin_for_another_machine_is_told_from_one_without_interpreter(node: Node) -> None:
    (node.bin / "portmap").write_bytes(b"\x7fELF" + bytes(60))

    (finding,) = node.diagnosis()[0]

    assert finding["check"] == "plugin-fails"
    assert "Exec format error" in finding["text"]


def test_an_interpreter_that_only_a_call_needs_is_looked_for(node: Node) -> None:
    """The launcher answers VERSION without it."""
    node.built("portmap", ("mode", "exec"), ("exec", "/opt/gone/python"))

    (finding,) = node.diagnosis()[0]

    assert (finding["check"], "/opt/gone/python" in finding["text"]) == ("plugin-interpreter", True)


def test_a_drop_in_is_one_of_the_networks_plugins(node: Node) -> None:
    (node.conf / "net").mkdir()
    (node.conf / "net/10-x.conf").write_text('{"type": "gone"}')

    (finding,) = node.diagnosis()[0]

    assert finding["check"] == "plugin-missing"
    assert "net/10-x.conf.type" in finding["text"]


# -- the kernel --------------------------------------------------------------------------------


def test_forwarding_of_a_family_that_nobody_uses_is_nobodys_concern(node: Node) -> None:
    for path in (node.cache / "results").iterdir():
        path.unlink()
    for path in (node.cache / "networks/net").iterdir():
        path.unlink()
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        node.host.run("sysctl", "-w", f"{name}=0")

    (finding,) = node.diagnosis()[0]

    assert (finding["subject"], finding["level"]) == ("net.ipv4.ip_forward", "warning")


def test_a_network_that_needs_no_firewall_may_be_without_its_tools(node: Node) -> None:
    node.write("10-net.conflist", plugins=[{"type": "bridge"}])
    PLANTS[Check.NO_FIREWALL].make(node)

    assert node.diagnosis()[0] == []


# -- what is kept ------------------------------------------------------------------------------


def test_a_reservation_is_not_stale_while_a_process_or_a_namespace_has_its_name(
    node: Node,
) -> None:
    container = node.host.container()
    node.reserve("10.9.0.4", container.id)

    assert node.diagnosis()[0] == []

    container.close()
    assert [finding["check"] for finding in node.diagnosis()[0]] == ["reservation-stale"]


@pytest.mark.parametrize(("age", "told"), [(10, False), (-10, False), (600, True), (-600, True)])
def test_one_that_an_add_may_just_have_made_is_not_stale(
    node: Node, age: float, told: bool
) -> None:
    """Nobody speaks for it before that ADD ends; and clocks may jump."""
    node.reserve("10.9.0.4", "coming", age=age)

    assert ("reservation-stale" in [finding["check"] for finding in node.diagnosis()[0]]) is told


def test_a_directory_of_its_own_is_looked_at_too(node: Node) -> None:
    data = node.host.state / "data"
    (data / "net").mkdir(parents=True)
    (data / "net/10.9.0.7").write_text("gone\r\neth0")
    os.utime(data / "net/10.9.0.7", (0, 0))
    (data / "net/last_reserved_ip.0").write_text("10.9.0.7")
    (data / "net/lock").touch()
    ipam = {"type": "host-local", "subnet": "10.9.0.0/24", "dataDir": str(data)}
    node.write("10-net.conflist", plugins=[{"type": "bridge", "ipam": ipam}])

    (finding,) = node.diagnosis()[0]

    assert finding["subject"] == str(data / "net")


def test_a_bare_result_of_an_old_libcni_is_an_attachment(node: Node) -> None:
    (node.cache / "results/net-old-eth0").write_text('{"cniVersion": "0.3.1"}')

    assert node.diagnosis()[0] == []


def test_what_is_advised_mends_what_is_stale(host: Host) -> None:
    """A real network: a container that ended while nobody looked, and an ADD that was forgotten."""
    state = host.state
    (state / "net.d").mkdir()
    ipam = {"type": "host-local", "subnet": "10.9.0.0/24", "dataDir": f"{state}/cni/networks"}
    plugins = [{"type": "bridge", "bridge": "doc0", "isGateway": True, "ipam": ipam}]
    wire = {"cniVersion": "1.0.0", "name": "net", "plugins": plugins}
    (state / "net.d/10-net.conflist").write_text(json.dumps(wire))
    places = ["--cache-dir", f"{state}/cni"]
    env = {"CNI_PATH": OURS, "NETCONFPATH": f"{state}/net.d"}

    def run(*argv: str) -> str:
        with host.inside():
            said = CliRunner().invoke(cnisdk, [*argv, *places], env=env, catch_exceptions=False)
        assert said.exit_code == 0, said.output
        return said.stdout

    def doctor() -> list[dict[str, Any]]:
        line = ["doctor", "--json", "--bin-dir", OURS, "--conf-dir", f"{state}/net.d"]
        found: list[dict[str, Any]] = json.loads(run(*line))["findings"]
        return found

    for forgotten in (False, True):
        container = host.container()
        run("add", "net", container.path, "--container-id", container.id)
        assert doctor() == []
        if forgotten:
            next((state / "cni/results").iterdir()).unlink()
        for reservation in (state / "cni/networks/net").glob("10.*"):
            os.utime(reservation, (0, 0))  # long ago
        container.close()

        (finding,) = doctor()

        assert finding["check"] == ("reservation-stale" if forgotten else "attachment-stale")
        advice = finding["mend"].removesuffix(", and so on").split()
        assert advice[0] == "cnisdk"
        run(*advice[1:])
        assert doctor() == []
    assert [path.name for path in (state / "cni/networks/net").glob("10.*")] == []


# -- the agent ---------------------------------------------------------------------------------


def test_an_agent_that_serves_is_well(node: Node) -> None:
    with RunningAgent(node.socket.parent, native.script(sys.executable)) as agent:
        findings, unseen = node.diagnosis("--socket", str(agent.socket))

    assert (findings, unseen) == ([], [])


def test_what_cannot_do_without_an_agent_makes_it_a_problem(node: Node) -> None:
    node.built("portmap", ("mode", "none"))

    (finding,) = node.diagnosis()[0]

    assert (finding["check"], finding["level"]) == ("agent-dead", "problem")
    assert "portmap cannot do without" in finding["text"]


@pytest.mark.parametrize("answer", [b"", b"nonsense"])
def test_what_is_no_agent_is_told(node: Node, answer: bytes) -> None:
    answering(node, answer)

    (finding,) = node.diagnosis()[0]

    assert finding["check"] == "agent-silent"


# -- while calls go on ---------------------------------------------------------------------------


def _ends_a_delete(node: Node) -> Callable[[], object]:
    node.container.run("ip", "link", "delete", "eth0")
    return next((node.cache / "results").iterdir()).unlink


def _ends_an_add(node: Node) -> Callable[[], object]:
    container = node.host.container()
    node.host.run("ip", "link", "add", "cni0", "type", "bridge")
    peer = ["peer", "name", "eth0", "netns", container.path]
    node.host.run("ip", "link", "add", "vethnew", "master", "cni0", "type", "veth", *peer)
    parameters = AttachmentParameters(
        container_id=container.id, ifname="eth0", netns=container.path
    )
    wire = {"cniVersion": "1.1.0"}
    return lambda: Cache(str(node.cache)).write(node.network, parameters, wire)


@pytest.mark.parametrize("begin", [_ends_a_delete, _ends_an_add])
def test_a_call_under_way_is_no_finding(
    node: Node, begin: Callable[[Node], Callable[[], object]]
) -> None:
    end = begin(node)
    report = Report()
    with node.host.inside():
        leftovers.check(node.examined(), report, pause=end)

    assert (report.findings, report.unseen) == ([], [])


@pytest.mark.parametrize("begin", [_ends_a_delete, _ends_an_add])
def test_a_call_that_was_under_way_when_other_checks_looked_is_no_finding(
    node: Node, begin: Callable[[Node], Callable[[], object]]
) -> None:
    """Plugins that are slow to say their versions come in between."""
    examined = node.examined()
    assert len(examined.attachments) == 1
    begin(node)()
    report = Report()
    with node.host.inside():
        leftovers.check(examined, report, pause=lambda: None)

    assert (report.findings, report.unseen) == ([], [])


def test_an_attachment_that_is_new_since_they_were_read_is_not_broken(node: Node) -> None:
    examined = node.examined()
    assert len(examined.attachments) == 1
    _ends_an_add(node)()
    report = Report()
    with node.host.inside():
        state.check(examined, report)

    assert (report.findings, report.unseen) == ([], [])


def test_what_is_wrong_at_the_second_look_alone_is_no_finding(node: Node) -> None:
    """It may be a call that has begun in between."""
    node.host.run("ip", "link", "add", "cni0", "type", "bridge")

    def plant(name: str) -> None:
        peer = ["peer", "name", name, "netns", node.host.container().path]
        node.host.run("ip", "link", "add", name, "master", "cni0", "type", "veth", *peer)

    plant("vethleak")
    report = Report()
    with node.host.inside():
        leftovers.check(node.examined(), report, pause=lambda: plant("vethnew"))

    assert [finding.subject for finding in report.findings] == ["vethleak"]


# -- as anybody, from elsewhere ----------------------------------------------------------------


def test_what_may_not_be_looked_at_is_said(node: Node) -> None:
    """As somebody whom modes keep out, which they do not root."""
    secret = node.conf / "20-secret.conflist"
    secret.write_text("{")
    node.listen()
    for path in (secret, node.cache / "results", node.socket.parent):
        path.chmod(0o000)
    (node.bin / "portmap").chmod(0o111)
    node.wrapped = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")

    findings, unseen = node.diagnosis()

    assert findings == []
    said = {one["what"]: one["why"] for one in unseen}
    assert said[str(secret)] == "Permission denied"
    assert said[f"which versions {node.bin}/portmap speaks"] == "Permission denied"
    assert said[f"the agent at {node.socket}"] == "Permission denied"
    assert str(node.cache / "results") in said[f"what is kept in {node.cache}"]


def test_a_mounted_root_is_looked_at_as_far_as_it_goes(node: Node) -> None:
    """Links within it are the node's; what only the node's own kernel knows is left out."""
    root = node.host.state / "root"
    (root / "opt").mkdir(parents=True)
    node.bin.rename(root / "real")
    (root / "opt/bin").symlink_to("/real")
    for directory in ("etc", "bin"):
        (root / directory).mkdir()
    (root / "bin/sh").touch(0o755)
    node.conf.rename(root / "etc/net.d")
    (root / "etc/net.d/20-link.conflist").symlink_to("/etc/passwd")
    options = ["--prefix", str(root), "--bin-dir", "/opt/bin", "--conf-dir", "/etc/net.d"]
    with node.host.inside():
        said = CliRunner().invoke(cnisdk, ["doctor", "--json", *options], catch_exceptions=False)
    wire = json.loads(said.stdout)

    # /etc/passwd is the node's, which has none: the machine's is not read.
    checks = {finding["subject"]: finding["text"] for finding in wire["findings"]}
    assert "No such file" in checks["/etc/net.d/20-link.conflist"]
    assert any("another network namespace" in one["why"] for one in wire["unseen"])
    assert any(one["what"] == "links and rules of containers" for one in wire["unseen"])
    assert any("are not executed" in one["why"] for one in wire["unseen"])
    plugins = {finding["subject"] for finding in wire["findings"] if "plugin" in finding["check"]}
    assert plugins == set()


@pytest.mark.parametrize("there", [True, False])
def test_the_link_to_a_recorded_plugin_is_followed_in_the_mounted_root(
    node: Node, *, there: bool
) -> None:
    """It is an absolute one, and what our own root has under that path is another file."""
    (node.bin / "linked").symlink_to(node.plugin("target").name)
    record(str(node.bin / "linked"), calls=str(node.host.state / "calls"))
    root = node.host.state / "root"
    mounted = root / node.bin.relative_to("/")
    mounted.parent.mkdir(parents=True)
    node.bin.rename(mounted)
    if not there:
        (mounted / "target").unlink()
        node.bin.mkdir()
        node.plugin("target")

    findings, _ = node.diagnosis("--prefix", str(root))

    (found,) = (one for one in findings if one["subject"] == f"{node.bin}/linked")
    assert found["check"] == ("recorded" if there else "recorder-lost")
