"""The agent as a process: signals, limits, PID 1, taking over from itself.

SIGTERM and SIGINT end it gracefully.  SIGHUP makes it take over from itself: once a process on
trial has shown that the code as it is now can be loaded, and at a moment without a call, this one
executes the new code.  Process ID and listening socket stay; calls that come in between wait in
the socket's backlog, shorter than a launcher's patience.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from cnisdk import versions
from cnisdk.agent import init, installed, journal, limits, systemd
from cnisdk.agent.daemon import Agent
from cnisdk.agent.health import Health
from cnisdk.agent.listener import Listener, UnsafeDirectoryError, open_listener
from cnisdk.agent.protocol import SOCKET
from cnisdk.agent.queue import DIRECTORY, Queue
from cnisdk.agent.served import Plugins
from cnisdk.plugin import Plugin

TRIAL_TIMEOUT = 60.0
"""Seconds for new code to be loaded on trial."""

TRIAL_INTERVAL = 60.0
"""Seconds between two trials that nobody asked for."""

_TRIAL = "CNISDK_AGENT_TRIAL"

Load = Callable[[], Mapping[str, type[Plugin[Any]]]]


def main(
    *,
    path: str = SOCKET,
    load: Load = installed.load,
    health_address: str = "",
    queue_directory: str = DIRECTORY,
) -> int:
    """Serve what ``load`` returns until a signal ends it; return the exit status.

    ``load`` is called once, in the process that serves.
    """
    if os.environ.get(_TRIAL):
        return 0 if load() else 1
    if os.getpid() == 1:
        init.become()
    os.dup2(2, 1)  # what a hook prints is no answer of ours
    try:
        return _Process(path, load, health_address, queue_directory).run()
    except (OSError, ValueError, LookupError, UnsafeDirectoryError) as err:
        journal.write("error", "cannot start", error=str(err))
        return 1


class _Process:
    """The agent, and what is around it in a process."""

    def __init__(self, path: str, load: Load, health_address: str, queue_directory: str) -> None:
        limits.allow_many_fds()
        plugins = load()
        if not plugins:
            raise LookupError("no plugin is installed")
        installed.warm(list(plugins.values()))
        self.listener: Listener = open_listener(path)
        self.agent = Agent(
            self.listener.sock,
            plugins,
            queue=Queue(queue_directory),
            on_leak=self._renew_by_itself,
            on_turn=self._turn,
        )
        self._hung_up = False
        self._renewing = False
        self._renewed = -TRIAL_INTERVAL
        self._watchdog = systemd.watchdog_interval()
        self._fed = 0.0
        if health_address:
            Health(self.agent, health_address).start()
        journal.write("info", "starting", socket=path, plugins=_supported(plugins))

    def run(self) -> int:
        """Serve; return the exit status, unless new code takes this process over."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda number, _: self.agent.stop(signal.Signals(number).name))
        signal.signal(signal.SIGHUP, self._on_hangup)
        # What is loaded by now stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self.agent.serve(self._say_ready)
        if self.agent.when_idle:
            journal.write("info", "taking over from itself", why=self.agent.stopping)
            systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            self._execute()
        systemd.notify("STOPPING=1")
        journal.write("info", "stopped", why=self.agent.stopping)
        return 0

    def _on_hangup(self, signum: int, frame: object) -> None:
        # No more: a handler that starts a thread may have interrupted one that is being started.
        self._hung_up = True
        self.agent.ring()

    def _turn(self) -> None:
        if self._hung_up:
            self._hung_up = False
            self.renew("SIGHUP")
        self._feed_watchdog()

    def renew(self, why: str) -> None:
        """Have new code take over at the next moment without a call, if it can be loaded."""
        if not self._renewing and not self.agent.stopping:
            self._renewing = True
            try:
                threading.Thread(target=self._try, args=(why,), name="trial", daemon=True).start()
            except RuntimeError as err:
                self._renewing = False
                journal.write("error", "new code cannot be tried", error=str(err))

    def _renew_by_itself(self) -> None:
        if time.monotonic() - self._renewed > TRIAL_INTERVAL:
            self._renewed = time.monotonic()
            self.renew("hooks have leaked descriptors")

    def _try(self, why: str) -> None:
        from cnisdk.net import execute

        argv = [sys.executable, *sys.orig_argv[1:]]
        environ = {**os.environ, _TRIAL: "1"}
        try:
            status = execute.run(argv, env=environ, stderr_fd=2, timeout=TRIAL_TIMEOUT).status
        except OSError as err:
            journal.write("error", "new code cannot be tried", error=str(err))
            status = -1
        if status == 0:
            self.agent.stop(why, when_idle=True)
        else:
            journal.write("error", "new code does not load, the old serves on", status=status)
        self._renewing = False

    def _execute(self) -> None:
        self.listener.pass_on()
        # What is inheritable by mistake must not pile up.
        keep = {0, 1, 2, systemd.FIRST_FD, self.listener.lock_fd}
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd not in keep:
                with suppress(OSError):
                    os.close(fd)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def _say_ready(self) -> None:
        systemd.notify("READY=1")
        journal.write("info", "serving")

    def _feed_watchdog(self) -> None:
        if self._watchdog is None or self.agent.trouble:
            return
        now = time.monotonic()
        if now - self._fed > self._watchdog:
            self._fed = now
            systemd.notify("WATCHDOG=1")


def _supported(plugins: Plugins) -> dict[str, list[str]]:
    return {
        name: [v for v in versions.SUPPORTED if v in plugin.versions]
        for name, plugin in plugins.items()
    }
