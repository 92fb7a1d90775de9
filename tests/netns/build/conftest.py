"""Executables of the checkout's plugins of every kind, and small ones that only unpack."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.agent import native
from cnisdk.build import executable
from cnisdk.build.executable import Options
from tests.host import ROOT

PLUGINS = [ROOT / "plugins" / "bridge", ROOT / "plugins" / "host_local"]

UNPACKED = Path("/run/cnisdk-payload")
"""Where all of them unpack to; /run is the session's own."""


def built_once(factory: pytest.TempPathFactory, name: str, options: Options) -> Path:
    """Build the plugins, once for all workers of the session."""
    top = factory.getbasetemp()
    output = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / name
    with open(f"{output}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            executable.build(PLUGINS, output, options)
    return output


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of executables that run on this machine's interpreter."""
    return built_once(tmp_path_factory, "built", Options(unpack_dirs=(str(UNPACKED),)))


@pytest.fixture(scope="session")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of executables that bring an interpreter."""
    options = Options(standalone=True, unpack_dirs=(str(UNPACKED),))
    return built_once(tmp_path_factory, "standalone", options)


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of executables that are made where there is no compiler."""
    output = tmp_path_factory.mktemp("scripts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "prebuilt", lambda: None)
        patch.setattr(native, "compile_launcher", lambda *args, **kwargs: None)
        executable.build(PLUGINS, output)
    return output


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of the native launcher."""
    found, problems = executable.native_launcher(str(tmp_path_factory.mktemp("launcher")))
    if found is None:
        reason = f"no C compiler here makes static files: {problems}"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def base() -> Iterator[Path]:
    """A base directory that is not there yet, in one that can be trusted."""
    parent = Path(f"/run/base-{os.getpid()}")
    parent.mkdir(mode=0o755)
    yield parent / "payload"
    os.system(f"umount -q {parent} {parent}/payload 2>/dev/null; rm -rf {parent}")  # noqa: S605
