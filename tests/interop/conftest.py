"""An agent that serves our plugins, so that many calls take little time."""

import sys
from collections.abc import Iterator

import pytest

from cnisdk.agent import native
from tests.interop.makers import Ours
from tests.netns.agent.agents import RunningAgent


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    """Our plugins, which all tests of a module share."""
    directory = tmp_path_factory.mktemp("ours")
    output = directory / "launcher"
    compiled = native.compile_launcher(str(output)) is not None
    base = output.read_bytes() if compiled else native.script(sys.executable)
    with RunningAgent(directory, base) as agent:
        yield Ours(agent)
