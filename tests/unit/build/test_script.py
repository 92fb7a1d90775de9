"""Executables from a plugin project."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cnisdk.build import script
from tests.host import ROOT

BRIDGE = EntryPoint("bridge", "cni_bridge:Bridge", script.GROUP)


def project(directory: Path, declared: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "pyproject.toml").write_text(declared)
    return directory


def version(executable: Path, environ: dict[str, str] | None = None) -> dict[str, object]:
    done = subprocess.run(
        [executable],
        env={"CNI_COMMAND": "VERSION", **(environ or {})},
        input=b'{"cniVersion": "1.0.0"}',
        stdout=subprocess.PIPE,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def build_bridge(directory: Path) -> Path:
    """Build what runs the checkout although nothing of it may be installed."""
    (built,) = script.build(
        ROOT / "plugins" / "bridge", directory, path=[ROOT, ROOT / "plugins/bridge"]
    )
    return built


def test_the_executable_answers_version(tmp_path: Path) -> None:
    assert version(build_bridge(tmp_path))["cniVersion"] == "1.0.0"


def test_an_interpreter_that_a_shebang_cannot_name_is_executed_all_the_same(tmp_path: Path) -> None:
    directory = tmp_path / f"it's a {'long ' * 30}way"
    directory.mkdir()
    interpreter = directory / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    (built,) = script.build(
        ROOT / "plugins" / "bridge",
        tmp_path,
        str(interpreter),
        path=[ROOT, ROOT / "plugins/bridge"],
    )

    assert version(built)["cniVersion"] == "1.0.0"


def test_the_environment_of_a_call_does_not_decide_what_is_imported(tmp_path: Path) -> None:
    (tmp_path / "cnisdk.py").write_text("raise SystemExit('the wrong one')")

    answer = version(build_bridge(tmp_path), {"PYTHONPATH": str(tmp_path)})

    assert answer["cniVersion"] == "1.0.0"


def test_building_again_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    first = build_bridge(tmp_path).stat()

    second = build_bridge(tmp_path).stat()

    assert os.listdir(tmp_path) == ["bridge"]
    assert second.st_ino != first.st_ino
    assert second.st_mode & 0o777 == 0o755


def test_modules_are_compiled_before_the_first_call(tmp_path: Path) -> None:
    package = tmp_path / "cni_mine"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from cnisdk import Plugin, PluginConfig\nclass Mine(Plugin[PluginConfig]): ...\n"
    )
    (package / "rare.py").write_text("")
    declared = '[project.entry-points."cnisdk.plugins"]\nmine = "cni_mine:Mine"\n'
    sys.path.insert(0, str(tmp_path))
    try:
        script.build(project(tmp_path, declared), tmp_path / "bin")
    finally:
        sys.path.remove(str(tmp_path))

    assert list(package.glob("__pycache__/rare.*.pyc"))


def test_a_project_without_a_plugin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no plugin in"):
        script.build(project(tmp_path, '[project]\nname = "x"\n'), tmp_path)


def test_an_entry_point_that_is_no_plugin_is_refused(tmp_path: Path) -> None:
    declared = '[project.entry-points."cnisdk.plugins"]\nx = "cnisdk.errors:CNIError"\n'

    with pytest.raises(TypeError, match="is no subclass of Plugin"):
        script.build(project(tmp_path, declared), tmp_path)


def test_the_command_line_says_what_it_cannot_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = script.main([str(tmp_path / "none"), "-o", str(tmp_path)])

    assert status == 1
    assert "cannot build" in capsys.readouterr().err
