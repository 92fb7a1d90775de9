from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cnisdk, write_network
from tests.unit.runtime.double import Plugins


@pytest.fixture
def attached(run: Cnisdk, plugins: Plugins, netns: str) -> None:
    """Containers c1 with eth0 and eth1, c2 with eth0."""
    for container_id, ifname in (("c1", "eth0"), ("c1", "eth1"), ("c2", "eth0")):
        run("add", "net", netns, "--container-id", container_id, "-i", ifname)
    plugins.forget()


def test_gc_keeps_what_is_valid(run: Cnisdk, plugins: Plugins, attached: None) -> None:
    done = run("gc", "net", "--valid", "c1:eth0", "--valid", "c2")

    assert done.exit_code == 0
    assert plugins.run == ["DEL b", "DEL a", "GC a", "GC b"]
    assert plugins.calls[0].env["CNI_IFNAME"] == "eth1"
    assert plugins.calls[-1].config["cni.dev/valid-attachments"] == [
        {"containerID": "c1", "ifname": "eth0"},
        {"containerID": "c2", "ifname": "eth0"},
    ]


def test_gc_takes_a_container_for_all_of_its_interfaces(
    run: Cnisdk, plugins: Plugins, attached: None
) -> None:
    run("gc", "net", "--valid", "c1", "--valid", "c2")

    assert plugins.run == ["GC a", "GC b"]


def test_gc_of_everything_has_to_be_asked_for(
    run: Cnisdk, plugins: Plugins, attached: None
) -> None:
    refused = run("gc", "net")

    assert refused.exit_code == 2
    assert "--all" in refused.stderr
    assert plugins.run == []

    assert run("gc", "net", "--all").exit_code == 0
    assert plugins.run.count("DEL a") == 3
    assert plugins.calls[-1].config["cni.dev/valid-attachments"] == []


@pytest.mark.parametrize(
    "argv", [("--all", "--valid", "c1"), ("--valid", "../c1"), ("--valid", "c1:a/b")]
)
def test_gc_refuses_what_it_cannot_mean(
    run: Cnisdk, plugins: Plugins, argv: tuple[str, ...]
) -> None:
    assert run("gc", "net", *argv).exit_code == 2
    assert plugins.run == []


def test_gc_tells_every_failure(run: Cnisdk, plugins: Plugins, attached: None) -> None:
    plugins.fail("a", "GC", 105, "stuck")
    plugins.fail("b", "GC", 106, "stuck too")

    done = run("gc", "net", "--valid", "c1", "--valid", "c2")

    assert done.exit_code == 1
    assert "stuck" in done.stderr
    assert "stuck too" in done.stderr


def test_status_is_silent_when_all_is_ready(run: Cnisdk, plugins: Plugins) -> None:
    done = run("status", "net")

    assert (done.exit_code, done.output) == (0, "")
    assert plugins.run == ["STATUS a", "STATUS b"]


def test_status_says_why_a_network_is_not_ready(run: Cnisdk, plugins: Plugins) -> None:
    plugins.fail("b", "STATUS", 50, "no daemon")

    done = run("status", "net")

    assert done.exit_code == 1
    assert "no daemon (code 50)" in done.stderr


def test_status_of_an_old_version_says_that_nobody_was_asked(
    run: Cnisdk, plugins: Plugins, net_d: Path
) -> None:
    write_network(net_d, cniVersion="1.0.0")

    done = run("status", "net")

    assert done.exit_code == 0
    assert "1.0.0 has no STATUS" in done.stderr
    assert plugins.run == []
