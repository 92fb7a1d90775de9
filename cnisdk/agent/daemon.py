"""The agent: one process that runs the hooks of every installed plugin.

A thread of the `Pool` accepts a connection, reads the request, which as a rule is there already,
and runs the hook.  The main thread, `Agent.serve`, never runs one: it reads the requests that
come slowly, until their deadline, and watches for callers that go away.  So a slow, silent or
hostile client costs one of a bounded number of sockets, and nothing else.

A call is accepted ('A') when it begins, or is parked behind another one for the same attachment,
and not before: a launcher that loses patience with a busy agent can still do without.  From the
request on the kernel reports a hang-up, which cancels the hook's token: the hook stops at its
next kernel call and is undone, and only then does a call for the same attachment begin.
"""

import os
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from cnisdk.agent import journal
from cnisdk.agent.calls import Calls
from cnisdk.agent.connection import Connection
from cnisdk.agent.connections import LARGE, Connections
from cnisdk.agent.deletes import QueuedDeletes
from cnisdk.agent.exclusive import Exclusive
from cnisdk.agent.metrics import Metrics
from cnisdk.agent.pool import Job, Pool
from cnisdk.agent.protocol import ProtocolError, Reason, Request
from cnisdk.agent.queue import Queue
from cnisdk.agent.served import Plugins, ServedCall

if sys.platform == "linux":
    import resource

MAX_READING = 256
"""Connections whose request is not whole; one more drops the one that has waited longest."""

MAX_CONNECTIONS = 2048
FDS_PER_CONNECTION: Final = 12
"""A socket, what comes through it, and what a hook opens."""

STOP_TIMEOUT = 20.0
"""Seconds that running hooks get to end when the agent stops."""
UNDO_TIMEOUT = 5.0
"""Seconds that they get after that to undo what they did."""
IDLE_TIMEOUT = 30.0
"""Seconds to wait for a moment without a call, before new ones wait in the backlog."""

DRAIN_TIMEOUT = 30.0
"""Seconds for the DELs that are queued, before calls are served beside them."""

STUCK = 10.0
"""Seconds without a turn of the loop after which the agent is stuck."""
STARVED = 60.0
"""Seconds in which hooks hold all threads, so that no call begins."""

_GLANCE = 1.0  # seconds between two looks at what nobody reports
_PAUSE = 0.1  # seconds to wait when descriptors have run out
_LOOK = 0.1  # seconds between two looks at requests that come slowly


class Agent:
    """Serves ``plugins`` to the launchers that connect to ``listener``.

    ``on_leak`` is called when hooks have leaked so many descriptors that this process had better
    be replaced, ``on_turn`` at every turn of the loop, at least once a second.  ``look_at`` raises
    ProtocolError for a caller that is not to be served here.
    """

    def __init__(
        self,
        listener: socket.socket,
        plugins: Plugins,
        *,
        queue: Queue | None = None,
        on_leak: Callable[[], object] = lambda: None,
        on_turn: Callable[[], object] = lambda: None,
        look_at: Callable[[Connection], object] = lambda connection: None,
    ) -> None:
        self.plugins = plugins
        self.metrics = Metrics()
        self.stopping = ""
        self.when_idle = False
        self._serving = False
        self._on_leak = on_leak
        self._on_turn = on_turn
        self._connections = Connections(self.metrics)
        self._exclusive: Exclusive[Job] = Exclusive()
        self._deletes = QueuedDeletes(queue or Queue(), plugins, self._exclusive, self._submit)
        self._calls = Calls(
            self._connections,
            self._exclusive,
            self._deletes,
            self.metrics,
            submit=self._submit,
            look_at=look_at,
            unwatch=self._unwatch,
            on_wait=self._give_turn_on,
        )
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_fds = limit // 2
        self._max_connections = min(MAX_CONNECTIONS, limit // 2 // FDS_PER_CONNECTION)
        self._turned = self._glanced = time.monotonic()
        self._resume_accepting_at = 0.0
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._bell, select.EPOLLIN)
        self._listener = listener
        listener.setblocking(False)
        self._pool = Pool(listener, self._serve, self._pause, self._thread_done)

    def stop(self, why: str, *, when_idle: bool = False) -> None:
        """End `serve` when the running hooks have ended; may be called anywhere.

        With ``when_idle`` at the first moment without a call, and the listening socket stays
        open for another process.
        """
        if not self.stopping or (self.when_idle and not when_idle):
            self.stopping, self.when_idle = why, when_idle
        self.ring()

    def serve(self, on_ready: Callable[[], object] = lambda: None) -> None:
        """Do what is queued, then serve until `stop`; hooks are done then, or given up."""
        self._drain()
        self._pool.listen(on=True)
        self._serving = True
        on_ready()
        while not self.stopping:
            self._turn(_GLANCE)
        if self.when_idle:
            self._serve_until_idle()
        if not self.when_idle:
            self._finish()

    @property
    def ready(self) -> bool:
        """Whether it serves: what is queued is done, and it has not been told to stop."""
        return self._serving and (not self.stopping or self.when_idle)

    @property
    def trouble(self) -> str:
        """What keeps the agent from serving, so that it had better be killed; ``""`` if nothing."""
        late = time.monotonic() - self._turned
        if late > STUCK:
            return f"the loop has not turned for {late:.0f} s"
        held = self._pool.held_for()
        if held > STARVED:
            return f"hooks have held all threads for {held:.0f} s"
        return ""

    def gauges(self) -> dict[str, float]:
        """Return what can be measured now, for `Metrics.text`."""
        return {
            "ready": int(self.ready),
            "connections": len(self._connections.open),
            "busy_attachments": len(self._exclusive),
            "parked_calls": self._exclusive.parked,
            "busy_threads": self._pool.busy,
            "waiting_jobs": self._pool.waiting,
        }

    # -- the loop ---------------------------------------------------------------------------

    def _turn(self, patience: float) -> None:
        if self._connections.reading:
            patience = min(patience, _LOOK)
        for fd, _ in self._epoll.poll(patience):
            try:
                self._handle(fd)
            except Exception:  # noqa: BLE001 - no client may end the loop
                journal.write("error", "internal error", traceback=traceback.format_exc())
                if (connection := self._connections.reading.get(fd)) is not None:
                    self._connections.refuse(connection, Reason.MALFORMED)
        now = self._turned = time.monotonic()
        if self._connections.reading:
            self._drop_slow(now)
        if self._resume_accepting_at and now > self._resume_accepting_at:
            self._resume_accepting_at = 0.0
            self._pool.listen(on=not self.stopping)
        if now - self._glanced > _GLANCE:
            self._glanced = now
            self._glance()
        self._on_turn()

    def _glance(self) -> None:
        """Look after what nobody reports."""
        if self._deletes.pending():
            self._pool.submit(self._deletes.drain)
        self._pool.look()
        try:
            leaked = len(os.listdir("/proc/self/fd")) > self._max_fds
        except OSError:
            leaked = True  # not even one is left to look with
        if leaked:
            self._on_leak()

    def _handle(self, fd: int) -> None:
        if fd == self._bell:
            os.eventfd_read(fd)
        elif (connection := self._connections.reading.get(fd)) is not None:
            if (call := self._read(connection)) is not None:
                self._pool.submit(partial(self._calls.begin, connection, call))
        elif (connection := self._connections.open.get(fd)) is not None and connection.hung_up():
            # Asked again: the event may be of a socket that had the same number a moment ago.
            connection.gone = True
            if (its := connection.call) is not None:
                its.token.cancel("the caller has gone")
                about = journal.about(its.call, its.network)
                journal.write("info", "the caller has gone", plugin=its.name, **about)

    def _drop_slow(self, now: float) -> None:
        for connection in list(self._connections.reading.values()):
            if connection.deadline <= now:
                self._connections.drop(connection, "sent no whole request in time", Reason.BUSY)
            elif len(self._connections.reading) > MAX_READING:
                self._connections.drop(
                    connection, "one of too many silent connections", Reason.BUSY
                )
            else:
                return

    def _read(self, connection: Connection) -> ServedCall | None:
        """Take what has come of a request; return the call once it is whole."""
        try:
            request = connection.read(self._give_turn_on)
            if connection.size > LARGE:
                self._connections.check_room_for_large()
            if request is None:
                return None
            name = self._plugin_name(request)
            fds = connection.descriptors(request)
        except ProtocolError as err:
            self._connections.drop(connection, str(err), err.reason)
            return None
        call = connection.call = ServedCall(self.plugins, name, request, fds)
        # From now on a hang-up is reported, for which no event need be asked.
        if self._connections.reading.pop(connection.fd, None) is None:
            self._epoll.register(connection.fd, select.EPOLLET)
        else:
            self._epoll.modify(connection.fd, select.EPOLLET)
        return call

    def _plugin_name(self, request: Request) -> str:
        name = os.path.basename(request.argv[0]) if request.argv else ""
        if name not in self.plugins:
            raise ProtocolError(f"asks for plugin {name!r}", Reason.UNKNOWN_PLUGIN)
        return name

    def ring(self) -> None:
        """Have the loop turn now; may be called anywhere, in a signal handler too."""
        os.eventfd_write(self._bell, 1)

    # -- beginning and end --------------------------------------------------------------------

    def _drain(self) -> None:
        """Do what is queued, or begin to serve beside it if that takes too long.

        No ADD comes before the DELs of its own attachment in any case; a hook that hangs at those
        of another is no reason to leave all of them without a network.
        """

        def drain() -> None:
            self._deletes.drain(going_on=lambda: not self.stopping)

        draining = threading.Thread(target=drain, name="queue", daemon=True)
        try:
            draining.start()
        except RuntimeError:
            drain()
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while draining.is_alive() and not self.stopping:
            if time.monotonic() > deadline:
                journal.write("warning", "queued DELs take long, calls are served beside them")
                return
            draining.join(_LOOK)
            self._turned = time.monotonic()
            self._on_turn()

    @property
    def _is_idle(self) -> bool:
        return not self._connections.open and not self._pool.busy

    def _serve_until_idle(self) -> None:
        """Serve on until no call is there; after a while without accepting new ones."""
        deadline = time.monotonic() + IDLE_TIMEOUT
        accepting = True
        while self.when_idle:
            if accepting and (self._is_idle or time.monotonic() > deadline):
                accepting = False
                deadline = time.monotonic() + STOP_TIMEOUT
                self._pool.listen(on=False)
            if not accepting and self._is_idle:
                return
            if not accepting and time.monotonic() > deadline:
                self._cancel_all()
                return
            self._turn(0.2)

    def _finish(self) -> None:
        self._pool.listen(on=False)
        self._resume_accepting_at = 0.0
        self._listener.close()  # launchers that wait in its backlog do without us, at once
        for connection in list(self._connections.reading.values()):
            self._connections.refuse(connection, Reason.DRAINING)
        self._wait_for_hooks(STOP_TIMEOUT)
        self._cancel_all()

    def _cancel_all(self) -> None:
        for connection in list(self._connections.open.values()):
            if connection.call is not None:
                connection.call.token.cancel("the agent stops")
        self._wait_for_hooks(UNDO_TIMEOUT)

    def _wait_for_hooks(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_idle and time.monotonic() < deadline:
            self._turn(0.2)

    # -- in a thread of the pool --------------------------------------------------------------

    def _serve(self, sock: socket.socket) -> None:
        """Serve a new connection, unless its request is still on its way."""
        connection = Connection(sock)
        self._connections.open[connection.fd] = connection
        if not connection.is_trusted:
            self._connections.drop(connection, f"has uid {connection.uid}", Reason.FORBIDDEN)
        elif len(self._connections.open) > self._max_connections:
            self._connections.drop(connection, "one of too many connections", Reason.BUSY)
        elif (call := self._read(connection)) is not None:
            self._calls.begin(connection, call)
        elif connection.fd in self._connections.open:
            self._connections.reading[connection.fd] = connection
            self._epoll.register(connection.fd, select.EPOLLIN)
            self.ring()  # for its deadline

    def _pause(self, err: OSError) -> None:
        """Leave connections in the backlog until there may be descriptors again."""
        if self.stopping:
            return  # the socket is closed
        journal.write("error", "cannot accept connections", error=str(err))
        self._resume_accepting_at = time.monotonic() + _PAUSE
        self._pool.listen(on=False)
        self.ring()

    def _thread_done(self) -> None:
        if self.stopping:
            self.ring()

    def _unwatch(self, connection: Connection) -> None:
        """Let the loop sleep when the launcher, which has its answer, hangs up."""
        with suppress(OSError):  # a hook has closed what was not its own
            self._epoll.unregister(connection.fd)

    def _submit(self, job: Job) -> None:
        self._pool.submit(job)

    def _give_turn_on(self) -> None:
        self._pool.turns.give_on()
