"""The private host that other tests stand on."""

import os

import pytest

from tests.host import OURS, REFERENCE, Host


def test_two_namespaces_have_lo_up_and_nothing_else(host: Host) -> None:
    for namespace in (host, host.container()):
        (lo,) = namespace.json("ip", "link")
        assert lo["ifname"] == "lo"
        assert "UP" in lo["flags"]


def test_what_is_left_behind_shows_in_a_snapshot(host: Host) -> None:
    before = host.snapshot()
    assert host.snapshot() == before
    host.run("nft", "add table ip left_behind")
    (host.state / "file").touch()
    after = host.snapshot()
    assert {key for key in before if before[key] != after[key]} == {"nft", "files"}


def test_what_a_rule_has_counted_does_not_show_in_a_snapshot(host: Host) -> None:
    host.run("nft", "add table ip t; add chain ip t out { type filter hook output priority 0; }")
    host.run("nft", "add rule ip t out counter accept")
    before = host.snapshot()
    counted = host.run("nft", "list", "ruleset").stdout

    host.run("ping", "-c1", "-W5", "127.0.0.1")

    assert host.run("nft", "list", "ruleset").stdout != counted
    assert host.snapshot() == before


def test_the_calling_thread_comes_back(host: Host) -> None:
    with host.inside():
        inside = host.run("readlink", "/proc/self/ns/net").stdout
    assert host.container().run("readlink", "/proc/self/ns/net").stdout != inside


def test_a_command_that_fails_shows_its_stderr(host: Host) -> None:
    with pytest.raises(AssertionError, match="does not exist"):
        host.run("ip", "link", "show", "nothing")


def test_our_plugins_are_executables_and_come_first(host: Host) -> None:
    assert os.access(f"{OURS}/bridge", os.X_OK)
    assert host.find("bridge") == f"{OURS}/bridge"


@pytest.mark.reference
def test_a_reference_plugin_attaches_a_container(host: Host) -> None:
    container = host.container()
    config = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "br0"}
    result = host.plugin("bridge", "ADD", config, container, path=REFERENCE).json
    names = [link["ifname"] for link in container.json("ip", "link")]
    assert names == ["lo", "eth0"]
    assert result["interfaces"][2]["sandbox"] == container.path
