import sys
from collections.abc import Iterator

import pytest

from tests.conformance.mutants.zygote import Zygote
from tests.host import ROOT

# A call, before anything is forked: what pydantic makes of the models when they are first used.
_WARM = """
import io, sys
sys.path[:0] = {path!r}
from cnisdk.runner import main, run
from cni_bridge import Bridge
from cni_host_local import HostLocal
for plugin in (Bridge, HostLocal):
    config = b'{{"cniVersion": "1.1.0", "name": "n", "ipam": {{"type": "none"}}}}'
    run(plugin, {{"CNI_COMMAND": "STATUS", "CNI_PATH": "/nowhere"}}, config, io.BytesIO())
"""


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Starts plugins that need the standard library alone."""
    with Zygote() as zygote:
        yield zygote


@pytest.fixture(scope="session")
def our_zygote() -> Iterator[Zygote]:
    """Starts our plugins."""
    path = [str(ROOT), *(str(path.parent) for path in ROOT.glob("plugins/*/pyproject.toml"))]
    assert sys.executable
    with Zygote(_WARM.format(path=path)) as zygote:
        yield zygote
