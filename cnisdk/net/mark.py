"""What says to which attachment an object on the host belongs: a comment, an alias.

It begins with a hash of the network's name and one of interface and container, as the Go
reference plugins write it into nftables, and goes on in words for whoever reads it.  The hashes
are compared, never the words, which are cut.
"""

from cnisdk.net.sha512 import hexdigest

_MAX = 128  # bytes of a comment that nft(8) takes


def of(network: str, ifname: str, container_id: str) -> str:
    """Return an attachment's mark."""
    said = f"net: {network}, if: {ifname}, id: {container_id}"
    return f"{key(network, ifname, container_id)}, {said}".replace('"', "")[:_MAX]


def key(network: str, ifname: str, container_id: str) -> str:
    """Return what the attachment's marks, and no others, begin with."""
    return f"{network_key(network)}{hexdigest(f'{ifname}:{container_id}', 16)}"


def network_key(network: str) -> str:
    """Return what the marks of all the network's attachments begin with."""
    return f"{hexdigest(network, 16)}-"
