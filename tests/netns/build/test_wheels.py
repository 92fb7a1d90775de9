"""What is published: a wheel that needs no compiler where it is installed."""

import base64
import csv
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from cnisdk.agent import native
from cnisdk.cli.group import COMMANDS
from tests.host import ROOT
from tests.netns.agent.launchers import require

MACHINES = {"x86_64": 62, "aarch64": 183}
"""ELF's e_machine of each."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy of what git has, so that nothing else gets in."""
    top = tmp_path_factory.mktemp("wheel")
    source = top / "source"
    shutil.copytree(ROOT / "cnisdk", source / "cnisdk", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(ROOT / "cookiecutter", source / "cookiecutter")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(top), str(source))
    (made,) = top.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with cnisdk installed from the wheel."""
    directory = tmp_path_factory.mktemp("site")
    pip("install", "--no-index", "--target", str(directory), str(wheel))
    return directory


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, what its metadata requires, and nothing else.

    There is no network here, so requirements are copied from where the tests run.
    """
    top = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", top], check=True, timeout=120)
    (site,) = top.glob("lib/python3*/site-packages")
    pip("--python", str(top / "bin" / "python"), "install", "--no-index", str(wheel))
    for name in closure(requirements(metadata(wheel).get_all("Requires-Dist", []))):
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and source.suffix != ".pyc":
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
    return top


def requirements(lines: Iterable[str]) -> set[str]:
    """Return the names of what is required here, without any extra."""
    wanted = set()
    for line in lines:
        name, _, marker = line.partition(";")
        if "extra ==" not in marker and "python_version <" not in marker:
            (match,) = re.findall(r"^[A-Za-z0-9._-]+", name)
            wanted.add(match.lower().replace("_", "-"))
    return wanted


def closure(names: set[str]) -> set[str]:
    """Return ``names`` and all that they require in turn."""
    todo, done = set(names), set()
    while todo:
        name = todo.pop()
        done.add(name)
        todo |= requirements(importlib.metadata.requires(name) or ()) - done
    return done


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def execute(
    environment: Path, program: str, *arguments: str, **how: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment where there is no other, nor a compiler."""
    environ = {"PATH": "/nonexistent", "CC": "/nonexistent/cc", "HOME": "/nonexistent"}
    return subprocess.run(
        [environment / "bin" / program, *arguments],
        env=environ,
        text=True,
        capture_output=True,
        timeout=120,
        **how,
    )


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-deps"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def test_it_carries_launchers_for_every_machine(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for machine, number in MACHINES.items():
            launcher = archive.read(f"cnisdk/agent/bin/launcher-{machine}")

            assert launcher[:4] == b"\x7fELF"
            assert int.from_bytes(launcher[18:20], "little") == number
            assert b"ld-musl" not in launcher


def test_without_ziglang_it_carries_this_machines_launcher_at_most(tmp_path: Path) -> None:
    """As in deploy/Dockerfile: ziglang opens more files than some builders let it."""
    require(shutil.which("musl-gcc"), "musl-gcc")
    code = """\
import sys
sys.modules["ziglang"] = None
from hatchling.build import build_wheel
build_wheel(sys.argv[1])
"""
    carried = {}
    for compilers in ("/usr/bin:/bin", "/nonexistent"):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path], cwd=ROOT, env={"PATH": compilers},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (wheel,) = tmp_path.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if "/launcher-" in name]
            carried[compilers] = {name.rpartition("-")[2]: archive.read(name) for name in names}

    launchers, none = carried.values()
    assert launchers.keys() == {native.machine()}
    assert launchers[native.machine()][:4] == b"\x7fELF"
    assert b"ld-musl" not in launchers[native.machine()]
    assert none == {}


def test_it_carries_what_is_no_module_too(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {"cnisdk/py.typed", "cnisdk/agent/launcher.c", "cnisdk/agent/launcher.py"} <= names
    assert "cnisdk/template/cookiecutter.json" in names
    assert {f"cnisdk/{path.relative_to(ROOT / 'cnisdk')}" for path in modules()} <= names
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("tests/")]


def modules() -> list[Path]:
    return list((ROOT / "cnisdk").rglob("*.py"))


def test_an_executable_is_built_where_there_is_no_compiler(installed: Path, tmp_path: Path) -> None:
    command = ["from cnisdk.cli import main; main()", "build", str(ROOT / "plugins" / "host_local")]
    environ = {"PYTHONPATH": str(installed), "PATH": "/nonexistent", "CC": "/nonexistent/cc"}
    subprocess.run(
        [sys.executable, "-c", *command, "-o", str(tmp_path / "bin")],
        env=environ,
        check=True,
        timeout=120,
        cwd=tmp_path,
    )
    prebuilt = (installed / f"cnisdk/agent/bin/launcher-{native.machine()}").read_bytes()
    built = tmp_path / "bin" / "host-local"

    assert built.read_bytes().startswith(prebuilt)
    asked = {"CNI_COMMAND": "VERSION", "PATH": os.defpath}
    answer = subprocess.run([built], env=asked, check=True, capture_output=True, timeout=60)
    assert b'"1.1.0"' in answer.stdout


# -- metadata ----------------------------------------------------------------------------------


def test_the_metadata_is_that_of_the_project(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = metadata(wheel)

    assert (told["Name"], told["Version"]) == (project["name"], project["version"])
    assert told["Summary"] == project["description"]
    assert told["Requires-Python"] == project["requires-python"]
    assert told["License-Expression"] == project["license"]
    assert sorted(told.get_all("Provides-Extra", [])) == sorted(project["optional-dependencies"])
    assert sorted(told.get_all("Classifier", [])) == sorted(project["classifiers"])
    assert requirements(told.get_all("Requires-Dist", [])) == {"pydantic", "click"}
    assert told["Description-Content-Type"] == "text/markdown"
    assert (ROOT / "README.md").read_text().strip() in str(told.get_payload())


def test_every_supported_python_has_its_classifier(wheel: Path) -> None:
    told = metadata(wheel)
    minimum = told["Requires-Python"].removeprefix(">=")

    assert f"Programming Language :: Python :: {minimum}" in told.get_all("Classifier", [])
    assert "Typing :: Typed" in told.get_all("Classifier", [])


def test_it_installs_on_every_machine(wheel: Path) -> None:
    """What is compiled in it is executed by nobody but who asks for it."""
    assert wheel.name.endswith("-py3-none-any.whl")


def test_its_record_has_every_file_as_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = list(csv.reader(archive.read(name).decode().splitlines()))

        assert sorted(path for path, _, _ in rows) == sorted(archive.namelist())
        for path, digest, size in rows:
            if path != name:
                content = archive.read(path)
                made = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
                assert (digest, size) == (f"sha256={made.decode()}", str(len(content))), path


def test_nothing_in_it_tells_where_it_was_made(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert str(ROOT).encode() not in content, name
            assert str(wheel.parent).encode() not in content, name


# -- installed where there is nothing else -------------------------------------------------------


def test_every_verb_starts_with_nothing_but_what_is_required(environment: Path) -> None:
    for verb in COMMANDS:
        done = execute(environment, "cnisdk", verb, "--help")

        assert (done.returncode, done.stderr) == (0, ""), verb
        assert done.stdout.startswith("Usage: cnisdk"), verb


def test_every_module_is_importable_there(environment: Path) -> None:
    """But those that are for an extra, and what starts a process as soon as it is imported."""
    code = """
import importlib, json, pkgutil, cnisdk
failed = {}
for found in pkgutil.walk_packages(cnisdk.__path__, "cnisdk."):
    if ".template." in found.name or found.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(found.name)
    except ImportError as err:
        failed[found.name] = str(err.name)
print(json.dumps(failed))
"""
    done = execute(environment, "python", "-I", "-c", code, check=True)

    missing = json.loads(done.stdout)
    assert set(missing.values()) <= {"pytest", "_pytest", "hypothesis", "packaging"}, missing


def test_networks_are_validated_there_and_what_is_missing_is_said(
    environment: Path, tmp_path: Path
) -> None:
    network = tmp_path / "x.conflist"
    network.write_text('{"cniVersion": "1.1.0", "name": "x", "plugins": [{"type": "gone"}]}')

    done = execute(environment, "cnisdk", "validate", "--cni-path", str(tmp_path), str(network))

    assert done.returncode == 1
    assert "failed to find plugin 'gone'" in done.stderr


# -- types -------------------------------------------------------------------------------------

CONSUMER = """
from cnisdk import Attachment, Field, Plugin, PluginConfig, Result, collect, ipam, main, versions
from cnisdk.net import link, veth
from cnisdk.net.rtnl import RTNL


class Config(PluginConfig):
    link_speed: int = Field(default=0, alias="linkSpeed")


class Speed(Plugin[Config]):
    def add(self, config: Config, attachment: Attachment) -> Result:
        speed: int = config.link_speed
        result: Result = config.require_prev_result()
        with RTNL() as host:
            end = veth.host_end(host, attachment.netns, attachment.ifname)
            if end is not None:
                link.set_mtu(host, end.index, speed)
        return result.replace(dns=config.dns)

    def delete(self, config: Config, attachment: Attachment) -> None:
        collect(lambda: self.ipam.delete(config))


NEWEST: str = versions.CURRENT
CONFIGURE = ipam.configure

if __name__ == "__main__":
    main(Speed)
"""

WRONG = {
    "result.replace(dns=config.dns)": ("None", "Incompatible return value type"),
    "config.link_speed": ("config.link_sped", '"Config" has no attribute "link_sped"'),
    " speed: int =": (" speed: str =", "Incompatible types in assignment"),
    "end.index, speed": ("end.indx, speed", '"Link" has no attribute "indx"'),
    "lambda: self": ("5, lambda: self", 'Argument 1 to "collect" has incompatible type "int"'),
    "versions.CURRENT": ("versions.NEWEST", "has no attribute"),
}


def test_a_plugin_is_checked_against_the_types_of_the_wheel(
    environment: Path, tmp_path: Path
) -> None:
    """Where mypy finds nothing of this checkout, and without its plugin for pydantic."""
    (tmp_path / "good.py").write_text(CONSUMER)
    for number, (right, (wrong, _)) in enumerate(WRONG.items()):
        assert CONSUMER.count(right) == 1
        (tmp_path / f"wrong{number}.py").write_text(CONSUMER.replace(right, wrong))

    python = f"--python-executable={environment}/bin/python"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", python, "."],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=300,
    )

    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("good.py")] == []
    for number, (_, said) in enumerate(WRONG.values()):
        (line, *_) = [line for line in lines if line.startswith(f"wrong{number}.py")] or [""]
        assert said in line, done.stdout
