"""Who has which addresses, without reading every reservation.

The reservations (`cni_host_local.store`) are the truth, and say who owns an address; finding what
an owner has would mean reading them all.  So ``<dataDir>/.index/<network>/<boot>/`` has

- ``<container id>:<ifname>``, a symbolic link for each owner whose target is the list of its
  files: made and read by one system call, never half written;
- ``files/<address>``, a hard link to each reservation that the index has taken in: as long as it
  is there, no other file can have the same inode;
- ``seal``.

All of it is outside of what the Go plugin walks through, and can be deleted at any time.

An index is worth nothing if others write past it, and the Go plugin does.  Nobody can reserve or
release without changing the modification time of the directory.  But the kernel's clock for
files ticks slowly: two changes can bear the same time.  So whoever is done with a change, still
under the lock, *seals* the directory: gives it a modification time in the past that no clock will
show again, and notes it in the index.  As long as the directory bears that time, nobody has
changed it, and what the index does not know does not exist.

Otherwise the index catches up: where a name has the same inode in the directory and in
``files/``, it is the same reservation, and nothing needs to be read.  What a call that was killed
has left undone is found in the same way, because an owner's entry tells of a file before there
is a link to it, and until the link has gone.

An index is of one boot, and each begins with none.  What becomes of those of earlier boots is
told in `cni_host_local.reboot`.
"""

import errno
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from cni_host_local import boot
from cni_host_local.reservation import parse_owner, read
from cnisdk import AttachmentKey, names

DIRECTORY = ".index"
FILES = "files"
SHARED = "shared"
"""Beside the boots: some of those who write here cannot know another's boot from their own."""

_NAME_MAX = 255
_SEAL = "seal"  # an owner's entry has a colon
_DRAFT = "draft"
_MANY = "*"
_TARGET_MAX = 4000  # bytes; PATH_MAX limits what a symbolic link can hold


class Index:
    """The index of one directory of reservations, for the holder of its lock.

    Every method raises OSError where there can be no index: a read-only disk, a file system
    without links, a directory that is a mount of its own, another's directory.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        parent, network = os.path.split(directory)
        self.root = os.path.join(parent, DIRECTORY, network)

    @property
    def path(self) -> str:
        """The directory of this boot."""
        return f"{self.root}/{boot.current()}"

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
        os.symlink(self._state(), f"{self.path}/{_SEAL}")

    def unseal(self) -> None:
        """Have the next call look for what has changed, whatever this one does."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{_SEAL}")

    def files(self, owner: AttachmentKey) -> list[str] | None:
        """Return the reservations that name exactly ``owner``; None if they are too many."""
        text = self._read(_entry(owner))
        if text == _MANY:
            return None
        return text.split("/") if text else []

    def note(self, owner: AttachmentKey, files: Iterable[str]) -> None:
        """Take in reservations of ``owner``: the entry first, then the links to the files."""
        files = list(files)
        if indexable(owner):
            try:
                os.symlink(_joined(files), f"{self.path}/{_entry(owner)}")
            except FileExistsError:
                if (before := self.files(owner)) is not None:
                    self._replace(_entry(owner), _joined(dict.fromkeys([*before, *files])))
        for name in files:
            os.link(f"{self.directory}/{name}", f"{self.path}/{FILES}/{name}")

    def forget(self, owner: AttachmentKey, files: Iterable[str]) -> None:
        """Take out what is not a reservation of ``owner`` any more, in the same order."""
        files = list(files)
        if indexable(owner) and (before := self.files(owner)) is not None:
            self._replace(_entry(owner), _joined(name for name in before if name not in files))
        for name in files:
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}/{FILES}/{name}")

    def catch_up(self, inodes: Mapping[str, int]) -> list[str]:
        """Make the index tell what the directory holds: ``inodes`` of all its reservations.

        Returns those that name nobody.
        """
        self._prepare()
        with suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{_DRAFT}")
        known = inodes_in(f"{self.path}/{FILES}")
        for name in known:
            if inodes.get(name) != known[name]:
                self.forget(parse_owner(read(f"{self.path}/{FILES}/{name}")), [name])
        torn = []
        owners: dict[AttachmentKey, list[str]] = {}
        for name in inodes:
            if known.get(name) != inodes[name]:
                if text := read(f"{self.directory}/{name}"):
                    owners.setdefault(parse_owner(text), []).append(name)
                else:
                    torn.append(name)
        for owner, files in owners.items():
            self.note(owner, files)
        return torn

    def _prepare(self) -> None:
        """Make the directory of this boot; before that, say if it need not be this boot's alone."""
        if not os.path.isdir(f"{self.path}/{FILES}"):
            os.makedirs(self.root, 0o700, exist_ok=True)
            if not boot.is_certain(self.root):
                with suppress(FileExistsError):
                    os.symlink("by several kernels or boot IDs", f"{self.root}/{SHARED}")
            os.makedirs(f"{self.path}/{FILES}", 0o700, exist_ok=True)

    def _state(self) -> str:
        """Return what changes with every change of the directory."""
        now = os.stat(self.directory)
        return f"{now.st_dev} {now.st_ino} {now.st_mtime_ns}"

    def _read(self, entry: str) -> str | None:
        try:
            return os.readlink(f"{self.path}/{entry}")
        except FileNotFoundError:
            return None

    def _replace(self, entry: str, text: str) -> None:
        """Write an entry at once: it tells of files that nothing else leads to."""
        path = f"{self.path}/{entry}"
        if not text:
            with suppress(FileNotFoundError):
                os.unlink(path)
            return
        draft = f"{self.path}/{_DRAFT}"
        os.symlink(text, draft)  # there is none: a call that leaves one does not seal
        os.rename(draft, path)


def indexable(owner: AttachmentKey) -> bool:
    """Say whether an index can have an entry for ``owner``: its name must do as a file's."""
    return (
        not names.container_id_problem(owner.container_id)
        and not (owner.ifname and names.ifname_problem(owner.ifname))
        and len(_entry(owner).encode()) <= _NAME_MAX
    )


def inodes_in(directory: str) -> dict[str, int]:
    """Return the files in ``directory``, but for symbolic links, and their inodes."""
    with os.scandir(directory) as entries:
        return {e.name: e.inode() for e in entries if e.is_file(follow_symlinks=False)}


def _joined(files: Iterable[str]) -> str:
    text = "/".join(files)
    return text if len(text) <= _TARGET_MAX else _MANY


def _entry(owner: AttachmentKey) -> str:
    return f"{owner.container_id}:{owner.ifname}"
