import json
from pathlib import Path

from cnisdk.console.table import table
from tests.unit.cli.conftest import RESULT, Cnisdk
from tests.unit.runtime.double import VERSIONS, Plugins


def test_list_shows_networks_and_attachments(run: Cnisdk, netns: str, net_d: Path) -> None:
    run("add", "net", netns, "--container-id", "c1")

    done = run("list")

    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["net", "1.1.0", "a", "b", str(net_d / "10-net.conflist")] in lines
    assert ["net", "c1", "eth0", "10.0.0.2/24"] in lines


def test_list_of_nothing_says_so(run: Cnisdk, net_d: Path) -> None:
    (net_d / "10-net.conflist").unlink()

    done = run("list")

    assert done.exit_code == 0
    assert done.stdout == f"no network in {net_d}\n\nnothing is attached\n"


def test_list_as_json(run: Cnisdk, netns: str, net_d: Path) -> None:
    run("add", "net", netns, "--container-id", "c1")
    (net_d / "20-half.conflist").write_text("")

    wire = json.loads(run("list", "--json").stdout)

    file = str(net_d / "10-net.conflist")
    assert wire["networks"] == [
        {"name": "net", "cniVersion": "1.1.0", "plugins": ["a", "b"], "file": file}
    ]
    assert wire["attachments"] == [
        {"network": "net", "containerID": "c1", "ifname": "eth0", "netns": netns, "result": RESULT}
    ]
    assert wire["broken"] == [
        {"file": str(net_d / "20-half.conflist"), "problems": ["the file is empty"]}
    ]


def test_list_of_a_network_whose_file_is_gone_shows_its_attachments(
    run: Cnisdk, netns: str, net_d: Path
) -> None:
    run("add", "net", netns, "--container-id", "c1")
    (net_d / "10-net.conflist").unlink()

    assert "c1" in run("list", "net").stdout


def test_list_of_an_unknown_network_fails(run: Cnisdk) -> None:
    assert run("list", "other").exit_code == 1


def test_version_asks_every_executable(run: Cnisdk, plugins: Plugins) -> None:
    (plugins.path / "README").write_text("not executable")

    wire = json.loads(run("version", "--json").stdout)

    assert wire["cnisdk"]["cniVersions"] == list(VERSIONS)
    assert wire["plugins"] == {
        name: {"file": str(plugins.path / name), "supportedVersions": list(VERSIONS)}
        for name in ("a", "b")
    }


def test_version_of_a_plugin_that_is_missing_fails(run: Cnisdk) -> None:
    done = run("version", "a", "missing")

    assert done.exit_code == 1
    assert "failed to find plugin 'missing'" in done.stdout


def test_columns_are_as_wide_as_they_need_to_be() -> None:
    assert table(("A", "LONG"), [("wide", "x"), ("y", "z")]) == "A     LONG\nwide  x\ny     z"
