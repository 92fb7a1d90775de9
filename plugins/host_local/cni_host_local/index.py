"""Who has which addresses, without reading every reservation.

The reservations (`cni_host_local.store`) are the truth, and say who owns an address; finding what
an owner has would mean reading them all.  So ``<dataDir>/.index/<network>/`` has a symbolic
link for each owner whose target is the list of its files: made and read by one system call,
never half written, and outside of what the Go plugin walks through.

An index is worth nothing if others write past it, and the Go plugin does.  Nobody can reserve or
release without changing the modification time of the directory.  But the kernel's clock for
files ticks slowly: two changes can bear the same time.  So whoever is done with a change, still
under the lock, *seals* the directory: gives it a modification time in the past that no clock will
show again, and notes it in the index.  As long as the directory bears that time, nobody has
changed it, and what the index does not know does not exist.  Otherwise the index is made anew.

A call killed between a change and the seal leaves a time that does not match.  The note names
the boot too: after a power failure index and reservations may not be of one moment.  All of it
can be deleted at any time.
"""

import errno
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache

from cnisdk import AttachmentKey, names

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_NAME_MAX = 255
_SEAL = "seal"  # an owner's entry has a colon
_MANY = "*"
_TARGET_MAX = 4000  # bytes; PATH_MAX limits what a symbolic link can hold


class Index:
    """The index of one directory of reservations, for the holder of its lock.

    Every method raises OSError where there can be no index: a read-only disk, a file system
    without symbolic links, another's directory.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        parent, network = os.path.split(directory)
        self.path = os.path.join(parent, ".index", network)

    def is_current(self) -> bool:
        """Say whether nobody has changed the directory since it was sealed."""
        return self._read(_SEAL) == self._state()

    def seal(self) -> None:
        """Note that the index tells what the directory holds now."""
        changed = os.stat(self.directory)
        past = changed.st_mtime_ns - 1 - int.from_bytes(os.urandom(3))
        os.utime(self.directory, ns=(changed.st_atime_ns, past))
        if os.stat(self.directory).st_mtime_ns >= changed.st_mtime_ns:
            raise OSError(errno.ENOTSUP, "modification time cannot be set", self.directory)
        self.unseal()
        self._write(_SEAL, self._state())

    def unseal(self) -> None:
        """Have the index made anew by the next call, whatever this one does."""
        self._write(_SEAL, "")

    def files(self, owner: AttachmentKey) -> list[str] | None:
        """Return the reservations that name exactly ``owner``; None if they are too many."""
        text = self._read(_entry(owner))
        if text == _MANY:
            return None
        return text.split("/") if text else []

    def update(
        self, owner: AttachmentKey, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> None:
        """Note that reservations of ``owner`` have come and gone."""
        before = self.files(owner)
        if before is not None:
            gone = set(remove)
            kept = [name for name in before if name not in gone]
            self._write(_entry(owner), _joined([*kept, *add]))

    def rebuild(self, owners: Mapping[AttachmentKey, Iterable[str]]) -> None:
        """Make the index tell what ``owners`` does; the seal stays broken until `seal`."""
        os.makedirs(self.path, 0o700, exist_ok=True)
        stale = set(os.listdir(self.path)) - {_SEAL}
        for owner, files in owners.items():
            entry, text = _entry(owner), _joined(files)
            if entry not in stale or self._read(entry) != text:
                self._write(entry, text)
            stale.discard(entry)
        for entry in stale:
            os.unlink(f"{self.path}/{entry}")

    def _state(self) -> str:
        """Return what changes with every change of the directory, and with every boot."""
        now = os.stat(self.directory)
        return f"{_boot_id()} {now.st_dev} {now.st_ino} {now.st_mtime_ns}"

    def _read(self, entry: str) -> str | None:
        try:
            return os.readlink(f"{self.path}/{entry}")
        except FileNotFoundError:
            return None

    def _write(self, entry: str, text: str) -> None:
        """Replace an entry, which as a rule was not there; an empty one is none."""
        path = f"{self.path}/{entry}"
        if text:
            with suppress(FileExistsError):
                os.symlink(text, path)
                return
        with suppress(FileNotFoundError):
            os.unlink(path)
        if text:
            os.symlink(text, path)


def indexable(owner: AttachmentKey) -> bool:
    """Say whether an index can have an entry for ``owner``: its name must do as a file's."""
    return (
        not names.container_id_problem(owner.container_id)
        and not (owner.ifname and names.ifname_problem(owner.ifname))
        and len(_entry(owner).encode()) <= _NAME_MAX
    )


@cache
def _boot_id() -> str:
    """Return what no other boot has; no process outlives one."""
    fd = os.open(_BOOT_ID, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 36).decode()
    finally:
        os.close(fd)


def _joined(files: Iterable[str]) -> str:
    text = "/".join(files)
    return text if len(text) <= _TARGET_MAX else _MANY


def _entry(owner: AttachmentKey) -> str:
    return f"{owner.container_id}:{owner.ifname}"
