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
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cni_host_local.lock import Lock
from cni_host_local.range import Address, parse_address
from cnisdk import AttachmentKey

if TYPE_CHECKING:
    from cnisdk import ValidAttachments

DATA_DIR = "/var/lib/cni/networks"
LAST_RESERVED = "last_reserved_ip."

# Neither is an address, so neither is taken for a reservation; what a killed call leaves is in
# nobody's way and overwritten by the next.
_DRAFT = ".reservation"
_DRAFT_LAST = ".last_reserved_ip"


def content(owner: AttachmentKey) -> bytes:
    """Return what the file of a reservation says."""
    return f"{owner.container_id}\r\n{owner.ifname}".encode()


def parse_owner(text: bytes) -> AttachmentKey:
    """Return whom the file of a reservation names; the interface is ``""`` in an old one."""
    container_id, _, ifname = text.decode("utf-8", "replace").partition("\r\n")
    return AttachmentKey(container_id, ifname)


def _is_address(name: str) -> bool:
    try:
        parse_address(name)
    except ValueError:
        return False
    return True


class Store:
    """The reservations of one network; all methods but `locked` are for holders of the lock."""

    def __init__(self, data_dir: str, network: str) -> None:
        self.path = os.path.join(data_dir or DATA_DIR, network)

    def exists(self) -> bool:
        """Say whether anything was ever reserved."""
        return os.path.isdir(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the network's lock; makes the directory where there is none."""
        os.makedirs(self.path, 0o755, exist_ok=True)
        with Lock(self.path):
            yield

    # -- reserving -------------------------------------------------------------------------

    def reserve(self, candidates: Iterable[Address], owner: AttachmentKey) -> Address | None:
        """Reserve the first of ``candidates`` that is free; None if none is."""
        draft = self._draft(_DRAFT, content(owner))
        try:
            for address in candidates:
                try:
                    os.link(draft, self._file(address))
                except FileExistsError:
                    continue
                return address
            return None
        finally:
            os.unlink(draft)

    def release(self, owner: AttachmentKey) -> None:
        """Release whatever ``owner`` has, in any range.

        Files that name the container alone go if none names the interface too.
        """
        exact, legacy = self._owned(owner)
        failures = self._unlink_all(exact or legacy)
        if failures:
            raise failures[0]

    def release_address(self, address: Address, owner: AttachmentKey) -> None:
        """Release ``address`` if it is still ``owner``'s."""
        if self._read(str(address)) == content(owner):
            self._unlink(str(address))

    def keep_only(self, valid: "ValidAttachments") -> list[OSError]:
        """Release what no attachment in ``valid`` owns; return what could not be released.

        A file that names a container alone stays while any attachment of the container does.
        """
        stale = []
        for name, text in self._scan():
            owner = parse_owner(text)
            keep = owner in valid if owner.ifname else valid.has_container(owner.container_id)
            if not keep and _is_address(name):
                stale.append(name)
        return self._unlink_all(stale)

    # -- looking ---------------------------------------------------------------------------

    def owned(self, owner: AttachmentKey) -> list[Address]:
        """Return the addresses of ``owner``, those of files naming the container alone included."""
        exact, legacy = self._owned(owner)
        return [parse_address(name) for name in exact + legacy if _is_address(name)]

    def reserved(self) -> set[str]:
        """Return the names of all files that stand for an address, whoever owns it."""
        return {name for name in os.listdir(self.path) if _is_address(name)}

    def reclaim(self) -> None:
        """Take back what killed calls have left."""
        for _ in self._scan():
            pass

    def last_reserved(self, set_index: int) -> Address | None:
        """Return the address that was given away last from a range set, None if unknown."""
        try:
            return parse_address(self._read(f"{LAST_RESERVED}{set_index}").decode())
        except (ValueError, OSError):
            return None  # the turn starts over, nothing is lost

    def set_last_reserved(self, set_index: int, address: Address) -> None:
        """Remember the address that was given away last from a range set."""
        draft = self._draft(_DRAFT_LAST, str(address).encode())
        os.rename(draft, os.path.join(self.path, f"{LAST_RESERVED}{set_index}"))

    # -- files -----------------------------------------------------------------------------

    def _owned(self, owner: AttachmentKey) -> tuple[list[str], list[str]]:
        """Return the files naming ``owner``, and those naming its container alone."""
        exact, legacy = [], []
        for name, text in self._scan():
            if text == content(owner):
                exact.append(name)
            elif text == owner.container_id.encode():
                legacy.append(name)
        return exact, legacy

    def _scan(self) -> Iterator[tuple[str, bytes]]:
        """Yield every reservation and whom it names; empty ones are taken back on the way."""
        with os.scandir(self.path) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in names:
            if name.startswith((".", LAST_RESERVED)):
                continue
            text = self._read(name)
            if text:
                yield name, text
            elif _is_address(name):
                self._unlink(name)

    def _file(self, address: Address) -> str:
        return f"{self.path}/{address}"

    def _read(self, name: str) -> bytes:
        """Return a file without what surrounds its text; ``b""`` if it is gone or torn."""
        try:
            fd = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.read(fd, 4096).strip(b" \t\r\n\0")
        finally:
            os.close(fd)

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{name}")

    def _unlink_all(self, names: Iterable[str]) -> list[OSError]:
        """Remove files, going on after a failure; return what failed."""
        failures = []
        for name in names:
            try:
                self._unlink(name)
            except OSError as err:
                failures.append(err)
        return failures

    def _draft(self, name: str, data: bytes) -> str:
        """Write a file that has no meaning yet and return its path."""
        self._unlink(name)  # never truncate: a killed call may have linked it to an address
        path = f"{self.path}/{name}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        finally:
            os.close(fd)
        return path
