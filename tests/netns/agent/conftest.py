"""Every test here runs against both launchers."""

import os
import sys
from pathlib import Path

import pytest

from cnisdk.agent import native
from tests.netns.agent.launchers import Launcher


@pytest.fixture(scope="session", params=["native", "python"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a launcher without a trailer."""
    if request.param == "python":
        return native.script(sys.executable)
    output = str(tmp_path_factory.mktemp("launcher") / "launcher")
    problems: list[str] = []
    if native.compile_launcher(output, report=problems.append) is None:
        reason = f"no C compiler here makes static files: {problems}"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(output).read_bytes()


@pytest.fixture
def launcher(base: bytes, tmp_path: Path) -> Launcher:
    return Launcher(tmp_path, base)
