r"""The payload of an executable: a tree of files in one piece, as cnisdk/agent/unpack.c reads it.

::

    cnisdk-payload 1 <length of the index, 8 hexadecimal digits>\n
    d <mode> 0 0 <path>\n                       a directory, before what is in it
    f <mode> <offset> <size> <path>\n           a file
    ... the files

Modes are octal; offsets, from the start of the payload, and sizes hexadecimal.  Nothing is
compressed, since it is unpacked once and kept.  Files begin on a page, so that a file system that
shares blocks between files need not even copy them.  Names are sorted, no time and no owner is
kept: the same tree gives the same bytes, and the first 32 hexadecimal digits of their SHA-256 are
the identity of the payload.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096
_HEAD = "cnisdk-payload 1 {:08x}\n"


def pack(tree: Path) -> bytes:
    """Return the archive of ``tree``."""
    entries = [(path.relative_to(tree).as_posix(), path) for path in sorted(tree.rglob("*"))]
    # The offsets are of fixed width, so the length of the index does not depend on them.
    offset = _next_page(len(_HEAD.format(0)) + sum(map(len, _index(entries, 0))))
    index = b"".join(_index(entries, offset))
    archive = bytearray(_HEAD.format(len(index)).encode() + index)
    for _, path in entries:
        if not path.is_dir():
            archive += bytes(_next_page(len(archive)) - len(archive))
            archive += path.read_bytes()
    return bytes(archive)


def identity(payload: bytes) -> str:
    """Return the name of the directory that ``payload`` is unpacked to."""
    return hashlib.sha256(payload).hexdigest()[:32]


def _index(entries: list[tuple[str, Path]], offset: int) -> Iterator[bytes]:
    for name, path in entries:
        status = path.stat()
        if path.is_dir():
            yield f"d 755 0 0 {name}\n".encode()
            continue
        mode = 0o755 if status.st_mode & 0o100 else 0o644
        yield f"f {mode:o} {offset:016x} {status.st_size:016x} {name}\n".encode()
        offset = _next_page(offset + status.st_size)


def _next_page(offset: int) -> int:
    return -(-offset // PAGE) * PAGE
