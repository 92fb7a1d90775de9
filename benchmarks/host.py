"""A host and its containers: network namespaces with a path, as a runtime has them."""

import contextlib
import itertools
import subprocess
from collections.abc import Iterator

from cnisdk.net import link, netns
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL

_numbers = itertools.count(1)


class Namespace:
    """A network namespace with ``lo`` up."""

    def __init__(self) -> None:
        self.name = f"bench-{next(_numbers)}"
        self.path = f"/run/netns/{self.name}"
        netns.create(self.path)
        with NetNS.open(self.path) as ns, RTNL(ns) as rtnl:
            link.set_up(rtnl, link.by_name(rtnl, "lo").index)

    def close(self) -> None:
        """Take it away."""
        netns.delete(self.path)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Move the calling thread in for the length of the block."""
        with NetNS.open(self.path) as ns, ns.enter():
            yield

    def run(self, *argv: str) -> None:
        """Execute what has to succeed."""
        with self.inside():
            subprocess.run(argv, check=True)


class Host(Namespace):
    """The machine that a runtime works on; its containers go with it."""

    def __init__(self) -> None:
        super().__init__()
        self._containers: list[Namespace] = []

    def container(self) -> Namespace:
        """Return a new container's namespace."""
        self._containers.append(Namespace())
        return self._containers[-1]

    def close(self) -> None:
        """Take it away, and its containers."""
        for container in self._containers:
            container.close()
        super().close()
