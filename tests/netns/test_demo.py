"""``cnisdk try``, whole, as ``make demo`` runs it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host import OURS, ROOT

NETWORK = ROOT / "demo" / "10-demo.conflist"
START = "from cnisdk.cli import main; main()"


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """The executables, where the demo's own /run does not hide them."""
    return Path(shutil.copytree(OURS, tmp_path / "plugins"))


def demo(plugins: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = ":".join([str(ROOT), *map(str, ROOT.glob("plugins/*"))])
    return subprocess.run(
        [sys.executable, "-P", "-c", START, "try", str(NETWORK), "--cni-path", str(plugins)],
        cwd=ROOT,
        # as one who is not in a private host already
        env={**os.environ, "CNISDK_OUTSIDE": "", "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_shows_containers_and_leaves_nothing(plugins: Path) -> None:
    done = demo(plugins)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for line in ("ADD blue", "ping blue → green", "CHECK green", "DEL green"):
        assert f"✓ {line}" in done.stdout
    assert re.search(r"cni0 .*\n.*10\.88\.0\.1/16", done.stdout)
    assert re.search(r"└─ veth\w+  ⇄  green eth0.* up\n.*10\.88\.0\.3/16", done.stdout)
    assert "demo: bridge+host-local" in done.stdout
    assert "\x1b" not in done.stdout, "colours are for terminals"


def test_the_demo_fails_when_a_plugin_leaves_something_behind(plugins: Path) -> None:
    working = (plugins / "host-local").rename(plugins / "working")
    (plugins / "host-local").write_text(f'#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] || exec {working}\n')
    (plugins / "host-local").chmod(0o755)

    done = demo(plugins)

    assert done.returncode == 1
    assert "left behind: " in done.stderr
    assert "file /var/lib/cni/networks/demo/10.88.0.2" in done.stderr


def test_the_demo_fails_when_a_plugin_is_missing(tmp_path: Path) -> None:
    done = demo(tmp_path)

    assert done.returncode == 1
    assert "failed to find plugin 'bridge'" in done.stderr


def test_the_demo_says_how_to_go_on_without_user_namespaces(tmp_path: Path) -> None:
    unshare = tmp_path / "unshare"
    unshare.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    unshare.chmod(0o755)

    done = demo(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert done.returncode == 2
    assert "unshare failed: Operation not permitted" in done.stderr
    assert f"sudo {sys.executable}" in done.stderr


def test_the_demo_changes_nothing_outside_a_private_host() -> None:
    code = "from cnisdk.conformance import private; private.prepare()"
    here = os.readlink("/proc/self/ns/mnt")

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "CNISDK_OUTSIDE": here},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "This is not a private host; nothing was changed." in done.stderr
