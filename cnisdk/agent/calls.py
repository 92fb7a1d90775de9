"""Calls, from whole requests to answers, in the threads of the `Pool`."""

import sys
import time
from collections.abc import Callable
from functools import partial

from cnisdk.agent import journal, protocol
from cnisdk.agent.connection import Connection
from cnisdk.agent.connections import Connections
from cnisdk.agent.deletes import QueuedDeletes
from cnisdk.agent.exclusive import Exclusive
from cnisdk.agent.metrics import Metrics
from cnisdk.agent.pool import Job, SpentThread
from cnisdk.agent.protocol import ProtocolError, Reason
from cnisdk.agent.served import ServedCall

if sys.platform == "linux":
    from cnisdk.net.netns import NetNS


class Calls:
    """Runs calls, one at a time for each attachment, and answers them.

    ``submit`` has a thread run a job; ``look_at`` raises ProtocolError for a caller that is not
    to be served here; ``unwatch`` ends the watch for its hang-up; ``on_wait`` is called in the
    thread of a hook that is about to wait.
    """

    def __init__(
        self,
        connections: Connections,
        exclusive: Exclusive[Job],
        deletes: QueuedDeletes,
        metrics: Metrics,
        *,
        submit: Callable[[Job], object],
        look_at: Callable[[Connection], object],
        unwatch: Callable[[Connection], object],
        on_wait: Callable[[], object],
    ) -> None:
        self._connections = connections
        self._exclusive = exclusive
        self._deletes = deletes
        self._metrics = metrics
        self._submit = submit
        self._look_at = look_at
        self._unwatch = unwatch
        self._on_wait = on_wait
        self._home = NetNS.current()

    def begin(self, connection: Connection, call: ServedCall) -> None:
        """Accept the call; run it unless another for the same attachment is under way."""
        job = partial(self._run, connection, call)
        call.token.on_wait = self._on_wait
        try:
            self._look_at(connection)
            call.prepare()
            connection.answer(protocol.ACCEPTED)
            if protocol.withdrawn(connection.sock):
                self._connections.refuse(connection, Reason.WITHDRAWN)
            elif call.key is None or self._exclusive.acquire(call.key, job):
                self._run(connection, call, entered=True)
                return
            else:
                call.park()
        except ProtocolError as err:
            self._connections.drop(connection, str(err), err.reason)
        except BaseException:
            self._connections.forget(connection)  # to its launcher the agent has died
            raise
        self._go_home()

    def _run(self, connection: Connection, call: ServedCall, *, entered: bool = False) -> None:
        """Run a call that has the key of its attachment, and answer.

        ``entered``: the thread is in the caller's namespace, as one that comes for a call that was
        parked is not.
        """
        status = 1
        began = time.monotonic()
        self._metrics.began()
        try:
            if not connection.gone:
                if not entered:
                    call.enter()
                    entered = True
                if call.call.command == "ADD" and self._deletes.waiting():
                    self._deletes.overtake(call.call, call.key)
                status = call.run()
        finally:
            # In this order: the runtime's next call for the attachment finds the key free, and
            # the launcher's exit is no hang-up any more.
            if call.key is not None and (waiting := self._exclusive.release(call.key)) is not None:
                self._submit(waiting)
            self._unwatch(connection)
            self._connections.open.pop(connection.fd, None)
            connection.answer(protocol.encode_status(status))
            strayed = entered and not call.kept_thread()
            self._connections.forget(connection)
            self._report(connection, call, status, time.monotonic() - began)
        if strayed:
            raise SpentThread(f"a hook of {call.name} left the host's network namespace")
        self._go_home()

    def _go_home(self) -> None:
        """Bring the thread back, so that it keeps no caller's namespace alive while it waits."""
        try:
            self._home.move_thread()
        except OSError as err:
            raise SpentThread(f"cannot return to the agent's network namespace: {err}") from err

    def _report(
        self, connection: Connection, call: ServedCall, status: int, seconds: float
    ) -> None:
        outcome = "abandoned" if connection.gone else "failed" if status else "ok"
        self._metrics.ended(call.name, call.call.command, outcome, seconds)
        journal.write(
            "warning" if status else "info",
            f"call {outcome}",
            plugin=call.name,
            status=status,
            milliseconds=round(seconds * 1000, 3),
            **journal.about(call.call, call.network),
        )
