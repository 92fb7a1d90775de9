"""Launchers, of both kinds, and agents."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.agent import native
from tests.netns.agent.agents import RunningAgent
from tests.netns.agent.launchers import Launcher


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> bytes | None:
    """The bytes of the compiled launcher without a trailer, None if nothing can compile it."""
    output = str(tmp_path_factory.mktemp("launcher") / "launcher")
    problems: list[str] = []
    if native.compile_launcher(output, report=problems.append) is not None:
        return Path(output).read_bytes()
    if "CI" in os.environ:
        pytest.fail(f"no C compiler here makes static files: {problems}")
    return None


@pytest.fixture(scope="session", params=["native", "python"])
def base(request: pytest.FixtureRequest, compiled: bytes | None) -> bytes:
    """The bytes of a launcher without a trailer."""
    if request.param == "python":
        return native.script(sys.executable)
    if compiled is None:
        pytest.skip("no C compiler here makes static files")
    return compiled


@pytest.fixture
def launcher(base: bytes, tmp_path: Path) -> Launcher:
    return Launcher(tmp_path, base)


@pytest.fixture(scope="session")
def quick(compiled: bytes | None) -> bytes:
    """The bytes of the quickest launcher that there is."""
    return compiled or native.script(sys.executable)


@pytest.fixture(scope="module")
def agent(quick: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """An agent that all tests of a module share."""
    with RunningAgent(tmp_path_factory.mktemp("agent"), quick) as agent:
        yield agent
