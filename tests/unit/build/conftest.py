"""Small projects to build, and the plugins of this checkout."""

from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]

PLUGIN = "from cnisdk import Plugin, PluginConfig\nclass Mine(Plugin[PluginConfig]): ...\n"


@pytest.fixture
def make_project(tmp_path: Path) -> Make:
    """Write a project with a plugin ``mine`` unless it is told to be different."""

    def make(
        name: str = "cni-mine",
        *,
        requires: tuple[str, ...] = ("cnisdk",),
        entry: str | None = 'mine = "cni_mine:Mine"',
        source: str = PLUGIN,
        root: str = "",
    ) -> Path:
        directory = tmp_path / name
        package = directory / root / "cni_mine"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        declared = f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {list(requires)}\n'
        if entry is not None:
            declared += f'[project.entry-points."cnisdk.plugins"]\n{entry}\n'
        (directory / "pyproject.toml").write_text(declared)
        return directory

    return make
