"""A real builder makes our Dockerfiles into images.

No registry is here to have a base image from: it is made here under that name, of busybox and
commands that leave what the real ones make.  What the real ones do is in `tests.deploy.image`.
"""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from cnisdk.cli.group import cnisdk
from tests.host import ROOT
from tests.runtimes import docker, image
from tests.runtimes.daemon import Daemon

pytestmark = pytest.mark.runtime("podman", "docker", "dockerd", "busybox")

W = Path("/run/builders")
"""For what builders write; it goes with the session."""

COMMANDS = {
    "apt-get": "true",
    "pip": """\
case "$*" in
  wheel\\ *) mkdir /wheels && find . ! -type d >/wheels/context ;;
  *--root\\ /installed*) mkdir -p /installed/usr/local && cp /wheels/context /installed/usr/local ;;
  *) ls /wheels/context ;;
esac""",
    "cnisdk": 'mkdir /plugins && echo "$@" >/plugins/built',
}
"""``context`` says what the first stage has of the context."""

PLANTED = (
    ".git/HEAD", ".venv/bin/python", "dist/standalone/x", ".mypy_cache/x", ".ruff_cache/x",
    "cni_try_interface/__pycache__/x.pyc", ".hypothesis/x",
)  # fmt: skip


BESIDES = ("bin/", "etc/", "www/", "dev/", "run/.containerenv", ".dockerenv")
"""What the base has, and what makers of containers put in."""


class Image(NamedTuple):
    config: dict[str, Any]
    files: dict[str, bytes]
    """Without what is `BESIDES`."""

    @property
    def context(self) -> list[str]:
        return self.files["usr/local/context"].decode().split()


class Podman:
    """With storage of its own."""

    def __init__(self) -> None:
        self.env = {"PATH": os.environ["PATH"], "HOME": "/run/home", "TMPDIR": "/run/tmp"}
        self.command = ["podman", "--root", f"{W}/graph", "--runroot", f"{W}/run"]
        self.command += ["--tmpdir", f"{W}/tmp"]
        self.options = ["--isolation", "chroot", "--pull=never", "--layers=false"]

    def __call__(self, *argv: str) -> str:
        command = [*self.command, *argv]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        """Nothing runs."""


class Docker(Podman):
    """Without BuildKit: the builder of Debian's docker.io, unless another is installed too."""

    def __init__(self) -> None:
        socket = f"unix://{W}/docker.sock"
        self.env = {"PATH": os.environ["PATH"], "HOME": "/run/home", "TMPDIR": "/run/tmp"}
        self.env |= {"DOCKER_HOST": socket, "DOCKER_BUILDKIT": "0"}
        self.command = ["docker"]
        self.options = ["--network", "none"]
        settings = {
            **docker.SETTINGS,
            "data-root": f"{W}/docker",
            "exec-root": f"{W}/docker-exec",
            "pidfile": f"{W}/docker.pid",
            "deprecated-key-path": f"{W}/docker-key.json",
            "hosts": [socket],
        }
        (W / "docker.json").write_text(json.dumps(settings))
        argv = ["dockerd", "--config-file", f"{W}/docker.json"]
        self.daemon = Daemon(argv, self.env, W / "dockerd.log", self._is_ready)
        self.daemon.start()

    def _is_ready(self) -> bool:
        with suppress(AssertionError):
            return bool(self("version"))
        return False

    def close(self) -> None:
        self.daemon.stop()


@pytest.fixture(scope="module")
def base() -> Path:
    """An archive of what the root directory of a base image has."""
    for path in (W, Path("/run/tmp"), Path("/run/home")):
        path.mkdir(exist_ok=True)
    layer = image.layer(W)
    for name, script in COMMANDS.items():
        path = W / "rootfs" / "bin" / name
        path.write_text(f"#!/bin/sh\nset -eu\n{script}\n")
        path.chmod(0o755)
    subprocess.run(["tar", "-C", W / "rootfs", "-cf", layer, "."], check=True)
    return layer


def build(builder: Podman, name: str, file: Path, context: Path) -> Image:
    """Have an image made, and look at what it would run with and at its files."""
    options = [*builder.options, "--tag", name, "--file", str(file)]
    builder("build", *options, str(context))
    (described,) = json.loads(builder("image", "inspect", name))
    builder("create", "--name", name, name)
    builder("export", "--output", str(W / "exported.tar"), name)
    builder("rm", name)
    with tarfile.open(W / "exported.tar") as archive:
        files = {
            member.name: opened.read()
            for member in archive
            if not member.name.startswith(BESIDES) and (opened := archive.extractfile(member))
        }
    return Image(described["Config"], files)


@pytest.fixture(scope="module", params=[Podman, Docker], ids=["podman", "docker"])
def builder(request: pytest.FixtureRequest, base: Path) -> Iterator[Podman]:
    builder: Podman = request.param()
    try:
        for name in ("bookworm", "bullseye"):
            builder("import", str(base), f"docker.io/library/python:3.12-slim-{name}")
        yield builder
    finally:
        builder.close()


@pytest.fixture(scope="module")
def ours(builder: Podman) -> Image:
    """The image of the checkout's plugins."""
    return build(builder, "ours", ROOT / "deploy" / "Dockerfile", ROOT)


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A project in which somebody has worked."""
    line = ["new", "try-interface", "--no-input", "-o", "/run"]
    done = CliRunner().invoke(cnisdk, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = Path("/run/cni-try-interface")
    for name in PLANTED:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("made by hand")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def theirs(builder: Podman, project: Path) -> Image:
    """The image of a project."""
    return build(builder, "theirs", project / "Dockerfile", project)


def test_the_checkouts_dockerfile_makes_an_image(ours: Image) -> None:
    assert ours.config["Cmd"] == ["cnisdk", "agent"]
    assert ours.config["User"] == "0"
    assert ours.files.keys() == {"plugins/built", "usr/local/context"}
    assert ours.files["plugins/built"].split()[-1] == b"--standalone"


def test_the_checkouts_context_is_what_wheels_are_made_of(ours: Image) -> None:
    assert {path.split("/")[1] for path in ours.context} == {
        "pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", "LICENSE", "cnisdk",
        "cookiecutter", "plugins",
    }  # fmt: skip
    assert "./plugins/bridge/cni_bridge/plugin.py" in ours.context
    for part in ("/.venv/", "/__pycache__/", "_cache/", "/bridge/tests/"):
        assert [path for path in ours.context if part in path] == []


def test_a_projects_dockerfile_makes_an_image(theirs: Image, project: Path) -> None:
    network = "10-try-interface.conflist"
    socket = "/run/cnisdk/cni-try-interface/agent.sock"

    assert theirs.config["Cmd"] == ["cnisdk", "agent", "--socket", socket]
    assert theirs.files.keys() == {"plugins/built", "usr/local/context", f"networks/{network}"}
    assert theirs.files[f"networks/{network}"] == (project / network).read_bytes()
    assert theirs.files["plugins/built"].decode().split()[-2:] == ["--socket", socket]


def test_what_was_made_in_a_project_is_not_in_its_context(theirs: Image) -> None:
    assert {"./pyproject.toml", "./cni_try_interface/plugin.py"} < set(theirs.context)
    assert [name for name in PLANTED if f"./{name}" in theirs.context] == []
