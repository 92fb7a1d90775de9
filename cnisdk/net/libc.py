"""System calls that the standard library of our oldest Python lacks.

One function a call, named as its man page, arguments in the man page's order.  Every failure is
an OSError carrying errno and, where there is one, the path.  Nothing here retries, logs or
decides; that is for the callers.

Import budget: ctypes costs some milliseconds and is loaded by the first call that needs it; a
plugin's call needs none from Python 3.12 on, which has os.setns and os.unshare.
"""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

_libc: "ctypes.CDLL | None" = None


def _call(
    name: str,
    *args: "int | bytes | ctypes.c_ulong | ctypes.Array[ctypes.c_char] | None",
    path: str | None = None,
) -> int:
    global _libc  # loaded once; two threads at the same time at worst load it twice
    import ctypes

    if _libc is None:
        # use_errno: ctypes keeps a copy of errno per thread, so a failure cannot be
        # overwritten by the interpreter before we read it.
        _libc = ctypes.CDLL(None, use_errno=True)
    result: int = getattr(_libc, name)(*args)
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), path)
    return result


if sys.version_info >= (3, 12):
    setns = os.setns
    unshare = os.unshare
else:

    def setns(fd: int, nstype: int = 0) -> None:
        """Move the calling thread into the namespace ``fd`` refers to; see setns(2)."""
        _call("setns", fd, nstype)

    def unshare(flags: int) -> None:
        """Give the calling thread namespaces of its own; see unshare(2)."""
        _call("unshare", flags)


def mount(source: str, target: str, filesystemtype: str = "", mountflags: int = 0) -> None:
    """Attach ``source`` at ``target``; see mount(2)."""
    import ctypes

    _call(
        "mount",
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(filesystemtype) or None,
        ctypes.c_ulong(mountflags),
        None,
        path=target,
    )


def umount2(target: str, flags: int = 0) -> None:
    """Detach what is mounted at ``target``; see umount2(2)."""
    _call("umount2", os.fsencode(target), flags, path=target)


def statfs(path: str) -> int:
    """Return the type of the file system that has ``path``, its magic number; see statfs(2)."""
    import ctypes

    buffer = ctypes.create_string_buffer(512)  # struct statfs has 120 bytes on 64-bit machines
    _call("statfs", os.fsencode(path), buffer, path=path)
    # f_type comes first; it is an int on s390x and a long elsewhere, a magic number fits into both.
    size = 4 if os.uname().machine == "s390x" else ctypes.sizeof(ctypes.c_long)
    return int.from_bytes(buffer.raw[:size], sys.byteorder) & 0xFFFFFFFF
