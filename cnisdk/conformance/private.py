"""A private host to work on: a user namespace to be root in, and all else that plugins touch.

The network and mount namespaces keep the machine's own out of reach, the pid namespace takes
every process that is left with it.  Everything made inside is gone when the last process inside
is.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cnisdk.runtime.defaults import NETNS_DIR

_OUTSIDE = "CNISDK_OUTSIDE"
"""Variable that names the namespaces which a process inside is not in."""

_PREPARED = "CNISDK_PREPARED"
"""Variable that names the namespaces in which `prepare` has done its work."""

WRITABLE = ("/run", "/etc/cni")
"""Where plugins and tools write; empty inside, where the machine has them."""

STATE = ("/var/lib/cni", "/var/lib/cnisdk")
"""Where plugins and our executables keep what they make; there and empty inside, in any case."""

# What turns unprivileged user namespaces off: sysctl, the value that does, a value that does not.
_SWITCHES = (
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "15000"),
    ("user.max_net_namespaces", "0", "15000"),
)
_FLAGS = ("--net", "--mount", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


class RefusedError(Exception):
    """The machine does not let this user make a private host; says how to go on."""


def inside() -> bool:
    """Say whether this process is in a private host that `enter` made.

    Asks the kernel, since nothing but this keeps root off the machine itself.
    """
    outside = os.environ.get(_OUTSIDE, "").split()
    return bool(outside) and not set(outside) & set(_namespaces())


def enter(arguments: Sequence[str], *, what: str = "This") -> NoReturn:
    """Start Python anew, with ``arguments``, in place of this process and in a private host.

    Root does without the user namespace where that is off.  `prepare` comes next, inside.
    ``what`` is how a refusal calls that which is started.
    """
    again = shlex.join([sys.executable, *arguments])
    command = [*_unshare(what, again), "--", sys.executable, *arguments]
    os.execve(command[0], command, {**os.environ, **witness()})


def _unshare(what: str, again: str) -> list[str]:
    if sys.platform != "linux":
        raise RefusedError(f"{what} needs Linux: it makes network namespaces.")
    unshare = shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if unshare is None:
        raise RefusedError(f"{what} needs the program unshare, of util-linux.")
    plain = [unshare, *_FLAGS]
    candidates = [[*plain, "--user", "--map-root-user"]]
    if os.geteuid() == 0:
        candidates.append(plain)
    said = ""
    for command in candidates:
        said = _refusal(command)
        if not said:
            return command
    raise RefusedError(_how_to_go_on(said, what, again))


def _refusal(command: Sequence[str]) -> str:
    """Return why ``command`` makes no private host, ``""`` if it does.

    An unprivileged user can be let into a namespace and yet be allowed nothing there, so the
    probe does there what comes next: a mount, and a link.
    """
    ip = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ip"
    script = 'mount -t tmpfs tmpfs /run && "$0" link set lo up'
    probe = subprocess.run(
        [*command, "--", "/bin/sh", "-c", script, ip], capture_output=True, text=True, check=False
    )
    if probe.returncode == 0:
        return ""
    return probe.stderr.strip().rpartition("\n")[2] or f"exit status {probe.returncode}"


def witness() -> dict[str, str]:
    """Return the variable by which `inside` knows that a process has left these namespaces."""
    return {_OUTSIDE: " ".join(_namespaces())}


def _namespaces() -> list[str]:
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net")]


def prepare() -> None:
    """Make the host one to work on: directories of its own, and the loopback up.

    A second time, in a process that one inside has started, it does nothing.
    """
    from cnisdk.conformance import cover
    from cnisdk.net import link
    from cnisdk.net._uapi import MS_BIND, MS_REC, MS_SHARED
    from cnisdk.net.libc import mount
    from cnisdk.net.rtnl import RTNL

    if not inside():
        raise RefusedError("This is not a private host; nothing was changed.")
    if os.environ.get(_PREPARED) == " ".join(_namespaces()):
        return
    for path in WRITABLE:
        if os.path.isdir(path):
            cover.empty(path)
    for path in STATE:
        cover.add(path)
    # As `ip netns add` makes it when it is first used, which it does by mounting the directory
    # over itself: a namespace that was there before could not be deleted any more.
    os.makedirs(NETNS_DIR, exist_ok=True)
    mount(NETNS_DIR, NETNS_DIR, mountflags=MS_BIND)
    mount("", NETNS_DIR, mountflags=MS_SHARED | MS_REC)
    with RTNL() as host:
        link.set_up(host, link.by_name(host, "lo").index)
    os.environ[_PREPARED] = " ".join(_namespaces())


def _how_to_go_on(said: str, what: str, again: str) -> str:
    off = [
        f"  sudo sysctl {name}={usable}"
        for name, refusing, usable in _SWITCHES
        if _sysctl(name) == refusing
    ]
    if off:
        reason = "\n".join(["Allow them:", *off])
    else:
        reason = (
            "No sysctl forbids them here: it is the container or sandbox around this shell, which\n"
            "needs a seccomp profile that allows unshare(2)."
        )
    return (
        f"{what} makes a host of its own in an unprivileged user namespace, which this machine\n"
        f"refuses ({said}).\n\n{reason}\n\n"
        f"Or run it as root; it stays in namespaces of its own:\n  sudo {again}"
    )


def _sysctl(name: str) -> str:
    path = Path("/proc/sys", *name.split("."))
    return path.read_text(encoding="ascii").strip() if path.exists() else ""
