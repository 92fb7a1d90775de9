"""The other end of `zygote`: waits on descriptor 0, and forks."""

import array
import contextlib  # noqa: F401 - what the plugins import is there before the fork
import ctypes
import fcntl  # noqa: F401
import gc
import hashlib  # noqa: F401
import ipaddress  # noqa: F401
import json
import os
import re  # noqa: F401
import resource
import select  # noqa: F401
import signal
import socket
import subprocess  # noqa: F401
import sys
from collections.abc import Callable  # noqa: F401
from types import CodeType
from typing import Any

CLONE_PARENT = 0x8000
CLONE_NEWNET = 0x40000000
SYS_CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]

_MOST = 1 << 19

libc = ctypes.PyDLL(None, use_errno=True)
"""Calls keep the interpreter's lock, so that after a clone the one thread there is has it."""


def serve(sock: socket.socket) -> None:
    """Start what is asked for until the session closes its end."""
    codes: dict[int, CodeType] = {}
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        data, ancillary, _, _ = sock.recvmsg(_MOST, socket.CMSG_SPACE(16))
        if not data:
            return
        request = json.loads(data)
        fds = array.array("i")
        for _, _, rights in ancillary:
            fds.frombytes(rights)
        key = request["key"]
        if key not in codes:
            codes[key] = compile(request["text"], "plugin", "exec")
        sock.send(str(start(codes[key], request, list(fds))).encode())
        for fd in fds:
            os.close(fd)


def start(code: CodeType, request: dict[str, Any], fds: list[int]) -> int:
    """Fork a plugin that is a child of the session, not of this process; return its pid."""
    pid: int = libc.syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        become(code, request, fds)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    return pid


def become(code: CodeType, request: dict[str, Any], fds: list[int]) -> None:
    """Be the plugin, and end."""
    status = 2
    try:
        os.setpgid(0, 0)
        for signum in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        stdout, stderr, netns, *stdin = fds
        if libc.setns(netns, CLONE_NEWNET) < 0:
            os.abort()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        if request["closed"]:
            os.close(0)
        else:
            os.dup2(stdin[0], 0)
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(request["environ"])
        if request["no_files"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        exec(code, {"__name__": "__main__"})  # noqa: S102 - our own text
    except SystemExit as err:
        status = err.code if isinstance(err.code, int) else 1
    except BaseException as err:
        os.write(2, f"{type(err).__name__}: {err}\n".encode())
    finally:
        os._exit(status)


if __name__ == "__main__":
    exec(sys.argv[1])  # noqa: S102 - our own text
    serve(socket.socket(fileno=0))
