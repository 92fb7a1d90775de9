"""Run a command on a User-mode Linux: a kernel of its own, in a process of the caller's.

The guest sees the caller's files: its root is the caller's, read-only, under a layer in memory
that takes what is written and goes with the guest.  One directory it shares with the caller.
Needs Debian's packages user-mode-linux and kmod, and no privilege.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SHARED = "/media"
"""Where the guest has the directory that it shares with the caller."""

_MODULES = Path("/usr/lib/uml/modules")
_NAMES = ("veth", "bridge", "8021q", "nf_tables")
_TIMEOUT = 300.0
_MEMORY = "512M"

# The first is on the caller's files, the second on the layer over them.
_INIT = """\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
modprobe -d {directory}/modules -a overlay {names}
mount -t tmpfs layer /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/root
mount -t hostfs -o {directory}/shared none /mnt/root{shared}
exec chroot /mnt/root /bin/sh {shared}/second
"""
_SECOND = """\
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
ln -sf /proc/self/fd /dev/fd
ip link set lo up
cd {directory}
{command} >{shared}/output 2>&1 </dev/null
echo $? >{shared}/status
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
"""


class Done(NamedTuple):
    """How a command in the guest ended."""

    status: int | None
    """None if the guest did not come to that."""
    output: str
    """What the command printed; what the guest's kernel did, if the command printed nothing."""


def installed() -> bool:
    """Say whether there is a User-mode Linux, and modules for it."""
    return all(map(shutil.which, ("linux.uml", "modprobe"))) and _MODULES.is_dir()


def run(argv: Sequence[str], *, directory: Path, cwd: Path, env: Mapping[str, str]) -> Done:
    """Boot a guest, run ``argv`` there as root in ``cwd``, and switch it off again.

    ``directory`` is for the guest's files; what is in ``directory/shared`` is in `SHARED` there.
    """
    modules = directory / "modules" / "lib" / "modules"
    shared = directory / "shared"
    for made in (modules, shared):
        made.mkdir(parents=True, exist_ok=True)
    for version in _MODULES.glob("*"):
        (modules / version.name).symlink_to(version)
    words = {"directory": directory, "shared": SHARED, "names": " ".join(_NAMES)}
    init = directory / "init"
    init.write_text(_INIT.format(**words))
    init.chmod(0o755)
    command = ["env", "-i", *(f"{key}={value}" for key, value in env.items()), *argv]
    words |= {"directory": cwd, "command": shlex.join(command)}
    (shared / "second").write_text(_SECOND.format(**words))
    kernel = ["linux.uml", f"mem={_MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/"]
    kernel += ["ro", f"init={init}", "con=null", "con0=null,fd:1", "con1=null", "quiet"]
    try:
        console = subprocess.run(
            kernel,
            env={"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT,
            check=False,
        ).stdout
    except subprocess.TimeoutExpired as err:
        console = (err.stdout or b"") + f"\nnot ended after {_TIMEOUT:g} s".encode()
    status, output = shared / "status", shared / "output"
    return Done(
        int(status.read_text()) if status.exists() else None,
        (output.read_text() if output.exists() else "") or console.decode("utf-8", "replace"),
    )
