import json
import os
from pathlib import Path

import pytest

from cnisdk.cli import plugins as known_plugins
from tests.host import ROOT
from tests.unit.cli.conftest import Cnisdk, write_network
from tests.unit.runtime.double import Plugins


def test_validate_says_that_a_network_is_good(run: Cnisdk) -> None:
    done = run("validate", "net")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "net: good (version 1.1.0; a, b; not known: keys of a, b)\n"


def test_validate_takes_a_file(run: Cnisdk, tmp_path: Path) -> None:
    file = write_network(tmp_path, "x", plugins=[{"type": "missing"}, {"type": "gone"}])

    done = run("validate", str(file))

    assert done.exit_code == 1
    assert "$.plugins[0].type: failed to find plugin 'missing'" in done.stderr
    assert "$.plugins[1].type: failed to find plugin 'gone'" in done.stderr


def test_validate_tells_all_problems_of_a_broken_file(run: Cnisdk, tmp_path: Path) -> None:
    file = tmp_path / "x.conflist"
    file.write_text(json.dumps({"plugins": [{}], "disableGC": "x"}))

    done = run("validate", str(file))

    assert done.exit_code == 1
    for problem in ("$.name: missing", "$.plugins[0].type: missing", "$.disableGC"):
        assert problem in done.stderr


def test_validate_without_arguments_looks_at_the_whole_directory(run: Cnisdk, net_d: Path) -> None:
    write_network(net_d, "second")
    (net_d / "05-half.conflist").write_text("{")

    done = run("validate")

    assert done.exit_code == 1
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["net", "second"]
    assert "05-half.conflist" in done.stderr


def test_validate_of_a_file_that_is_missing_fails(run: Cnisdk) -> None:
    done = run("validate", "./nothing.conflist")

    assert done.exit_code == 1
    assert "No such file" in done.stderr


BRIDGE = {"type": "bridge", "isGatway": True, "mtu": "1400"}


def test_validate_knows_what_installed_plugins_declare(
    run: Cnisdk, plugins: Plugins, net_d: Path
) -> None:
    plugins.make("bridge")
    write_network(net_d, plugins=[BRIDGE])

    done = run("validate", "net")

    assert done.exit_code == 1
    assert 'isGatway: true: bridge ignores such a key; did you mean "isGateway"?' in done.stderr
    assert '$.plugins[0].mtu: "1400" should be a valid integer' in done.stderr


def test_validate_prints_json(run: Cnisdk, plugins: Plugins, net_d: Path) -> None:
    plugins.make("bridge")
    file = write_network(net_d, plugins=[BRIDGE])

    done = run("validate", "--json")

    assert done.exit_code == 1
    (verdict,) = json.loads(done.stdout)
    assert (verdict["file"], verdict["network"], verdict["valid"]) == (str(file), "net", False)
    assert [problem["path"] for problem in verdict["problems"]] == [
        "$.plugins[0].isGatway",
        "$.plugins[0].mtu",
    ]
    assert verdict["problems"][0]["suggestion"] == "isGateway"
    assert verdict["problems"][1]["value"] == "1400"


def test_validate_prints_json_of_what_cannot_be_read_too(run: Cnisdk, tmp_path: Path) -> None:
    (tmp_path / "x.conflist").write_text('{"name": "x", "plugins": [{}]}')

    done = run("validate", "--json", str(tmp_path / "x.conflist"), str(tmp_path / "y.conflist"))

    assert done.exit_code == 1
    broken, missing = json.loads(done.stdout)
    assert broken["network"] == "x"
    assert [problem["path"] for problem in broken["problems"]] == ["$.plugins[0].type"]
    assert missing["file"] == str(tmp_path / "y.conflist")
    assert not missing["valid"]


def test_validate_prints_an_empty_list_for_an_empty_directory(run: Cnisdk, tmp_path: Path) -> None:
    done = run("validate", "--json", NETCONFPATH=str(tmp_path / "nothing"))

    assert (done.exit_code, done.stdout, done.stderr) == (0, "[]\n", "")


def test_validate_notes_a_name_that_is_there_twice(
    run: Cnisdk, net_d: Path, tmp_path: Path
) -> None:
    first = net_d / "10-net.conflist"
    second = write_network(tmp_path, "net")
    second.rename(net_d / "20-net.conflist")

    usual = run("validate")
    strict = run("validate", "--strict")
    named = run("validate", str(first), str(net_d / "20-net.conflist"))

    for done in (usual, named):
        assert done.exit_code == 0
        assert f'not used: "net" is the name of {first} too' in done.stderr
    assert strict.exit_code == 1


def test_validate_takes_another_directory(run: Cnisdk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_network(other, "elsewhere")

    assert run("validate", str(other)).stdout.startswith("elsewhere: good")


def test_validate_looks_at_drop_ins(run: Cnisdk, plugins: Plugins, net_d: Path) -> None:
    plugins.make("bridge")
    (net_d / "net").mkdir()
    drop_in = net_d / "net" / "50-more.conf"
    drop_in.write_text(json.dumps(BRIDGE))

    done = run("validate")

    assert done.exit_code == 1
    assert f"{drop_in}: $.isGatway: true" in done.stderr


def test_validate_executes_no_plugin_but_for_its_version(
    run: Cnisdk, plugins: Plugins, net_d: Path
) -> None:
    """With an argument, a plugin of another's may do anything."""
    plugins.make("bridge")
    for name in ("a", "b", "bridge"):
        plugins.also(name, f'echo "$@" >> {plugins.root}/arguments')
    write_network(net_d, plugins=[{"type": name} for name in ("a", "b", "bridge")])

    run("validate")

    assert plugins.run == ["VERSION a", "VERSION b", "VERSION bridge"]
    assert (plugins.root / "arguments").read_text().split() == []


def test_validate_says_which_installed_plugin_is_broken(
    run: Cnisdk, plugins: Plugins, net_d: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cnisdk.plugins]\na = nowhere_at_all:Nothing\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    done = run("validate", "net")

    assert done.exit_code == 0
    assert "plugin a is installed, and cannot be imported" in done.stderr
    assert "not known: keys of a, b" in done.stdout


def test_the_demo_is_good(run: Cnisdk, plugins: Plugins) -> None:
    plugins.make("bridge", "host-local")

    done = run("validate", "--strict", str(ROOT / "demo" / "10-demo.conflist"))

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "demo: good (version 1.1.0; bridge)\n"


def test_a_launcher_that_only_an_agent_serves_is_not_ours_to_ask(tmp_path: Path) -> None:
    from cnisdk.agent import trailer

    for name, settings in {
        "alone": [("mode", "exec"), ("exec", "/bin/sh")],
        "agent": [("mode", "none"), ("payload-id", "0" * 32)],
    }.items():
        (tmp_path / name).write_bytes(trailer.append(b"#!/bin/sh\n", settings))
        (tmp_path / name).chmod(0o755)
    (tmp_path / "foreign").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "foreign").chmod(0o755)

    ours = [name for name in os.listdir(tmp_path) if known_plugins.is_ours(str(tmp_path / name))]

    assert ours == ["alone"]
