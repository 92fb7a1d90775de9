"""The machine that is measured on: namespaces of its own, that end with everything in them.

Whatever a benchmark makes (network namespaces, files, an agent) is inside, so that nothing of it
is left when `enter`'s process ends, however it does.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cnisdk.net import link
from cnisdk.net.libc import mount
from cnisdk.net.rtnl import RTNL

_OUTSIDE = "CNISDK_BENCH_OUTSIDE"
_FLAGS = ("--user", "--map-root-user", "--net", "--mount", "--ipc", "--uts")
_DIES = ("--pid", "--fork", "--kill-child", "--mount-proc")
_HIDDEN = ("/run", "/var/lib")
"""Fresh and empty inside."""


def inside() -> bool:
    """Say whether this process is on the private machine; asks the kernel."""
    outside = os.environ.get(_OUTSIDE)
    return bool(outside) and outside != os.readlink("/proc/self/ns/net")


def enter(arguments: Sequence[str]) -> NoReturn:
    """Start Python anew, with ``arguments``, in place of this process and on a private machine."""
    unshare = shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if unshare is None:
        sys.exit("make bench needs the program unshare, of util-linux")
    command = [unshare, *_FLAGS, *_DIES, "--"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        sys.exit(f"make bench needs unprivileged user namespaces: {probe.stderr.strip()}")
    environ = {**os.environ, _OUTSIDE: os.readlink("/proc/self/ns/net")}
    os.execve(unshare, [*command, sys.executable, *arguments], environ)


def prepare() -> None:
    """Hide the machine's own state and bring up the loopback."""
    if not inside():
        raise RuntimeError("this is not a private machine; nothing was changed")
    for path in _HIDDEN:
        mount("tmpfs", path, "tmpfs")
    Path("/run/netns").mkdir()
    with RTNL() as host:
        link.set_up(host, link.by_name(host, "lo").index)
