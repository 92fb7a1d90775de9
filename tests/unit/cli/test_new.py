"""What `cnisdk new` puts beside the projects that are there already."""

import shutil
from pathlib import Path
from typing import NoReturn

import click
import pytest

from cnisdk.cli import new


@pytest.fixture
def made(tmp_path: Path) -> Path:
    project = tmp_path / "made" / "cni-mine"
    project.mkdir(parents=True)
    (project / "README.md").write_text("new\n")
    return project


@pytest.fixture
def here(tmp_path: Path) -> Path:
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


def test_a_project_is_put_there_whole(made: Path, here: Path) -> None:
    assert new._put(made, here) == here / "cni-mine"

    assert [path.name for path in here.rglob("*")] == ["cni-mine", "README.md"]


def test_one_that_somebody_else_makes_meanwhile_is_kept(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree

    def meanwhile(source: Path, target: Path) -> None:
        copy(source, target)
        (here / "cni-mine").mkdir()
        (here / "cni-mine" / "theirs").touch()

    monkeypatch.setattr(shutil, "copytree", meanwhile)
    with pytest.raises(click.ClickException, match="already exists"):
        new._put(made, here)

    assert [path.name for path in here.rglob("*")] == ["cni-mine", "theirs"]


def test_an_interruption_leaves_nothing_and_takes_nothing(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "other").touch()

    def interrupted(source: Path, target: Path) -> NoReturn:
        target.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copytree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        new._put(made, here)

    assert [path.name for path in here.iterdir()] == ["other"]
