"""Unpacking as root where other users own directories: a user namespace has no second user."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.agent import trailer
from cnisdk.build import archive, executable
from tests.host import ROOT
from tests.runtimes import outside


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A directory that sessions of real root have too."""
    if outside.SOCKET not in os.environ:
        reason = "needs root, and not of a user namespace: sudo make test"
        pytest.skip(reason)
    directory = Path(os.environ[outside.SOCKET]).parent / tmp_path.name
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


def unpacker(directory: Path, *unpack_dirs: str) -> Path:
    """Make an executable that says ``runs`` out of its payload."""
    launcher, problems = executable.native_launcher(str(directory))
    assert launcher is not None, problems
    (directory / "tree").mkdir()
    (directory / "tree" / "script").write_text("echo runs")
    payload = archive.pack(directory / "tree")
    settings = [
        ("socket", "/nonexistent/agent.sock"),
        ("mode", "exec"),
        ("exec", "/bin/sh"),
        ("arg", "%d/script"),
        ("payload-id", archive.identity(payload)),
        *(("unpack-dir", path) for path in unpack_dirs),
    ]
    path = directory / "bridge"
    path.write_bytes(trailer.append(launcher, settings, payload))
    path.chmod(0o755)
    return path


def call(path: Path, before: str, after: str = ":", **env: str) -> str:
    """Return what a call says, once ``before`` was run in the same session."""
    script = f"{before}; echo '{{}}' | {path}; {after}"
    env = {"PATH": os.environ["PATH"], "CNI_COMMAND": "ADD", **env}
    return outside.run(["sh", "-c", script], env=env, cwd=ROOT).output


def details(output: str) -> str:
    return str(json.loads(output)["details"])


def test_a_directory_of_root_below_that_of_root_is_used(shared: Path) -> None:
    assert call(unpacker(shared, "/opt/vendor/x"), "mkdir -p /opt/vendor") == "runs\n"


@pytest.mark.parametrize(
    "before",
    [
        "mkdir -p /opt/vendor/x; chown 1000 /opt/vendor",
        "mkdir -p /opt/vendor/x; chown 65534 /opt/vendor",
        "mkdir -p /opt/vendor; chown 1000 /opt/vendor",
        "mkdir -p /srv/v; ln -s /srv/v /opt/vendor; chown -h 1000 /opt/vendor",
        "mkdir -p /srv/v; ln -s /srv/v /opt/vendor; chown 1000 /srv/v",
        "mkdir -p /srv/v/w; ln -s ../srv/v/w /opt/vendor; chown 1000 /srv/v",
    ],
)
def test_what_is_in_a_directory_of_another_user_is_not_run(shared: Path, before: str) -> None:
    """Its owner can put another one in its place between a look at it and the execve()."""
    output = call(unpacker(shared, "/opt/vendor/x"), before)

    assert details(output) == "/opt/vendor/x: is in a directory of another user"


def test_nothing_is_made_in_a_directory_of_another_user(shared: Path) -> None:
    before = "mkdir -p /opt/vendor; chown 1000 /opt/vendor"

    output = call(unpacker(shared, "/opt/vendor/x/y"), before, "ls /opt/vendor")

    assert output.endswith("}\n")


_NOWHERE_ELSE = "rm -rf /var/lib/cnisdk; >/var/lib/cnisdk; >/run/cnisdk-payload; mkdir -p /run/u"


@pytest.mark.parametrize(
    ("who", "mode", "works"), [(0, 700, True), (1000, 700, False), (0, 777, False)]
)
def test_only_a_runtime_directory_of_our_own_is_used(
    shared: Path, who: int, mode: int, *, works: bool
) -> None:
    """After su(1), the variable names that of another user."""
    before = f"{_NOWHERE_ELSE}; chown {who} /run/u; chmod {mode} /run/u"

    output = call(unpacker(shared), before, XDG_RUNTIME_DIR="/run/u")

    assert (output == "runs\n") == works
    assert works or "/run/u" not in details(output)
