r"""Reservations on disk: a file per address, byte for byte as the Go plugin keeps them.

``<dataDir>/<network>/`` holds

- ``<address>``: who has it, ``<container id>\r\n<ifname>`` without a newline at the end, CRLF
  on every system; files of old releases hold the container's ID alone;
- ``last_reserved_ip.<set>``: the address given away last from the range set of that number;
- ``lock``: see `cni_host_local.lock`.

A reservation is written to a file that is none and then linked to its name, so it appears whole
or not at all, and never over another's.  It needs no fsync(2): no container outlives its
machine.  The Go plugin can leave an empty file when it is killed; as it too writes under the
lock, whoever holds the lock knows that nobody is about to fill it, and takes it back.

Nothing else is in that directory.  What makes most calls cheap is beside it, see
`cni_host_local.index`, and can be missing or wrong without harm.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from cni_host_local.index import Index, indexable
from cni_host_local.lock import FILE as LOCK, Lock
from cni_host_local.range import Address, parse_address
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


def content(owner: AttachmentKey) -> bytes:
    """Return what the file of a reservation says."""
    text = f"{owner.container_id}\r\n{owner.ifname}" if owner.ifname else owner.container_id
    return text.encode("utf-8", "surrogateescape")


def parse_owner(text: bytes) -> AttachmentKey:
    """Return whom the file of a reservation names; the interface is ``""`` in an old one."""
    container_id, _, ifname = text.decode("utf-8", "surrogateescape").partition("\r\n")
    return AttachmentKey(container_id, ifname)


def _write_all(fd: int, data: bytes) -> None:
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
    def locked(self) -> Iterator[None]:
        """Hold the network's lock; makes the directory where there is none."""
        if not self.exists():
            os.makedirs(self.path, 0o755, exist_ok=True)
        with Lock(self.path):
            self._open_index()
            try:
                yield
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

        A file that names a container alone stays while any attachment of the container does.
        """
        failures = []
        for owner, names in self._scan().items():
            keep = owner in valid if owner.ifname else valid.has_container(owner.container_id)
            if not keep:
                failures += self._remove(owner, [name for name in names if _is_address(name)])
        return failures

    # -- looking ---------------------------------------------------------------------------

    def owned(self, owner: AttachmentKey) -> list[Address]:
        """Return the addresses of ``owner``, those of files naming the container alone included."""
        names = self._files(owner) + self._files(AttachmentKey(owner.container_id, ""))
        return [parse_address(name) for name in names if _is_address(name)]

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
        fd = os.open(f"{self.path}/{LAST_RESERVED}{set_index}", flags, 0o600)
        try:
            os.write(fd, text)
            os.ftruncate(fd, len(text))
        finally:
            os.close(fd)

    def _files(self, owner: AttachmentKey) -> list[str]:
        """Return the files that name exactly ``owner``."""
        if self._indexed and indexable(owner):
            names = self._index.files(owner)
            if names is not None:
                if all(self._read(name) == content(owner) for name in names):
                    return names
                # Somebody wrote into a file by hand.
                self._index.unseal()
                self._indexed = False
        return self._scan().get(owner, [])

    # -- index -----------------------------------------------------------------------------

    def _open_index(self) -> None:
        """Make the index tell what the files do, unless there can be none."""
        try:
            if not self._index.is_current():
                self._index.rebuild({o: n for o, n in self._scan().items() if indexable(o)})
        except OSError:
            self._indexed = False  # every look-up reads all files, as the Go plugin does
        else:
            self._indexed = True

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
        if indexed and indexable(owner) and (changes.add or changes.remove):
            try:
                self._index.update(owner, add=changes.add, remove=changes.remove)
            except OSError:
                return
        self._indexed = indexed

    # -- files -----------------------------------------------------------------------------

    def _scan(self) -> dict[AttachmentKey, list[str]]:
        """Read all reservations; what killed calls have left is taken back on the way."""
        owners: dict[AttachmentKey, list[str]] = {}
        with os.scandir(self.path) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in names:
            if name == _DRAFT:
                self._unlink(name)
            elif name != LOCK and not name.startswith(LAST_RESERVED):
                if text := self._read(name):
                    owners.setdefault(parse_owner(text), []).append(name)
                elif _is_address(name):
                    self._unlink(name)
        return owners

    def _read(self, name: str) -> bytes:
        """Return a file without what surrounds its text; ``b""`` if it is gone or torn."""
        try:
            fd = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            text = b""
            while chunk := os.read(fd, 1 << 12):
                text += chunk
            return text.strip(b" \t\r\n\0")
        finally:
            os.close(fd)

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
            _write_all(fd, data)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        return path
