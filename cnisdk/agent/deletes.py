"""DELs that launchers kept for us (`cnisdk.agent.queue`), done before anything that follows them.

They are done in the agent's own network namespace, since that of their callers is gone, and like
any other call one at a time for each attachment.
"""

import os
import threading
from collections.abc import Callable, Hashable

from cnisdk.agent import journal
from cnisdk.agent.exclusive import Exclusive
from cnisdk.agent.pool import Job
from cnisdk.agent.queue import Entry, Queue, QueuedCall, QueueError, attachment_hash
from cnisdk.agent.served import Plugins, decoded, network_name
from cnisdk.call import Call, HandOver
from cnisdk.errors import CNIError
from cnisdk.runner import Run, run_call


class QueuedDeletes:
    """Does what waits in a queue; safe to use from every thread.

    ``submit`` has a thread run a call that waited for one of them.
    """

    def __init__(
        self,
        queue: Queue,
        plugins: Plugins,
        exclusive: Exclusive[Job],
        submit: Callable[[Job], object],
    ) -> None:
        self._queue = queue
        self._plugins = plugins
        self._exclusive = exclusive
        self._draining = threading.Lock()
        self._submit = submit

    def pending(self) -> bool:
        """Say whether there may be something that was not tried yet; one stat(2)."""
        return self._queue.changed()

    def waiting(self) -> bool:
        """Say whether there may be anything, so that an ADD has to `overtake`; one stat(2)."""
        return self._queue.waiting()

    def drain(self, *, going_on: Callable[[], bool] = lambda: True) -> None:
        """Do everything that waits, for as long as ``going_on``; one that fails stays.

        Does nothing while another thread is at it, however long a hook takes it.
        """
        if not self._draining.acquire(blocking=False):
            return
        try:
            for entry in self._entries(""):
                if not going_on():
                    return
                self._do(entry, None)
        finally:
            self._draining.release()

    def overtake(self, call: Call, held: Hashable) -> None:
        """Do what waits for the attachment of ``call``, an ADD that has taken its key ``held``.

        What fails is given up: done after this ADD, it would undo that one.  No lock but the key:
        who drains and comes to the same entry waits for the key, and then finds it done.
        """
        for entry in self._entries(attachment_hash(call.container_id, call.ifname)):
            self._do(entry, held)

    def _entries(self, attachment: str) -> list[Entry]:
        try:
            return self._queue.entries(attachment)
        except (QueueError, OSError) as err:
            journal.write("error", "the queue of DELs cannot be read", error=str(err))
            return []

    def _do(self, entry: Entry, held: Hashable) -> None:
        """Do one now, or as soon as its attachment is free; ``held`` is by an ADD that follows."""
        queued = self._load(entry)
        if queued is None:
            return
        name = os.path.basename(queued.argv[0]) if queued.argv else ""
        if name not in self._plugins:
            journal.write("warning", "a queued DEL is for no plugin of ours", plugin=name)
            return
        document = decoded(queued.stdin)
        network = network_name(document or {})

        def log(call: Call, message: str) -> None:
            journal.write("info", message, plugin=name, **journal.about(call, network))

        call = Call.from_environ(
            queued.environ, stdin=queued.stdin, document=document, served=self._delegate, logger=log
        )
        key = (name, network, call.container_id, call.ifname)

        def job() -> None:
            try:
                # An ADD may have overtaken it while it was parked.
                if self._load(entry) is not None:
                    done = self._run(queued, name, call, network)
                    if done or held is not None:
                        entry.remove()
            except FileNotFoundError:
                return
            except OSError as err:
                journal.write("error", "queued DEL stays", path=entry.path, error=str(err))
            finally:
                if key != held and (waiting := self._exclusive.release(key)) is not None:
                    self._submit(waiting)

        if key == held or self._exclusive.acquire(key, job):
            job()

    def _run(self, queued: QueuedCall, name: str, call: Call, network: str) -> bool:
        said: list[bytes] = []
        status = run_call(self._plugins[name], call, queued.stdin, said.append)
        journal.write(
            "info" if status == 0 else "error",
            "queued DEL done" if status == 0 else "queued DEL failed",
            plugin=name,
            answer=b"".join(said).decode("utf-8", "replace"),
            **journal.about(call, network),
        )
        return status == 0

    @staticmethod
    def _load(entry: Entry) -> QueuedCall | None:
        """Return the call; None if it is done already, or cannot be read and is set aside."""
        try:
            return entry.load()
        except FileNotFoundError:
            return None
        except (QueueError, OSError) as err:
            try:
                path = entry.set_aside()
            except OSError as failed:
                journal.write("error", "unreadable DEL stays", path=entry.path, error=str(failed))
            else:
                journal.write("error", "unreadable DEL set aside", path=path, error=str(err))
            return None

    def _delegate(self, plugin: str, call: Call, hand_over: HandOver | None = None) -> bytes | None:
        """As in a served call; a launcher that is executed now would queue another DEL."""
        served = self._plugins.get(plugin)
        if served is None or served.needs_process:
            return None
        answer: list[bytes] = []
        try:
            Run(served, call, hand_over).serve(call.stdin, answer.append)
        except CNIError as err:
            raise CNIError.of(err.code, err.msg, err.details) from err
        return b"".join(answer)
