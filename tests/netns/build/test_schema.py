"""Executables say what may be configured, and `cnisdk` takes their word for it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cni_bridge import Bridge
from cni_host_local import HostLocal
from cnisdk import Plugin
from cnisdk.cli import plugins
from cnisdk.cli.group import cnisdk
from cnisdk.types.schema import plugin_schema

PLUGINS: dict[str, type[Plugin[Any]]] = {"bridge": Bridge, "host-local": HostLocal}


@pytest.fixture(params=["built", "standalone", "scripts"])
def executables(request: pytest.FixtureRequest) -> Path:
    made: Path = request.getfixturevalue(request.param)
    return made


@pytest.mark.parametrize("name", PLUGINS)
def test_an_executable_says_the_schema_of_its_class(executables: Path, name: str) -> None:
    """Descriptions too, which are docstrings below fields, and no compiled module has those."""
    path, plugin = str(executables / name), PLUGINS[name]

    assert plugins.is_ours(path)
    said = plugins.schema_of(path)

    assert said == plugin_schema(plugin.config_type, name=name, about=plugin.__doc__ or "")
    assert said["properties"]["type"].get("description")
    assert "description" in said["properties"]["ipam"]


def test_a_network_is_validated_by_what_executables_say(
    executables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a node where no plugin is installed as a package."""
    monkeypatch.setattr(plugins, "_entry_points", dict)
    ipam = {"type": "host-local", "ranges": [[{"subnet": 5, "gatway": "10.0.0.1"}]]}
    bridge = {"type": "bridge", "isGatway": True, "MTU": "1400", "ipam": ipam}
    file = tmp_path / "x.conflist"
    file.write_text(json.dumps({"cniVersion": "1.1.0", "name": "x", "plugins": [bridge]}))

    argv = ["validate", "--json", "--cni-path", str(executables), str(file)]
    done = CliRunner().invoke(cnisdk, argv, catch_exceptions=False)

    assert done.exit_code == 1
    (verdict,) = json.loads(done.stdout)
    assert {problem["path"] for problem in verdict["problems"]} == {
        "$.plugins[0].isGatway",
        "$.plugins[0].MTU",
        "$.plugins[0].ipam.ranges[0][0].subnet",
        "$.plugins[0].ipam.ranges[0][0].gatway",
    }
    assert (verdict["notes"], verdict["unexamined"]) == ([], [])
