"""The plugin as a runtime finds it: executables, built once."""

import json
from pathlib import Path
from typing import Any

import pytest
from cnisdk.build import executable
from cnisdk.conformance.check import Kind
from cnisdk.conformance.subject import Subject

PROJECT = Path(__file__).parents[1]
NAME = "{{ cookiecutter.name }}"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the executables of this plugin and of those beside it."""
    directory = tmp_path_factory.mktemp("bin")
    options = executable.Options(unpack_dirs=("/run/cnisdk-payload",))
    executable.build([PROJECT, "cni-bridge", "cni-host-local"], directory, options)
    return directory


@pytest.fixture(scope="session")
def conflist() -> dict[str, Any]:
    """Return the network that is delivered with the plugin."""
    loaded: dict[str, Any] = json.loads((PROJECT / f"10-{NAME}.conflist").read_bytes())
    return loaded


@pytest.fixture(scope="session")
def subject(built: Path, conflist: dict[str, Any]) -> Subject:
    """Return the plugin as the conformance kit takes it."""
    plugins = conflist["plugins"]
    config = next(p for p in plugins if NAME in (p["type"], p.get("ipam", {}).get("type")))
    return Subject(
        executable=str(built / NAME),
        kind=Kind("{{ cookiecutter.kind }}"),
        config=config,
        cni_path=(str(built),),
    )
