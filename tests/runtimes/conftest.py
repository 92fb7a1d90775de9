"""A machine with our plugins, and what is to be true of it after each test."""

from pathlib import Path

import pytest

from cnisdk.build import executable
from cnisdk.build.executable import Options
from tests.host import ROOT
from tests.runtimes.machine import Machine

PLUGINS = [ROOT / "plugins" / "bridge", ROOT / "plugins" / "host_local"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of our executables, as ``cnisdk build`` makes them."""
    output = tmp_path_factory.mktemp("built")
    executable.build(PLUGINS, output, Options(unpack_dirs=("/run/cnisdk-payload",)))
    return output


@pytest.fixture(scope="module")
def machine(built: Path) -> Machine:
    """The machine of this session; one module's tests are all that a session has."""
    return Machine(built)
