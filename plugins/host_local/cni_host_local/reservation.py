"""What is in the file of a reservation."""

import os

from cnisdk import AttachmentKey, names

_CHUNK = 1 << 12


def content(owner: AttachmentKey) -> bytes:
    """Return what the file of a reservation says."""
    text = f"{owner.container_id}\r\n{owner.ifname}" if owner.ifname else owner.container_id
    return text.encode("utf-8", "surrogateescape")


def parse_owner(text: bytes) -> AttachmentKey:
    """Return whom the file of a reservation names; the interface is ``""`` in an old one."""
    container_id, _, ifname = text.decode("utf-8", "surrogateescape").partition("\r\n")
    return AttachmentKey(container_id, ifname)


def names_interface(owner: AttachmentKey) -> bool:
    """Say whether a plugin of today wrote that, and not an old one or an administrator.

    Who has the address in a file of the other kinds only its DEL can tell.
    """
    return bool(owner.ifname) and not names.ifname_problem(owner.ifname)


def read(path: str) -> bytes:
    """Return a file without what surrounds its text; ``b""`` if it is gone or torn."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        text = chunk = os.read(fd, _CHUNK)
        while len(chunk) == _CHUNK:
            chunk = os.read(fd, _CHUNK)
            text += chunk
        return text.strip(b" \t\r\n\0")
    finally:
        os.close(fd)
