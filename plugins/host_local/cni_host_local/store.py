r"""Reservations on disk: a file per address, byte for byte as the Go plugin keeps them.

``<dataDir>/<network>/`` holds

- ``<address>``: who has it, ``<container id>\r\n<ifname>`` without a newline at the end, CRLF
  on every system; files of old releases hold the container's ID alone, and an administrator's,
  made to keep an address from containers, hold anything;
- ``last_reserved_ip.<set>``: the address given away last from the range set of that number;
- ``lock``: see `cni_host_local.lock`.

A reservation is written to a file that is none and then linked to its name, so it appears whole
or not at all, and never over another's.  It needs no fsync(2): no container outlives its
machine, and what a power failure makes of its reservation is empty or stale.  The Go plugin can
leave an empty file when it is killed; as it too writes under the lock, whoever holds the lock
knows that nobody is about to fill it, and takes it back.

Nothing else is in that directory.  What makes most calls cheap is beside it, see
`cni_host_local.index`, and can be missing without harm.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from cni_host_local import reboot
from cni_host_local.index import Index, indexable, inodes_in
from cni_host_local.lock import FILE as LOCK, Lock
from cni_host_local.range import Address, parse_address
from cni_host_local.reservation import content, names_interface, parse_owner, read
from cnisdk import AttachmentKey

if TYPE_CHECKING:
    from cnisdk import ValidAttachments

DATA_DIR = "/var/lib/cni/networks"
LAST_RESERVED = "last_reserved_ip."

_DRAFT = ".reservation"  # is no address, so nobody takes it for a reservation

_PROBES = 64
"""So many addresses are tried one by one before all that are taken are listed."""


class Changes(NamedTuple):
    """Files of one owner that have come and gone."""

    add: list[str]
    remove: list[str]


def _write_all(fd: int, data: bytes, path: str) -> None:
    """Write to ``path`` opened as ``fd``, which write(2) itself does not name in an error."""
    try:
        written = os.write(fd, data)
    except OSError as err:
        err.filename = path
        raise
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _is_address(name: str) -> bool:
    try:
        parse_address(name)
    except ValueError:
        return False
    return True


class Store:
    """The reservations of one network.

    Everything but `exists` and `locked` is for holders of the lock.
    """

    def __init__(self, data_dir: str, network: str) -> None:
        self.path = os.path.join(data_dir or DATA_DIR, network)
        self._index = Index(self.path)
        self._indexed = False
        """Whether the index says what the files do; only ever true under the lock."""

    def exists(self) -> bool:
        """Say whether anything was ever reserved."""
        return os.path.isdir(self.path)

    @contextmanager
    def locked(self, *, reclaim: bool | None = None) -> Iterator[list[str]]:
        """Hold the network's lock; makes the directory where there is none.

        The first to say whether to ``reclaim`` what is older than this boot decides for all that
        is: it is released, and yielded, or taken for reservations of this boot.
        """
        if not self.exists():
            os.makedirs(self.path, 0o755, exist_ok=True)
        with Lock(self.path):
            reclaimed = [] if reclaim is None else self._after_reboot(release=reclaim)
            self._open_index()
            try:
                yield reclaimed
            finally:
                self._close_index()

    # -- reserving -------------------------------------------------------------------------

    def reserve(self, candidates: Iterable[Address], owner: AttachmentKey) -> Address | None:
        """Reserve the first of ``candidates`` that is free; None if none is."""
        with self._changing(owner) as changes:
            draft = self._draft(content(owner))
            try:
                address = self._link_first(draft, candidates)
            finally:
                os.unlink(draft)  # if it stays, the index is not believed, and a scan removes it
            if address is not None:
                changes.add.append(str(address))
        return address

    def release(self, owner: AttachmentKey) -> None:
        """Release whatever ``owner`` has, in any range.

        Files that name the container alone go if none names the interface too.
        """
        old = AttachmentKey(owner.container_id, "")
        failures = (
            self._remove(owner, names)
            if (names := self._files(owner))
            else self._remove(old, self._files(old))
        )
        if failures:
            raise failures[0]

    def release_address(self, address: Address, owner: AttachmentKey) -> None:
        """Release ``address`` if it is still ``owner``'s."""
        if self._read(str(address)) != content(owner):
            return
        if failures := self._remove(owner, [str(address)]):
            raise failures[0]

    def keep_only(self, valid: "ValidAttachments") -> list[OSError]:
        """Release what no attachment in ``valid`` owns; return what could not be released.

        A file that names no interface stays: it may be an administrator's.
        """
        failures = []
        for owner, names in self._scan().items():
            if names_interface(owner) and owner not in valid:
                failures += self._remove(owner, [name for name in names if _is_address(name)])
        return failures

    # -- looking ---------------------------------------------------------------------------

    def owned(self, owner: AttachmentKey) -> list[Address]:
        """Return the addresses of ``owner``, those of files naming the container alone included."""
        names = self._files(owner) + self._files(AttachmentKey(owner.container_id, ""))
        return [parse_address(name) for name in names if _is_address(name)]

    def at_most(self) -> int:
        """Return a number that there are not more reservations than."""
        return len(os.listdir(self.path))

    def reserved(self) -> set[Address]:
        """Return all addresses for which there is a file, whoever owns it."""
        return {parse_address(name) for name in os.listdir(self.path) if _is_address(name)}

    def last_reserved(self, set_index: int) -> Address | None:
        """Return the address that was given away last from a range set, None if unknown."""
        try:
            return parse_address(self._read(f"{LAST_RESERVED}{set_index}").decode())
        except (ValueError, OSError):
            return None  # the turn starts over, nothing is lost

    def set_last_reserved(self, set_index: int, address: Address) -> None:
        """Remember the address that was given away last from a range set.

        Nothing but the order of turns depends on it, so it is simply written over.
        """
        text = str(address).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        path = f"{self.path}/{LAST_RESERVED}{set_index}"
        fd = os.open(path, flags, 0o600)
        try:
            _write_all(fd, text, path)
            os.ftruncate(fd, len(text))
        finally:
            os.close(fd)

    def _files(self, owner: AttachmentKey) -> list[str]:
        """Return the files that name exactly ``owner``."""
        if self._indexed and indexable(owner):
            names = self._index.files(owner)
            wrong = [name for name in names or () if self._read(name) != content(owner)]
            if wrong:
                names = self._files_of_edited(owner, wrong)
            if names is not None:
                return names
        return self._scan().get(owner, [])

    # -- index -----------------------------------------------------------------------------

    def _after_reboot(self, *, release: bool) -> list[str]:
        """Deal with what is older than this boot; return the addresses that were released."""
        released = []
        try:
            if not reboot.earlier(self._index):
                return []
            for name in reboot.outlived(self._index) if release else ():
                if _is_address(name):
                    with suppress(OSError):  # stays, as a reservation of this boot
                        text = self._read(name)
                        if text and not names_interface(parse_owner(text)):
                            continue  # may be an administrator's
                        self._unlink(name)
                        released.append(name)
            reboot.forget(self._index)
        except OSError:
            return released  # where there can be no index
        return released

    def _open_index(self) -> None:
        """Make the index tell what the files do, unless there can be none."""
        try:
            if not self._index.is_current():
                for name in self._index.catch_up(self._reservations()):
                    if _is_address(name):
                        self._unlink(name)
        except OSError:
            self._indexed = False  # every look-up reads all files, as the Go plugin does
        else:
            self._indexed = True

    def _files_of_edited(self, owner: AttachmentKey, names: Iterable[str]) -> list[str] | None:
        """Return the files of ``owner`` once those are read that somebody has written into."""
        self._indexed = False
        try:
            self._index.forget(owner, names)
            self._index.unseal()
            self._open_index()
            return self._index.files(owner) if self._indexed else None
        except OSError:
            return None

    def _close_index(self) -> None:
        if self._indexed:
            with suppress(OSError):  # not sealed: the next call makes it anew
                if not self._index.is_current():
                    self._index.seal()
        self._indexed = False

    @contextmanager
    def _changing(self, owner: AttachmentKey) -> Iterator[Changes]:
        """Change reservations of ``owner``; what the block says it did gets into the index.

        A block that is left by an exception leaves an index that is not believed.
        """
        indexed, self._indexed = self._indexed, False
        changes = Changes([], [])
        yield changes
        if not indexed:
            return
        try:
            if changes.add:
                self._index.note(owner, changes.add)
            if changes.remove:
                self._index.forget(owner, changes.remove)
        except OSError:
            return
        self._indexed = True

    # -- files -----------------------------------------------------------------------------

    def _scan(self) -> dict[AttachmentKey, list[str]]:
        """Read all reservations; what killed calls have left is taken back on the way."""
        owners: dict[AttachmentKey, list[str]] = {}
        for name in self._reservations():
            if text := self._read(name):
                owners.setdefault(parse_owner(text), []).append(name)
            elif _is_address(name):
                self._unlink(name)
        return owners

    def _reservations(self) -> dict[str, int]:
        """Return all files that may be reservations, and their inodes, without reading them."""
        inodes = inodes_in(self.path)
        if inodes.pop(_DRAFT, None):
            self._unlink(_DRAFT)
        inodes.pop(LOCK, None)
        return {k: v for k, v in inodes.items() if not k.startswith(LAST_RESERVED)}

    def _read(self, name: str) -> bytes:
        return read(f"{self.path}/{name}")

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{name}")

    def _remove(self, owner: AttachmentKey, names: Iterable[str]) -> list[OSError]:
        """Remove files that name ``owner``, going on after a failure; return what failed."""
        failures = []
        with self._changing(owner) as changes:
            for name in names:
                try:
                    self._unlink(name)
                except OSError as err:
                    failures.append(err)
                else:
                    changes.remove.append(name)
        return failures

    def _link_first(self, draft: str, candidates: Iterable[Address]) -> Address | None:
        """Link ``draft`` to the first of ``candidates`` that is free."""
        taken: set[str] = set()
        for tried, address in enumerate(candidates):
            if tried == _PROBES:
                taken = set(os.listdir(self.path))
            if str(address) not in taken:
                with suppress(FileExistsError):
                    os.link(draft, f"{self.path}/{address}")
                    return address
        return None

    def _draft(self, data: bytes) -> str:
        """Write a file that has no meaning yet and return its path."""
        path = f"{self.path}/{_DRAFT}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except FileExistsError:
            os.unlink(path)  # not truncated: a killed call may have linked it to an address
            fd = os.open(path, flags, 0o600)
        try:
            _write_all(fd, data, path)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        return path
