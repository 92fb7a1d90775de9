"""What DEL has to take away that its configuration does not speak of.

The configuration of an ADD may have been edited since, or be damaged now.  The kernel is asked, and
nothing executed: one question where no table is there that could have something.  The tables of
legacy iptables cannot be asked this way, and are looked into only where the configuration says so.
"""

import errno
from typing import NamedTuple

from cnisdk import Attachment
from cnisdk.net import _uapi as k, nfnetlink


class Leftover(NamedTuple):
    """Whether an attachment has rules of either kind."""

    masquerade: bool
    spoofcheck: bool


def find(attachment: Attachment) -> Leftover:
    """Look for an attachment's rules in the calling thread's namespace.

    Who may not even look has not made any.
    """
    try:
        tables = nfnetlink.tables()
    except OSError as err:
        if err.errno not in (errno.EPERM, errno.EACCES):
            raise
        return Leftover(masquerade=False, spoofcheck=False)
    return Leftover(
        masquerade=not tables.isdisjoint(
            [
                (k.NFPROTO_INET, "cni_plugins_masquerade"),
                (k.NFPROTO_IPV4, "nat"),
                (k.NFPROTO_IPV6, "nat"),
            ]
        )
        and _is_masqueraded(attachment),
        # What is left of a half-made one is found by deleting it, which executes nothing either.
        spoofcheck=(k.NFPROTO_BRIDGE, "nat") in tables,
    )


def _is_masqueraded(attachment: Attachment) -> bool:
    from cnisdk.net import masquerade

    return masquerade.has(
        network=attachment.network,
        ifname=attachment.ifname,
        container_id=attachment.container_id,
    )
