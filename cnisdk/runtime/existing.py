"""What a container has before anybody attaches it."""

import sys

if sys.platform == "linux":
    from cnisdk.net import link
    from cnisdk.net.netns import NetNS
    from cnisdk.net.rtnl import RTNL


def has_interface(netns: str, ifname: str) -> bool:
    """Say whether the namespace at ``netns`` has such an interface; False if nobody can tell."""
    if sys.platform != "linux":
        return False
    try:
        with NetNS.open(netns) as space, RTNL(space) as container:
            return link.find(container, ifname) is not None
    except OSError:  # none there, or not for us to enter: plugins will say
        return False
