"""A generated project of each kind is whole: form, types, hooks, specification, a network."""

import fcntl
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

KINDS = ("interface", "chained", "ipam")
START = "from cnisdk.cli import main; main()"
TOOLS = Path(sys.executable).parent


def cnisdk(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return execute(sys.executable, "-P", "-c", START, *arguments, cwd=cwd, **more)


def execute(*command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run in a project; as a user, who has set no variables of ours."""
    kept = "PYTEST_DEBUG_TEMPROOT"  # what pytest leaves, it leaves where this session does
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("PYTEST") or key == kept
    }
    environ |= {"CNISDK_OUTSIDE": "", **more}  # a host of its own for each
    return subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(params=KINDS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind: str = request.param
    done = cnisdk("new", f"made-{kind}", "--kind", kind, "--no-input", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / f"cni-made-{kind}"


@pytest.fixture
def types_known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What mypy knows of cnisdk and pydantic, the same for all projects; one asks at a time."""
    top = tmp_path_factory.getbasetemp()
    cache = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / "types-known"
    with open(f"{cache}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def test_a_generated_project_passes_its_own_types(project: Path, types_known: Path) -> None:
    temporary = project.parent / "temporary"
    temporary.mkdir()
    there = {"TMPDIR": str(temporary), "MYPY_CACHE_DIR": str(types_known)}

    done = execute(f"{TOOLS}/mypy", cwd=project, **there)

    assert done.returncode == 0, done.stdout + done.stderr
    assert list(temporary.iterdir()) == []


def test_a_generated_project_passes_its_own_checks(project: Path) -> None:
    temporary = project.parent / "temporary"
    temporary.mkdir()
    for command in (
        [f"{TOOLS}/ruff", "format", "--check", "."],
        [f"{TOOLS}/ruff", "check", "."],
        [sys.executable, "-m", "pytest", "-q"],
    ):
        done = execute(*command, cwd=project, TMPDIR=str(temporary))
        assert done.returncode == 0, done.stdout + done.stderr
    assert list(temporary.iterdir()) == []


def test_standalone_files_of_a_generated_project_attach_containers(project: Path) -> None:
    plugins = (".", "cni-bridge", "cni-host-local")
    temporary = project.parent / "temporary"
    temporary.mkdir()
    there = {"TMPDIR": str(temporary)}
    built = cnisdk("build", *plugins, "--standalone", "-o", "dist/bin", cwd=project, **there)
    assert built.returncode == 0, built.stderr
    (network,) = project.glob("10-*.conflist")

    done = cnisdk("try", str(network), "--cni-path", "dist/bin", cwd=project, **there)

    assert list(temporary.iterdir()) == []
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ ping blue → gateway" in done.stdout


@pytest.mark.parametrize("name", ["Upper", "1st", "a b", "bridge", "../up", "-"])
def test_a_name_that_makes_no_plugin_is_refused(name: str, tmp_path: Path) -> None:
    done = cnisdk("new", "--no-input", "--", name, cwd=tmp_path)

    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ['Sets the "fast" mode', "a\\", "two\nlines", '"""'])
def test_a_description_that_makes_no_toml_is_refused(text: str, tmp_path: Path) -> None:
    done = cnisdk("new", "fast", "--no-input", "--description", text, cwd=tmp_path)

    assert done.returncode == 1
    assert "has to be a line without quotation marks" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_description_may_have_apostrophes_and_brackets(tmp_path: Path) -> None:
    text = "Doesn't <hurt> & {{ '{' }} costs 5 %, naïve"
    done = cnisdk("new", "fast", "--no-input", "--description", text, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    project = tomllib.loads((tmp_path / "cni-fast" / "pyproject.toml").read_text())["project"]
    assert project["description"].startswith("CNI plugin: Doesn't <hurt> & ")


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "cni-mine").mkdir()

    done = cnisdk("new", "mine", "--no-input", cwd=tmp_path)

    assert done.returncode == 1
    assert "already exists" in done.stderr
    assert list((tmp_path / "cni-mine").iterdir()) == []


@pytest.mark.parametrize(("name", "made"), [("mine", ["cni-mine"]), ("bridge", [])])
def test_nothing_is_left_but_the_project(name: str, made: list[str], tmp_path: Path) -> None:
    """cookiecutter by itself leaves its hooks in /tmp, and answers in the home directory."""
    variables = {name: str(tmp_path / name) for name in ("HOME", "TMPDIR")}
    for directory in ("HOME", "TMPDIR", "here"):
        (tmp_path / directory).mkdir()

    cnisdk("new", name, "--no-input", cwd=tmp_path / "here", **variables)

    left = {path.name: sorted(one.name for one in path.iterdir()) for path in tmp_path.iterdir()}
    assert left == {"HOME": [], "TMPDIR": [], "here": made}


@pytest.mark.parametrize("size", ["16k", "64k"])
def test_a_full_disk_leaves_no_part_of_a_project(size: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", small], check=True)
    try:
        done = cnisdk("new", "mine", "--no-input", cwd=small)

        assert done.returncode == 1
        assert "Error: no project was made: " in done.stderr
        assert "No space left on device" in done.stderr
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
