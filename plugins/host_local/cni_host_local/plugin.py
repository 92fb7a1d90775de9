"""The hooks of host-local."""

import errno
import os

from cni_host_local import resolv_conf
from cni_host_local.allocator import Allocation, Allocator
from cni_host_local.config import Config, range_sets, requested
from cni_host_local.errors import LOST
from cni_host_local.range import Address
from cni_host_local.range_set import RangeSet
from cni_host_local.store import Store
from cnisdk import (
    DNS,
    Attachment,
    AttachmentKey,
    InvalidNetworkConfigError,
    IOFailureError,
    IPConfig,
    Plugin,
    PluginError,
    PluginNotAvailableError,
    Result,
    ValidAttachments,
)

_NAMED = 20
"""So many addresses are named in the log."""


class HostLocal(Plugin[Config]):
    """Gives containers addresses out of ranges, kept in files on this host."""

    default_config = {"ipam": {"type": "host-local", "subnet": "10.199.0.0/24"}}  # noqa: RUF012

    def add(self, config: Config, attachment: Attachment) -> Result:
        """Reserve one address of each range set, all under one lock."""
        if config.ipam is None:
            raise InvalidNetworkConfigError("IPAM config missing 'ipam' key", "$.ipam")
        sets = range_sets(config)
        wanted = requested(config, attachment.args, sets)
        dns = _dns(config)
        store = _store(config)
        with store.locked(reclaim=config.ipam.reclaim_after_reboot) as reclaimed:
            if reclaimed:
                self.log(_of_another_boot(store, reclaimed))
            got = [
                self._allocate(store, index, range_set, wanted[index], attachment.key)
                for index, range_set in enumerate(sets)
            ]
        ips = tuple(IPConfig(address=a.interface, gateway=a.range.gateway) for a in got)
        return Result(ips=ips, routes=config.ipam.routes or (), dns=dns)

    def delete(self, config: Config, attachment: Attachment) -> None:
        """Release what the attachment has, whatever the ranges are today."""
        store = _store(config)
        if store.exists():
            with store.locked():
                store.release(attachment.key)

    def check(self, config: Config, attachment: Attachment) -> None:
        """Find the reservations that the attachment lives on."""
        store = _store(config)
        owned: list[Address] = []
        if store.exists():
            with store.locked():
                owned = store.owned(attachment.key)
        if not owned:
            raise PluginError(
                f"host-local: Failed to find address added by container {attachment.container_id}",
                f"{store.path}: nothing names {attachment.container_id} {attachment.ifname}",
                code=LOST,
            )
        result = config.prev_result
        added = [ip.address.ip for ip in result.ips] if result is not None else []
        for range_set in range_sets(config):
            reserved = [address for address in owned if address in range_set]
            expected = [address for address in added if address in range_set]
            if not reserved or (expected and not set(expected) & set(reserved)):
                raise PluginError(
                    "host-local: reservation lost",
                    f"{store.path}: container {attachment.container_id} should have "
                    f"{_listed(expected) or f'an address of {range_set}'}, "
                    f"has {_listed(reserved) or 'none of them'}",
                    code=LOST,
                )

    def status(self, config: Config) -> None:
        """Say whether a set has run out, or the disk will not take a reservation."""
        if config.ipam is None:
            raise InvalidNetworkConfigError("IPAM config missing 'ipam' key", "$.ipam")
        sets = range_sets(config)
        store = _store(config)
        try:
            _dns(config)
            _writable(store.path)
            if not store.exists():
                return
            exhausted = _exhausted(sets, store)
            if exhausted:
                # No ADD will come after a 50, so what it would take back is taken back here.
                with store.locked(reclaim=config.ipam.reclaim_after_reboot) as reclaimed:
                    if reclaimed:
                        self.log(_of_another_boot(store, reclaimed))
                exhausted = _exhausted(sets, store)
        except (OSError, IOFailureError) as err:
            raise PluginNotAvailableError("host-local cannot reserve addresses", str(err)) from err
        if exhausted:
            raise PluginNotAvailableError(
                f"no IP addresses available in range set: {exhausted[0]}",
                "; ".join(map(str, exhausted)),
            )

    def gc(self, config: Config, valid: ValidAttachments) -> None:
        """Release what no valid attachment of this network owns."""
        store = _store(config)
        if not store.exists():
            return
        with store.locked():
            failures = store.keep_only(valid)
        if failures:
            raise IOFailureError(
                f"{len(failures)} addresses could not be released",
                "; ".join(map(str, failures)),
            )

    def validate(self, config: Config) -> None:
        """Raise what is wrong with the ranges; a runtime may give others, or all there are."""
        if config.ipam is not None and (config.ipam.subnet or config.ipam.ranges):
            range_sets(config)

    def _allocate(
        self,
        store: Store,
        index: int,
        range_set: RangeSet,
        wanted: Address | None,
        owner: AttachmentKey,
    ) -> Allocation:
        def reserved(address: Address) -> None:
            self.undo.push(_take_back, store, address, owner)

        try:
            return Allocator(range_set, store, index).allocate(owner, wanted, on_reserved=reserved)
        except PluginError as err:
            raise PluginError(
                f"failed to allocate for range {index}: {err.msg}", err.details, code=err.code
            ) from err


def _store(config: Config) -> Store:
    return Store((config.ipam and config.ipam.data_dir) or "", config.name)


def _take_back(store: Store, address: Address, owner: AttachmentKey) -> None:
    with store.locked():
        store.release_address(address, owner)


def _of_another_boot(store: Store, reclaimed: list[str]) -> str:
    some = ", ".join(sorted(reclaimed)[:_NAMED])
    more = f" and {len(reclaimed) - _NAMED} more" if len(reclaimed) > _NAMED else ""
    return f"host-local: {store.path}: free again, reserved before the reboot: {some}{more}"


def _dns(config: Config) -> DNS:
    path = config.ipam.resolv_conf if config.ipam else None
    if not path:
        return DNS()
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return resolv_conf.parse(file.read())
    except OSError as err:
        raise IOFailureError(
            f"open {path}: {(err.strerror or '').lower()}", "$.ipam.resolvConf"
        ) from err


def _exhausted(sets: list[RangeSet], store: Store) -> list[RangeSet]:
    most = store.at_most()
    small = [one for one in sets if one.size() <= most]
    taken = store.reserved() if small else set()
    return [
        one
        for one in small
        if sum(address in one and not one.is_gateway(address) for address in taken) >= one.size()
    ]


def _writable(path: str) -> None:
    """Raise what keeps a directory from being made, or a file from being made in it."""
    while not os.path.lexists(path):
        path = os.path.dirname(path) or "."
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    disk = os.statvfs(path)
    if disk.f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    # File systems without a limit have a total of 0.
    if (disk.f_blocks and not disk.f_bfree) or (disk.f_files and not disk.f_ffree):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _listed(addresses: list[Address]) -> str:
    return ", ".join(map(str, addresses))
