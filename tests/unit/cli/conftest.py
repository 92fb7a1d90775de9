import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cnisdk.cli.group import cnisdk
from tests.unit.runtime.double import Plugins

RESULT = {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/24"}]}

Cnisdk = Callable[..., Result]


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    made = Plugins(tmp_path / "plugins")
    made.make("a", "b")
    for name in ("a", "b"):
        made.answer(name, "ADD", RESULT)
    return made


@pytest.fixture
def net_d(tmp_path: Path) -> Path:
    """A configuration directory with one network ``net`` of the plugins a and b."""
    directory = tmp_path / "net.d"
    directory.mkdir()
    write_network(directory)
    return directory


def write_network(directory: Path, name: str = "net", **keys: Any) -> Path:
    file = directory / f"10-{name}.conflist"
    wire = {"cniVersion": "1.1.0", "name": name, "plugins": [{"type": "a"}, {"type": "b"}], **keys}
    file.write_text(json.dumps(wire))
    return file


@pytest.fixture
def netns(tmp_path: Path) -> str:
    """A path that exists: no plugin here opens it."""
    path = tmp_path / "netns"
    path.touch()
    return str(path)


@pytest.fixture
def run(tmp_path: Path, plugins: Plugins, net_d: Path, monkeypatch: pytest.MonkeyPatch) -> Cnisdk:
    """Run a command line with the variables of cnitool set, and ``env`` beside them."""
    for name in ("CNI_ARGS", "CAP_ARGS", "CNI_IFNAME"):
        monkeypatch.delenv(name, raising=False)

    def run(*argv: str, cache: bool = True, **env: str) -> Result:
        given = {"NETCONFPATH": str(net_d), "CNI_PATH": str(plugins.path), **env}
        options = ["--cache-dir", str(tmp_path / "cni")] if cache else []
        return CliRunner().invoke(
            cnisdk, [*argv, *options], env=given, prog_name="cnisdk", catch_exceptions=False
        )

    return run
