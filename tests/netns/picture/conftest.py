import pytest

from tests.host import Host
from tests.netns.picture.town import Town


@pytest.fixture
def town(host: Host) -> Town:
    """A node with the network ``web``, and nobody on it."""
    made = Town(host)
    made.network("web", "cni0", "10.88.0.0/16")
    return made
