"""What stays outside the private session: root as container runtimes need it.

The session is in a user namespace, where neither cgroups nor devices are to be had and so no
container runtime works.  If it was started by real root, `stay` leaves a process outside that
starts further sessions when it is asked to.  Each is in network, mount, pid, ipc, uts and cgroup
namespaces of its own, but in no user namespace.  Of the machine it has

- the files, under a layer in memory that takes what is written (`LAYER`);
- a cgroup in each hierarchy, which is the root of what it sees of them.

So all that a session leaves can be told, and goes with it whoever is killed.  The process outside
goes with the private session.
"""

import ctypes
import errno
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from cnisdk.conformance.private import witness

SOCKET = "CNISDK_REAL_ROOT"
"""Variable that names the socket to ask for a session."""

LAYER = Path("/layer")
"""Where a session sees what was written: ``upper`` has all files that are not the machine's."""

_CGROUPS = Path("/sys/fs/cgroup")
_PR_SET_PDEATHSIG = 1
_EVERYBODY = "4294967295"
_DYING = 10.0

# The namespace of cgroups begins where the shell is; in version 2, that has to be empty then.
_ENTER = """\
set -eu
for cgroup in $CNISDK_CGROUPS; do echo $$ >"$cgroup/cgroup.procs"; done
exec unshare --cgroup -- sh -euc '
for cgroup in $CNISDK_CGROUPS; do
  [ ! -d "$cgroup/session" ] || echo $$ >"$cgroup/session/cgroup.procs"
done
exec setpriv --pdeathsig KILL -- \\
  unshare --net --mount --ipc --uts --pid --fork --kill-child --mount-proc -- "$@"' sh "$@"
"""

# What is mounted below the root is the machine's own in the session too.
_LAYER = """\
set -eu
exec 9</proc/self/mounts
mount -t tmpfs layer /mnt
mkdir /mnt/upper /mnt/work /mnt/top /mnt/upper/old /mnt/upper/layer
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/top
while read -r _ path _ <&9; do
  path=$(printf %b "$path")
  case $path in
    /proc | /sys | /dev) mount --rbind "$path" "/mnt/top$path" ;;
    / | /proc/* | /sys/* | /dev/* | /run | /run/* | /mnt | /mnt/*) ;;
    *) mount --bind "$path" "/mnt/top$path" ;;
  esac
done
exec 9<&-
mount -t tmpfs shm /mnt/top/dev/shm
if [ -n "$CNISDK_HIERARCHIES" ]; then mount -t tmpfs cgroup /mnt/top/sys/fs/cgroup; fi
for name in $CNISDK_HIERARCHIES; do
  mkdir "/mnt/top/sys/fs/cgroup/$name"
  case $name in systemd) options=none,name=systemd ;; *) options=$name ;; esac
  mount -t cgroup -o "$options" cgroup "/mnt/top/sys/fs/cgroup/$name"
done
if [ -z "$CNISDK_HIERARCHIES" ]; then mount -t cgroup2 cgroup /mnt/top/sys/fs/cgroup; fi
mkdir -p "/mnt/top$CNISDK_SHARED"
mount --bind "$CNISDK_SHARED" "/mnt/top$CNISDK_SHARED"
mount --bind /mnt /mnt/top/layer
cd /mnt/top
pivot_root . old
umount -l /old
rmdir /old
cd "$CNISDK_CWD"
unset CNISDK_CGROUPS CNISDK_HIERARCHIES CNISDK_SHARED CNISDK_CWD
"$@" || exit $? # as init this shell takes in the orphans
exit 0
"""


class Done(NamedTuple):
    """How a session ended."""

    status: int
    output: str
    left: list[str]
    """What it left on the machine; it was taken away."""


def is_real_root() -> bool:
    """Say whether this process is root of the machine, and not of a user namespace."""
    uid_map = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return os.geteuid() == 0 and uid_map == ["0", "0", _EVERYBODY]


def stay(temporary: str) -> dict[str, str]:
    """Leave a process outside that serves until this one ends; return how to ask it.

    ``temporary`` is a directory of the machine that the session has too.
    """
    directory = Path(tempfile.mkdtemp(prefix="outside-", dir=temporary))
    path = directory / "socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    parent = os.getpid()
    if os.fork() == 0:
        _serve(listener, directory, parent)
    listener.close()
    return {SOCKET: str(path)}


def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Done:
    """Run ``argv`` in a session of real root and wait for its end.

    Its files are the machine's and it can change none, but those beside the socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(os.environ[SOCKET])
        asked = {"argv": list(argv), "env": dict(env), "cwd": str(cwd)}
        with sock.makefile("rw", encoding="utf-8") as stream:
            stream.write(json.dumps(asked) + "\n")
            stream.flush()
            answer = stream.readline()
    if not answer:
        return Done(-1, "the process outside has gone", [])
    return Done(*json.loads(answer))


# -- outside ---------------------------------------------------------------------------------


def _serve(listener: socket.socket, directory: Path, parent: int) -> NoReturn:
    """Start sessions until the parent ends; then end them and go."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # for those inside, who then end
        signal.signal(signal.SIGTERM, _end)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)  # who reads what pytest writes waits for the last writer
        while os.getppid() == parent:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection, directory), daemon=True).start()
        status = 0
    except SystemExit:
        status = 0
    finally:
        try:
            for session in list(_sessions):
                session.end()
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os._exit(status)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit


def _answer(connection: socket.socket, directory: Path) -> None:
    with connection, connection.makefile("rw", encoding="utf-8") as stream:
        asked = json.loads(stream.readline())
        session = _Session(directory)
        _sessions.append(session)
        try:
            done = session.run(asked)
        except OSError as err:
            done = Done(-1, f"no session: {err}", [])
        finally:
            session.end()
        stream.write(json.dumps(done) + "\n")


class _Session:
    """A session and its cgroups."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"cnisdk-{os.getpid()}-{next(_numbers)}"
        self.hierarchies = _hierarchies()
        self.cgroups = [_CGROUPS / name / self.name for name in self.hierarchies or [""]]
        self.process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def run(self, asked: Mapping[str, Any]) -> Done:
        for cgroup in self.cgroups:
            _make(cgroup, v2=not self.hierarchies)
        settings = {
            "CNISDK_CGROUPS": " ".join(map(str, self.cgroups)),
            "CNISDK_HIERARCHIES": " ".join(self.hierarchies),
            "CNISDK_SHARED": str(self.directory),
            "CNISDK_CWD": asked["cwd"],
        }
        self.process = subprocess.Popen(
            ["sh", "-c", _ENTER, "sh", "sh", "-c", _LAYER, "sh", *asked["argv"]],
            env={**asked["env"], **settings, **witness()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        output, _ = self.process.communicate()
        return Done(self.process.returncode, output, self.left())

    def left(self) -> list[str]:
        """Return processes that are still there, which none should be."""
        return [
            f"process {pid} in {path.parent}"
            for cgroup in self.cgroups
            for path in cgroup.rglob("cgroup.procs")
            for pid in path.read_text(encoding="ascii").split()
        ]

    def end(self) -> None:
        """End what runs, and take the cgroups away; a second time does nothing."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with self._lock:  # its own thread may be at it too
            for cgroup in self.cgroups:
                for directory, _, _ in os.walk(cgroup, topdown=False):
                    _remove(directory)


_sessions: list[_Session] = []
_numbers = itertools.count()


def _hierarchies() -> list[str]:
    """Return the names of all hierarchies of version 1; none where all is version 2."""
    found = {}  # in a session those of the machine are still mounted, below its own
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, path, kind, *_ = line.split()
        if kind == "cgroup" and path.startswith(f"{_CGROUPS}/"):
            found[path.removeprefix(f"{_CGROUPS}/")] = True
    return list(found)


def _remove(cgroup: str) -> None:
    """Remove a cgroup as soon as the last of those who were killed is gone from it."""
    deadline = time.monotonic() + _DYING
    while True:
        try:
            return os.rmdir(cgroup)
        except OSError as err:
            if err.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _make(cgroup: Path, *, v2: bool) -> None:
    cgroup.mkdir()
    if v2:
        (cgroup / "session").mkdir()
    elif (cgroup / "cpuset.cpus").exists():
        for name in ("cpuset.cpus", "cpuset.mems"):
            (cgroup / name).write_bytes((cgroup.parent / name).read_bytes())
        (cgroup / "cgroup.clone_children").write_text("1")
