"""Two namespaces, sockets in them, and a second witness of what the kernel has."""

from collections.abc import Iterator

import pytest

from cnisdk.net import link
from cnisdk.net.link import Link
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL
from tests.host import Container, Host


@pytest.fixture
def ns(host: Host) -> Iterator[NetNS]:
    """The host's namespace."""
    with NetNS.open(host.path) as opened:
        yield opened


@pytest.fixture
def rtnl(ns: NetNS) -> Iterator[RTNL]:
    """A socket in the host's namespace."""
    with RTNL(ns) as opened:
        yield opened


@pytest.fixture
def container(host: Host) -> Container:
    return host.container()


@pytest.fixture
def inner_ns(container: Container) -> Iterator[NetNS]:
    """The container's namespace."""
    with NetNS.open(container.path) as opened:
        yield opened


@pytest.fixture
def inner(inner_ns: NetNS) -> Iterator[RTNL]:
    """A socket in the container's namespace."""
    with RTNL(inner_ns) as opened:
        yield opened


@pytest.fixture
def veth(rtnl: RTNL) -> Link:
    """One end of a veth pair, up and with carrier; the other is ``peer0``."""
    link.add_veth(rtnl, "veth0", "peer0", up=True)
    link.set_up(rtnl, link.by_name(rtnl, "peer0").index)
    return link.wait_up(rtnl, link.by_name(rtnl, "veth0").index, 5)
