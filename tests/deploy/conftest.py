"""Nodes, and the executables that an image has."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.image import make
from tests.deploy.node import Node, booted
from tests.host import ROOT, Host
from tests.netns.build.conftest import built as built


@pytest.fixture
def node(host: Host, tmp_path: Path, built: Path) -> Iterator[Node]:
    """A node that has nothing of ours."""
    with booted(host, tmp_path, built) as node:
        yield node


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of the checkout's plugins: wheels, plugins, and an environment with both."""
    top = tmp_path_factory.getbasetemp()
    root = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / "image"
    with open(f"{root}.lock", "w") as lock:  # once for all workers
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "made-it").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            make(ROOT / "deploy" / "Dockerfile", ROOT, root)
            (root / "made-it").touch()
    return root
