"""A plugin to type the name of; nothing here attaches anything."""

from pathlib import Path
from typing import Any

import pytest

from cnisdk import Attachment, Plugin, PluginConfig, Result
from cnisdk.console.subject import Subject


class Probe(Plugin[PluginConfig]):
    """Does nothing."""

    default_config = {"here": True}  # noqa: RUF012

    def add(self, config: PluginConfig, attachment: Attachment) -> Result:
        return Result()


class Bare(Plugin[PluginConfig]):
    """Has no configuration of its own."""


@pytest.fixture
def subject() -> Subject:
    return Subject(Probe, "probe", "/opt/cni/bin/probe")


@pytest.fixture
def bare() -> Subject:
    return Subject(Bare, "bare", "/opt/cni/bin/bare")


@pytest.fixture
def net_d(tmp_path: Path) -> Path:
    directory = tmp_path / "net.d"
    directory.mkdir()
    return directory


def network(name: str, *plugins: dict[str, Any]) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "name": name, "plugins": list(plugins)}
