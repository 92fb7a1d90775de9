"""Masquerade what containers send out of their subnets (``ipMasq``).

Two backends, "iptables" and "nftables", with the objects of the Go reference plugins, so that
either can delete what the other made.  Everything happens in the calling thread's network
namespace.  Tools are looked up in ``search_path``, given as PATH is.
"""

import errno
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Interface

from cnisdk.net import iptables, nft
from cnisdk.net.execute import find

Address = IPv4Interface | IPv6Interface

BACKENDS = ("iptables", "nftables")

_PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""What is wrong with us for now, and says nothing of whether iptables works here."""


def add(
    backend: str | None,
    ips: Collection[Address],
    *,
    network: str,
    ifname: str,
    container_id: str,
    search_path: str,
) -> None:
    """Masquerade what comes from ``ips`` and leaves their subnets.

    Without a ``backend``, iptables if it works here, else nftables; where iptables cannot be
    executed for now that is the error, or containers would have different backends.  Adding again
    changes nothing.  A call that fails may leave a part behind, which `delete` takes away.
    """
    if not ips:
        return

    def by_iptables() -> None:
        iptables.add(ips, network=network, container_id=container_id, search_path=search_path)

    def by_nft() -> None:
        nft.add(
            ips, network=network, ifname=ifname, container_id=container_id, search_path=search_path
        )

    if backend == "nftables":
        by_nft()
    elif backend == "iptables":
        by_iptables()
    elif backend is not None:
        raise OSError(errno.EINVAL, f"unknown masquerade backend {backend!r}")
    elif not iptables.available(search_path):
        by_nft()
    elif find("nft", search_path) is None:
        by_iptables()
    else:
        try:
            by_iptables()
        except OSError as err:
            if err.errno in _PASSING:
                raise
            with suppress(OSError):  # what iptables could not add it may not be able to delete
                iptables.delete(
                    ips, network=network, container_id=container_id, search_path=search_path
                )
            try:
                by_nft()
            except OSError as other:
                raise OSError(errno.EIO, f"neither backend works: {err}; {other}") from err


def delete(
    *,
    network: str,
    ifname: str,
    container_id: str,
    ips: Collection[Address] = (),
    keep: Collection[Address] = (),
    search_path: str,
) -> None:
    """Take back what `add`, or the reference, did for an attachment; with whatever backend.

    ``ips`` are the attachment's addresses as far as they are known.  When none is, all of the
    container's addresses in this network are meant but those to ``keep``, which its other
    interfaces still have.  Executes nothing, and makes nothing, where there is nothing.
    """
    failures = []
    try:
        nft.delete(
            network=network, ifname=ifname, container_id=container_id, search_path=search_path
        )
    except OSError as err:
        failures.append(err)
    try:
        iptables.delete(
            ips, keep=keep, network=network, container_id=container_id, search_path=search_path
        )
    except OSError as err:
        failures.append(err)
    _raise(failures)


def has(*, network: str, ifname: str, container_id: str) -> bool:
    """Say whether `delete` would find something, executing nothing.

    What legacy iptables has the kernel does not tell, and is not looked for.
    """
    return nft.has(network=network, ifname=ifname, container_id=container_id) or iptables.has(
        network=network, container_id=container_id
    )


def missing(
    ips: Collection[Address], *, network: str, ifname: str, container_id: str, search_path: str
) -> list[Address]:
    """Return those of ``ips`` that neither backend masquerades for the attachment."""
    found = nft.masqueraded(ips, network=network, ifname=ifname, container_id=container_id)
    rest = [ip for ip in ips if ip not in found]
    if rest:
        found = iptables.masqueraded(
            rest, network=network, container_id=container_id, search_path=search_path
        )
    return [ip for ip in rest if ip not in found]


def gc(*, network: str, valid: Collection[tuple[str, str]], search_path: str) -> None:
    """Delete what the network has for others than ``valid``: container ID and interface name.

    What iptables has is told apart by container only.
    """
    failures = []
    try:
        nft.gc(network=network, valid=valid, search_path=search_path)
    except OSError as err:
        failures.append(err)
    try:
        container_ids = {container_id for container_id, _ in valid}
        iptables.gc(network=network, container_ids=container_ids, search_path=search_path)
    except OSError as err:
        failures.append(err)
    _raise(failures)


def _raise(failures: list[OSError]) -> None:
    if len(failures) > 1:
        raise OSError(errno.EIO, "; ".join(map(str, failures))) from failures[0]
    if failures:
        raise failures[0]
