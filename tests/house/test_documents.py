"""What README says of its example is true, and documents point to files that exist.

What their blocks show is run by tests/docs.
"""

import importlib.util
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cnisdk import run
from tests.host import Container, Host, cni_variables
from tests.house.tree import ROOT, files

README = (ROOT / "README.md").read_text()
DOCUMENTS = [path for path in files("*.md") if "cookiecutter" not in path.parts]

PREV_RESULT = {
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c"}],
    "ips": [{"address": "10.1.0.2/24", "interface": 0}],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def example(tmp_path: Path) -> Iterator[ModuleType]:
    (code,) = blocks("python")
    path = tmp_path / "readme_example.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("readme_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def container(host: Host) -> Container:
    container = host.container()
    container.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    return container


def add(plugin: ModuleType, container: Container, mtu: object) -> tuple[int, Any]:
    config = {"cniVersion": "1.1.0", "name": "n", "type": "mtu", "mtu": mtu}
    environ = cni_variables("ADD", container)
    stdin = json.dumps({**config, "prevResult": {"cniVersion": "1.1.0", **PREV_RESULT}})
    stdout = io.BytesIO()
    status = run(plugin.MTU, environ, stdin.encode(), stdout)
    return status, json.loads(stdout.getvalue())


def mtu_of(container: Container) -> object:
    (link,) = container.json("ip", "link", "show", "eth0")
    return link["mtu"]


def test_the_plugin_in_the_readme_works(example: ModuleType, container: Container) -> None:
    status, result = add(example, container, 9000)

    assert status == 0
    assert result["ips"] == PREV_RESULT["ips"]
    assert mtu_of(container) == 9000


def test_the_error_in_the_readme_is_what_one_gets(
    example: ModuleType, container: Container
) -> None:
    status, error = add(example, container, "9000")

    (shown,) = blocks("json")
    assert status == 1
    assert error == json.loads(shown)
    assert mtu_of(container) == 1500


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_file_that_a_document_points_to_exists(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text())

    assert [target for target in targets if not (document.parent / target).exists()] == []
