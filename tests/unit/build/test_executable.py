"""Executables from projects: native ones, and scripts where nothing can compile the launcher."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cnisdk.agent import native, trailer
from cnisdk.build import executable
from cnisdk.build.errors import BuildError
from cnisdk.build.executable import Options
from cnisdk.cli.group import cnisdk
from tests.host import ROOT
from tests.unit.build.conftest import PLUGIN

Make = Callable[..., Path]

PLUGINS = [ROOT / "plugins" / "bridge", ROOT / "plugins" / "host_local"]


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "prebuilt", lambda: None)
    monkeypatch.setattr(native, "compile_launcher", lambda *args, **kwargs: None)


def call(
    path: Path, command: str, stdin: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [path],
        env={"CNI_COMMAND": command, **environ},
        input=stdin or '{"cniVersion": "1.0.0", "name": "n", "type": "mine"}',
        capture_output=True,
        text=True,
        check=False,
    )


def version(path: Path, **environ: str) -> str:
    done = call(path, "VERSION", **environ)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["cniVersion"])


def test_plugins_that_are_built_together_are_one_file(tmp_path: Path) -> None:
    built = executable.build(PLUGINS, tmp_path / "bin")

    bridge, host_local = built.paths
    assert [path.name for path in built.paths] == ["bridge", "host-local"]
    assert bridge.samefile(host_local)
    assert sorted(os.listdir(tmp_path / "bin")) == ["bridge", "host-local"]
    assert bridge.stat().st_mode & 0o777 == 0o755
    assert built.size == bridge.stat().st_size
    assert version(bridge) == "1.0.0"


def test_plugins_of_different_versions_share_the_payload_only(make_project: Make) -> None:
    source = PLUGIN.replace("...", 'versions = ("0.3.1", "0.4.0")')
    old = make_project("old", entry='old = "old:Mine"')
    (old / "old.py").write_text(source)
    directory = make_project("new")

    built = executable.build([directory, old], directory / "bin")

    mine, older = built.paths
    assert not mine.samefile(older)
    first, second = trailer.read(str(mine)), trailer.read(str(older))
    assert first is not None
    assert second is not None
    assert first.value("payload-id") == second.value("payload-id")
    assert second.value("versions") == "0.3.1,0.4.0"


def test_building_again_replaces_the_file_and_leaves_no_other(make_project: Make) -> None:
    directory = make_project()
    (built,) = executable.build([directory], directory / "bin").paths
    first = built.stat().st_ino

    executable.build([directory], directory / "bin")

    assert os.listdir(directory / "bin") == ["mine"]
    assert built.stat().st_ino != first


def test_what_was_asked_for_is_in_the_settings(make_project: Make) -> None:
    directory = make_project()
    options = Options(warm=30, unpack_dirs=("/opt/a", "/opt/b"), socket="/run/a/agent.sock")

    (built,) = executable.build([directory], directory / "bin", options).paths

    found = trailer.read(str(built))
    assert found is not None
    assert found.value("warm") == "30"
    assert found.values("unpack-dir") == ("/opt/a", "/opt/b")
    assert found.value("socket") == "/run/a/agent.sock"
    assert found.value("exec") == os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    assert found.payload_offset % 4096 == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (Options(warm=-1), "--warm"),
        (Options(unpack_dirs=("relative",)), "absolute"),
        (Options(unpack_dirs=("/tmp/x",)), "temporary"),
        (Options(unpack_dirs=("/var/../tmp",)), "temporary"),
        (Options(unpack_dirs=(os.path.expanduser("~/x"),)), "home"),
        (Options(unpack_dirs=("/opt",)), "payloads alone"),
        (Options(unpack_dirs=("/opt/a/..//",)), "payloads alone"),
        (Options(unpack_dirs=("/run/cnisdk/payload",)), "an agent's directory, /run/cnisdk,"),
        (
            Options(unpack_dirs=("/run/cnisdk/payload",), socket="/run/cnisdk/a/agent.sock"),
            "an agent's directory, /run/cnisdk,",
        ),
        (
            Options(unpack_dirs=("/run/a//payload",), socket="/run/a/agent.sock"),
            "an agent's directory, /run/a,",
        ),
        (Options(socket="/var/lib/cnisdk/agent.sock"), "an agent's directory, /var/lib/cnisdk,"),
        (Options(socket="/run/agent.sock"), "a directory of its own"),
        (Options(socket="/run/a/"), "a directory of its own"),
        (Options(socket="/run/a\n/agent.sock"), "not to be seen"),
        (Options(socket="agent.sock"), "--socket agent.sock has to be absolute"),
        (Options(socket="/tmp/x/agent.sock"), "temporary"),
        (Options(socket=os.path.expanduser("~/agent.sock")), "home"),
        (Options(socket=f"/run/{'x' * 103}"), "more than 107 bytes"),
        (Options(python="/nonexistent/python"), "No such file"),
        (Options(python="/bin/false"), "no Python that works"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    make_project: Make, options: Options, problem: str
) -> None:
    directory = make_project()

    with pytest.raises(BuildError, match=problem):
        executable.build([directory], directory / "bin", options)

    assert not (directory / "bin").exists()


@pytest.mark.parametrize(
    ("source", "problem", "native_launcher"),
    [
        ("import nonsense_of_mine\n", "nonsense_of_mine", False),
        ("Mine = dict\n", "is no subclass of Plugin", False),
        ("", "has no attribute 'Mine'", False),
        ("raise OSError('out of order')\n", "out of order", False),
        ("raise OSError('out of order')\n", "out of order", True),
        ("def\n", "SyntaxError", False),
        ("def\n", "SyntaxError", True),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_not_built(
    make_project: Make,
    request: pytest.FixtureRequest,
    source: str,
    problem: str,
    *,
    native_launcher: bool,
) -> None:
    if not native_launcher:
        request.getfixturevalue("no_compiler")
    directory = make_project(source=source)

    with pytest.raises(BuildError, match=problem):
        executable.build([directory], directory / "bin")

    assert not (directory / "bin").exists()


def test_a_module_that_no_dependency_brings_is_missed_although_it_is_installed(
    make_project: Make,
) -> None:
    directory = make_project(source="import pytest\n" + PLUGIN)

    with pytest.raises(BuildError, match="No module named 'pytest'") as raised:
        executable.build([directory], directory / "bin")

    assert "[project] dependencies" in raised.value.step


@pytest.mark.usefixtures("no_compiler")
class TestScript:
    """Without a compiler."""

    def test_it_answers(self, tmp_path: Path) -> None:
        built = executable.build(PLUGINS, tmp_path / "bin")

        assert [path.name for path in built.paths] == ["bridge", "host-local"]
        assert version(tmp_path / "bin" / "bridge") == "1.0.0"

    def test_it_runs_the_plugin_that_it_is_called_by_the_name_of(self, tmp_path: Path) -> None:
        executable.build(PLUGINS, tmp_path)

        for name, words in [("bridge", "CNI plugin Bridge"), ("host-local", "plugin HostLocal")]:
            done = subprocess.run([tmp_path / name], capture_output=True, text=True, env={})
            assert words in done.stderr

    def test_an_interpreter_that_a_shebang_cannot_name_is_executed_all_the_same(
        self, tmp_path: Path
    ) -> None:
        directory = tmp_path / f"it's a {'long ' * 30}way"
        directory.mkdir()
        interpreter = directory / "python"
        interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        interpreter.chmod(0o755)

        built = executable.build(PLUGINS[:1], tmp_path, Options(python=str(interpreter)))

        assert version(built.paths[0]) == "1.0.0"

    def test_the_environment_of_a_call_does_not_decide_what_is_imported(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "cnisdk.py").write_text("raise SystemExit('the wrong one')")

        built = executable.build(PLUGINS[:1], tmp_path)

        assert version(built.paths[0], PYTHONPATH=str(tmp_path)) == "1.0.0"

    def test_modules_are_compiled_before_the_first_call(self, make_project: Make) -> None:
        directory = make_project()
        (directory / "cni_mine" / "rare.py").write_text("")

        executable.build([directory], directory / "bin")

        assert list((directory / "cni_mine").glob("__pycache__/rare.*.pyc"))

    def test_standalone_says_what_to_install(self, make_project: Make) -> None:
        directory = make_project()

        with pytest.raises(BuildError, match="--standalone needs") as raised:
            executable.build([directory], directory / "bin", Options(standalone=True))

        assert "ziglang" in raised.value.step


@pytest.mark.usefixtures("no_compiler")
def test_the_command_line_prints_what_it_made(make_project: Make) -> None:
    directory = make_project()

    done = CliRunner().invoke(cnisdk, ["build", str(directory), "-o", str(directory / "bin")])

    assert done.exit_code == 0, done.output
    assert done.stdout == f"{directory / 'bin' / 'mine'}\n"
    assert "MB, needs" in done.stderr
    assert "Making" not in done.output  # a bar is for a terminal


def test_the_command_line_says_what_is_wrong_and_what_to_do(make_project: Make) -> None:
    done = CliRunner().invoke(cnisdk, ["build", str(make_project(entry=None))])

    assert done.exit_code == 1
    assert "Error:" in done.stderr
    assert "Next: declare one" in done.stderr


def test_a_bar_is_shown_on_a_terminal(make_project: Make) -> None:
    directory = make_project()
    argv = ["cnisdk", "build", str(directory), "-o", str(directory / "bin")]
    code = f"import sys; sys.argv[:] = {argv!r}; from cnisdk.cli import main; main()"
    theirs, ours = pty.openpty()

    on_terminal = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stderr=ours, stdout=subprocess.DEVNULL
    )
    os.close(ours)
    shown = b""
    while True:
        try:
            shown += os.read(theirs, 4096)
        except OSError:
            break
    os.close(theirs)
    assert on_terminal.wait() == 0
    assert b"Compiling" in shown
    assert b"100%" in shown
