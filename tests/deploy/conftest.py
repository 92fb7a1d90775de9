"""Nodes, and the executables that an image has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.node import Node, booted
from tests.host import Host
from tests.netns.build.conftest import built as built


@pytest.fixture
def node(host: Host, tmp_path: Path, built: Path) -> Iterator[Node]:
    """A node that has nothing of ours."""
    with booted(host, tmp_path, built) as node:
        yield node
