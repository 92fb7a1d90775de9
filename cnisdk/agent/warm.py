"""An agent that nobody set up: left behind by one call for those that follow, for a while.

It is opted in to, by ``cnisdk build --warm SECONDS`` or by CNISDK_WARM=SECONDS in a caller's
environment; the variable wins where both are there, and 0 means none.  The first call, its answer
delivered, forks (`cnisdk.build.start`); the child comes here.  It listens on::

    /run/cnisdk-warm/<identity of the payload>/agent.sock
    $XDG_RUNTIME_DIR/cnisdk-warm/<identity of the payload>/agent.sock   of a user who is not root

where the launchers of that payload, and no others, look when no other agent listens.  So it never
serves another version.  Whoever is too late for the socket of such an agent ends without a word.

It has what the first caller had: user, capabilities, mounts.  A caller with another user or mount
namespace, or another root directory, is refused before its call is accepted, since it would be
attached with the wrong files, or not at all; its launcher makes one call.

It ends when its time is over, whatever happens: calls that run are given as long as with any agent
that stops, and then the kernel kills it.
"""

import errno
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cnisdk.agent import listener
from cnisdk.plugin import Plugin

if TYPE_CHECKING:
    from cnisdk.agent.connection import Connection

MAX_SECONDS = 24 * 60 * 60
MAX_LOG = 256 << 10
"""Bytes of log, which then starts anew: it is in memory, as all of /run."""

_OVER = "its time is over"
_GRACE = 10.0  # seconds that ending may take beyond what the agent gives to hooks
_MARGIN = 0.1  # seconds that the times of files may be behind the clock

Surroundings = tuple[tuple[int, int], ...]
Load = Callable[[], Mapping[str, type[Plugin[Any]]]]


def serve(load: Load, identity: str, seconds: int, *, loaded: float) -> None:
    """Be the agent for ``seconds``, in a process that holds nothing of its caller's any more.

    Returns when the time is over, at once if there is such an agent already.  ``loaded``
    is when the first of the plugins' modules was read, if they are files that may be replaced:
    no call is served by what has been.
    """
    ends = time.clock_gettime(time.CLOCK_BOOTTIME) + min(seconds, MAX_SECONDS)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    os.chdir("/")
    os.umask(0o022)
    runtime = runtime_directory()
    environ = {"PATH": os.environ["PATH"]} if "PATH" in os.environ else {}
    os.environ.clear()  # of the first call
    os.environ.update(environ)
    if os.readlink("/proc/self") != str(os.getpid()):
        return  # of another PID namespace: callers could not be looked at
    for path in sockets(identity, runtime):
        agent = _Agent(load, os.path.dirname(path), ends, loaded)
        try:
            listening = listener.open_listener(path, agent.prepare)
        except listener.UnsafeDirectoryError:
            continue
        except OSError as err:
            if err.errno == errno.EADDRINUSE:
                return
            continue
        agent.run(listening.sock)
        with suppress(OSError):
            os.unlink(path)  # the lock is still ours, so it is our socket
        return


def runtime_directory() -> str:
    """Return XDG_RUNTIME_DIR if nobody but this user can write there; after su(1) it is another's.

    ``""`` if there is none.
    """
    path = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    return path if status.st_uid == os.geteuid() and not status.st_mode & 0o022 else ""


def sockets(identity: str, runtime: str) -> list[str]:
    """Return where an agent for the payload may listen, ``runtime`` being XDG_RUNTIME_DIR."""
    bases = ("/run", runtime)
    return [f"{base}/cnisdk-warm/{identity}/agent.sock" for base in bases if base[:1] == "/"]


class _Agent:
    """The agent, and what ends it."""

    def __init__(self, load: Load, directory: str, ends: float, loaded: float) -> None:
        self._load = load
        self._directory = directory
        self._ends = ends
        self._loaded = loaded
        self._plugins: Mapping[str, type[Plugin[Any]]] = {}
        self._ours: Surroundings = ()

    def prepare(self) -> None:
        """Do all that a first call would have to wait for; most processes do not come so far."""
        self._open_log()
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(b"cnisdk-warm")
        from cnisdk.agent import daemon, installed, journal, limits

        del daemon  # imported for later
        try:
            limits.allow_many_fds()
            self._ours = surroundings("/proc/self")
            self._plugins = self._load()
            installed.warm(list(self._plugins.values()))
        except Exception:
            import traceback

            journal.write("error", "cannot serve", traceback=traceback.format_exc())
            raise
        gc.collect()
        gc.freeze()

    def _open_log(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(f"{self._directory}/log", flags, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)

    def run(self, sock: socket.socket) -> None:
        """Serve until the time is over, or a signal ends it."""
        from cnisdk.agent import daemon, journal
        from cnisdk.agent.queue import Queue

        self._agent = daemon.Agent(
            sock,
            self._plugins,
            queue=Queue(f"{self._directory}/queue"),  # never there: the system's is not ours
            on_leak=lambda: self._agent.stop("hooks have leaked descriptors"),
            on_turn=self._turn,
            look_at=self._look_at,
        )
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, lambda number, _: self._agent.stop(signal.Signals(number).name))
        left = max(0.0, self._ends - time.clock_gettime(time.CLOCK_BOOTTIME))
        timer = threading.Timer(left, self._agent.stop, [_OVER])
        timer.daemon = True
        timer.start()
        # The kernel's own, whatever becomes of us.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        longest = daemon.STOP_TIMEOUT + daemon.UNDO_TIMEOUT + _GRACE
        signal.setitimer(signal.ITIMER_REAL, left + longest)
        journal.write("info", "serving", seconds=round(left))
        self._agent.serve()
        journal.write("info", "stopped", why=self._agent.stopping)

    def _turn(self) -> None:
        """Look at the clock, which unlike the timer goes on while the machine sleeps."""
        if not self._agent.stopping and time.clock_gettime(time.CLOCK_BOOTTIME) >= self._ends:
            self._agent.stop(_OVER)
        if os.fstat(2).st_size > MAX_LOG:
            os.ftruncate(2, 0)

    def _look_at(self, connection: "Connection") -> None:
        """Refuse a caller that has other files or users than we; ProtocolError."""
        from cnisdk.agent.protocol import ProtocolError, Reason

        if self._loaded and changed_since(self._loaded - _MARGIN):
            self._agent.stop("the plugins have changed")
            raise ProtocolError("the plugins have changed", Reason.DRAINING)
        try:
            theirs = surroundings(f"/proc/{connection.pid}")
        except OSError as err:
            raise ProtocolError(f"cannot be looked at: {err}", Reason.FORBIDDEN) from err
        if theirs != self._ours:
            raise ProtocolError("lives in other namespaces", Reason.FORBIDDEN)


def surroundings(process: str) -> Surroundings:
    """Return what tells apart the user and mount namespace and the root of ``/proc/PID``."""
    found = (os.stat(f"{process}/{what}") for what in ("ns/user", "ns/mnt", "root"))
    return tuple((status.st_dev, status.st_ino) for status in found)


def changed_since(moment: float) -> bool:
    """Say whether a file that a module was read from was changed, or is gone.

    The executable is none: what it would be now is a matter of its identity.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__") if name != "__main__" else None
        try:
            if file and os.stat(file).st_ctime > moment:
                return True
        except OSError:
            return True
    return False
