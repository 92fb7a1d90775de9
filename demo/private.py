"""A private host: network and mount namespace, and a user namespace to be root in.

Everything made inside is gone when the last process inside is.
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

_OUTSIDE = "CNISDK_DEMO_OUTSIDE"
"""Variable that names the namespaces which the demo must not be in."""

# What turns unprivileged user namespaces off: sysctl, the value that does, a value that does not.
_SWITCHES = (
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "15000"),
    ("user.max_net_namespaces", "0", "15000"),
)


class RefusedError(Exception):
    """The machine does not let this user make a private host; says how to go on."""


def inside() -> bool:
    """Say whether this process is in a private host that `enter` made.

    Asks the kernel, since nothing but this keeps root's demo off the machine itself.
    """
    outside = os.environ.get(_OUTSIDE, "").split()
    return bool(outside) and not set(outside) & set(_namespaces())


def enter(arguments: Sequence[str]) -> NoReturn:
    """Start Python anew, with ``arguments``, in place of this process and in a private host.

    Root does without the user namespace where that is off.
    """
    if sys.platform != "linux":
        raise RefusedError("The demo needs Linux: it makes network namespaces.")
    unshare = shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if unshare is None:
        raise RefusedError("The demo needs the program unshare, of util-linux.")
    plain = [unshare, "--net", "--mount"]
    candidates = [[*plain, "--user", "--map-root-user"]]
    if os.geteuid() == 0:
        candidates.append(plain)
    said = ""
    for command in candidates:
        said = _refusal(command)
        if not said:
            command += ["--", sys.executable, *arguments]
            os.execve(unshare, command, _environ())
    raise RefusedError(_how_to_go_on(said))


def _refusal(command: Sequence[str]) -> str:
    """Return why ``command`` makes no private host, ``""`` if it does.

    An unprivileged user can be let into a namespace and yet be allowed nothing there, so the
    probe does there what the demo will do first.
    """
    first = [sys.executable, "-I", "-c", "from demo import private; private.prepare()"]
    probe = subprocess.run(
        [*command, "--", *first], env=_environ(), capture_output=True, text=True, check=False
    )
    if probe.returncode == 0:
        return ""
    return probe.stderr.strip().rpartition("\n")[2] or f"exit status {probe.returncode}"


def _environ() -> dict[str, str]:
    return {**os.environ, _OUTSIDE: " ".join(_namespaces())}


def _namespaces() -> list[str]:
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net")]


def prepare() -> None:
    """Make the host one to work on: a /run of its own and the loopback up."""
    if not inside():
        raise RefusedError("This is not a private host; nothing was changed.")
    mount("tmpfs", "/run", "tmpfs")
    with RTNL() as host:
        link.set_up(host, link.by_name(host, "lo").index)


def _how_to_go_on(said: str) -> str:
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
        "The demo makes a host of its own in an unprivileged user namespace, which this machine\n"
        f"refuses ({said}).\n\n"
        f"{reason}\n\n"
        "Or run the demo as root; it stays in namespaces of its own:\n"
        f"  sudo {sys.executable} -m demo"
    )


def _sysctl(name: str) -> str:
    path = Path("/proc/sys", *name.split("."))
    return path.read_text(encoding="ascii").strip() if path.exists() else ""
