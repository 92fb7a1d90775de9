"""A node in a directory, and files to put there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cnisdk.cli.group import cnisdk

Install = Callable[..., Result]

BIN = "opt/cni/bin"
CONF = "etc/cni/net.d"
RECEIPTS = "var/lib/cnisdk/install"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """The root of a node that has nothing."""
    root = tmp_path / "node"
    root.mkdir()
    return root


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with plugins a and b, two links to one file, and a network of both."""
    directory = tmp_path / "files"
    directory.mkdir()
    executable(directory / "a", "one")
    (directory / "b").hardlink_to(directory / "a")
    network(directory / "10-net.conflist")
    return directory


@pytest.fixture
def install(node: Path) -> Install:
    """Run ``cnisdk install`` on the node."""

    def run(*argv: str | Path, prefix: Path = node) -> Result:
        line = ["install", "--prefix", str(prefix), *map(str, argv)]
        return CliRunner().invoke(cnisdk, line, prog_name="cnisdk", catch_exceptions=False)

    return run


def executable(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n# {text}\n")
    path.chmod(0o755)
    return path


def network(path: Path, **keys: Any) -> Path:
    wire = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "a"}, {"type": "b"}]}
    path.write_text(json.dumps({**wire, **keys}))
    return path


def tree(root: Path) -> dict[str, bytes | str]:
    """Return every file and link of a node, content and target."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
