"""The other end of a container's interface, on the host.

An interface that comes as a pair knows its other end by index, and by index alone: the same number
is another link in every namespace.  The end that is found must therefore lead back, to the same
index, in the container's namespace.
"""

import errno

from cnisdk.net import _uapi as k, link
from cnisdk.net.link import Link
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnetlink import attributes, to_signed, u32
from cnisdk.net.rtnl import RTNL, NetlinkError

_RTGENMSG = bytes(4)  # struct rtgenmsg: AF_UNSPEC, padded


def host_end(host: RTNL, netns: NetNS, ifname: str) -> Link | None:
    """Return the link on the host that is the other end of ``ifname`` in a container.

    None if the container has no such interface, or one without another end in ``host``: it may be
    no veth, or lead to somewhere else.
    """
    with RTNL(netns) as container:
        end = link.find(container, ifname)
    return None if end is None else other_end(host, end, netns)


def other_end(rtnl: RTNL, end: Link, netns: NetNS) -> Link | None:
    """Return the link in the namespace of ``rtnl`` that is the other end of ``end`` in ``netns``.

    The two namespaces are different ones.  None if there is no such link.
    """
    if not end.peer_index:
        return None
    try:
        found = link.by_index(rtnl, end.peer_index)
    except NetlinkError as err:
        if err.errno != errno.ENODEV:
            raise
        return None
    # Asked for last: the kernel numbers a namespace when it has to show a link that leads there.
    if (found.kind, found.peer_index) != (end.kind, end.index) or found.peer_netnsid < 0:
        return None
    return found if found.peer_netnsid == nsid(rtnl, netns) else None


def nsid(rtnl: RTNL, netns: NetNS) -> int:
    """Return by which number the namespace of ``rtnl`` knows ``netns``; see ip-netns(8).

    -1 if by none, as before any link leads there.
    """
    body = _RTGENMSG + u32(k.NETNSA_FD, netns.fd)
    answer = rtnl.query(f"get number of {netns.path or 'namespace'}", k.RTM_GETNSID, body)
    return to_signed(attributes(answer, len(_RTGENMSG)).get(k.NETNSA_NSID), -1)
