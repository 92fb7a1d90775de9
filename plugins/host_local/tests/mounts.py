"""File systems that are there for a part of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnisdk.net import libc

MS_BIND = 0x1000


@contextmanager
def mounted(target: Path, fstype: str) -> Iterator[None]:
    """Have an empty file system at ``target``."""
    libc.mount("none", str(target), fstype)
    try:
        yield
    finally:
        libc.umount2(str(target))


@contextmanager
def covered(target: Path, source: Path) -> Iterator[None]:
    """Have one file in the place of another."""
    libc.mount(str(source), str(target), "", MS_BIND)
    try:
        yield
    finally:
        libc.umount2(str(target))
