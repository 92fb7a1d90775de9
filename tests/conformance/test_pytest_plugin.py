"""The pytest plugin, in sessions of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.mutants import source
from tests.host import ROOT

DOCUMENT = (ROOT / "docs" / "conformance.md").read_text()
PLUGIN = ("-p", "cnisdk.conformance.pytest_plugin", "-p", "no:cacheprovider")


def session(directory: Path, *argv: str, inside: bool = False) -> tuple[int, str]:
    """Run pytest in ``directory``; as one who is not in a private host unless ``inside``."""
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    if not inside:
        environ["CNISDK_OUTSIDE"] = ""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, *argv],
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return source.write("ipam", tmp_path / "tiny")


def test_the_checks_of_a_plugin_are_tests(plugin: Path, tmp_path: Path) -> None:
    options = ("--cni-plugin", str(plugin), "--cni-kind", "ipam")

    status, out = session(tmp_path, *options, "-k", "ipam/ or errors/", "-v")

    assert status == 0, out
    assert "tiny::ipam/gives-address PASSED" in out
    assert re.search(r"9 passed, \d+ deselected", out)


def test_a_failed_check_shows_what_is_wrong(plugin: Path, tmp_path: Path) -> None:
    plugin.write_text(plugin.read_text().replace('{"cniVersion": call.version, "code"', '{"code"'))
    options = ("--cni-plugin", str(plugin), "--cni-kind", "ipam")

    status, out = session(tmp_path, *options, "-k", "errors/version")

    assert status == 1
    assert "! $.cniVersion is None instead of '1.1.0'" in out
    assert "Traceback" not in out


def test_the_five_lines_of_the_document_work(tmp_path: Path) -> None:
    """An author tests a plugin without root in five lines."""
    (example,) = re.findall(r"^```python\n(from mtu.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    (plugin,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "mtu.py").write_text(plugin)
    (tmp_path / "test_mtu.py").write_text(example)

    status, out = session(tmp_path, "-q")

    assert status == 0, out
    assert out.splitlines()[-1].startswith("1 passed")
    assert len([line for line in example.splitlines() if line.strip()]) <= 7


def test_a_runtime_is_at_hand(plugin: Path, tmp_path: Path) -> None:
    (tmp_path / "test_runtime.py").write_text(
        """
from cnisdk.runtime import AttachmentParameters, NetworkConfig

NETWORK = b'''{"cniVersion": "1.1.0", "name": "n", "plugins": [{"type": "tiny", "ipam":
    {"type": "tiny", "subnet": "10.9.0.0/24", "dataDir": "%s"}}]}'''

def test_add(cni_runtime, cni_container, tmp_path):
    network = NetworkConfig.parse(NETWORK % bytes(tmp_path))
    attachment = AttachmentParameters(
        container_id=cni_container.id, ifname="eth0", netns=cni_container.path)
    result = cni_runtime.add(network, attachment)
    assert result["ips"][0]["address"] == "10.9.0.2/24"
    cni_runtime.delete(network, attachment)
"""
    )

    status, out = session(tmp_path, "--cni-plugin", str(plugin), "-k", "test_add")

    assert status == 0, out


def test_a_session_that_uses_nothing_of_it_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        """
import os, sys

def test_modules():
    loaded = {m for m in sys.modules if m.startswith(("cnisdk", "pydantic"))}
    assert loaded == {"cnisdk", "cnisdk.conformance", "cnisdk.conformance.pytest_plugin"}

def test_no_private_host():
    assert os.environ["CNISDK_OUTSIDE"] == ""
"""
    )

    status, out = session(tmp_path)

    assert status == 0, out
