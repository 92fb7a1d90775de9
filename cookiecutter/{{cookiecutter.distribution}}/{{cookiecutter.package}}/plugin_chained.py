"""The hooks."""

import errno
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from zlib import crc32

from cnisdk import Attachment, Plugin, PluginError, Result, collect
from cnisdk.net import route
from cnisdk.net.netns import NetNS
from cnisdk.net.route import Route
from cnisdk.net.rtnl import RTNL, NetlinkError

from {{ cookiecutter.package }}.config import Config

Network = IPv4Network | IPv6Network


class {{ cookiecutter.class_name }}(Plugin[Config]):
    """{{ cookiecutter.description }}.

    It follows the plugin that makes the interface, and lets what the container sends to certain
    networks disappear.
    """

    def add(self, config: Config, attachment: Attachment) -> Result:
        """Add a black hole for each network, and pass on the result that came."""
        result = config.require_prev_result()
        with RTNL(attachment.netns) as container:
            for network in config.deny:
                hole = _hole(network, attachment)
                route.add(container, hole)
                self.undo.push(_remove, attachment.netns, hole)
        return result

    def delete(self, config: Config, attachment: Attachment) -> None:
        """Remove the black holes; what went with the container's namespace is gone."""
        if (netns := attachment.netns_or_none) is not None:
            holes = [_hole(network, attachment) for network in config.deny]
            collect(*(partial(_remove, netns, hole) for hole in holes))

    def check(self, config: Config, attachment: Attachment) -> None:
        """Raise what is not as ADD left it."""
        config.require_prev_result()
        with RTNL(attachment.netns) as container:
            found = {(entry.dst, entry.priority, entry.type) for entry in route.dump(container)}
        holes = [_hole(network, attachment) for network in config.deny]
        missing = [h.dst for h in holes if (h.dst, h.priority, h.type) not in found]
        if missing:
            raise PluginError("the container is not kept away", ", ".join(map(str, missing)))


def _hole(network: Network, attachment: Attachment) -> Route:
    """Return the route; its priority tells the attachments of a container apart."""
    priority = 1 + crc32(attachment.ifname.encode()) % 1_000_000
    return Route(network, type=route.BLACKHOLE, priority=priority)


def _remove(netns: NetNS, hole: Route) -> None:
    with RTNL(netns) as container:
        try:
            route.delete(container, hole)
        except NetlinkError as err:
            if err.errno != errno.ESRCH:  # it is gone already
                raise
