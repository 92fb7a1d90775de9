"""Reservations: a file for each address, with the attachment it belongs to.

A file is linked into its place with its content, so it is there whole or not at all, whatever is
killed when; two that want the same address cannot both have it.
"""

import fcntl
import os
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address

from cnisdk import AttachmentKey

LOCK = "lock"
_NEW = ".new"


class Store:
    """The reservations of one network, in ``directory``."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def reserve(self, key: AttachmentKey, usable: Iterable[IPv4Address]) -> IPv4Address | None:
        """Give the first free one of ``usable`` to an attachment; None if there is none."""
        os.makedirs(self.directory, exist_ok=True)
        with self._locked():
            new = f"{self.directory}/{_NEW}"
            with open(new, "w", encoding="utf-8") as file:
                file.write(_text(key))
            try:
                for address in usable:
                    with suppress(FileExistsError):
                        os.link(new, f"{self.directory}/{address}")
                        return address
            finally:
                os.unlink(new)
        return None

    def release(self, key: AttachmentKey) -> None:
        """Take an attachment's addresses back; it may have none."""
        if os.path.isdir(self.directory):
            with self._locked():
                for address in self.held_by(key):
                    os.unlink(f"{self.directory}/{address}")

    def release_all_but(self, valid: Container[AttachmentKey]) -> None:
        """Take back the addresses of every attachment that is not in ``valid``."""
        if os.path.isdir(self.directory):
            with self._locked():
                for address, text in self._entries():
                    container_id, _, ifname = text.partition("\n")
                    if AttachmentKey(container_id, ifname) not in valid:
                        os.unlink(f"{self.directory}/{address}")

    def held_by(self, key: AttachmentKey) -> list[str]:
        """Return the addresses of an attachment."""
        return [address for address, text in self._entries() if text == _text(key)]

    def has_free(self, usable: Iterable[IPv4Address]) -> bool:
        """Say whether the next reservation can succeed."""
        taken = {address for address, _ in self._entries()}
        return any(str(address) not in taken for address in usable)

    def _entries(self) -> list[tuple[str, str]]:
        found = []
        with suppress(FileNotFoundError):
            for name in os.listdir(self.directory):
                if name not in (LOCK, _NEW):
                    with open(f"{self.directory}/{name}", encoding="utf-8") as file:
                        found.append((name, file.read()))
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others out, those of other processes too."""
        fd = os.open(f"{self.directory}/{LOCK}", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                os.unlink(f"{self.directory}/{_NEW}")  # of one that was killed
            yield
        finally:
            os.close(fd)


def _text(key: AttachmentKey) -> str:
    return f"{key.container_id}\n{key.ifname}"
