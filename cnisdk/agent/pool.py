"""The threads that run hooks: as many as there is work, up to a bound, kept warm.

Every idle thread waits in epoll_wait(2) on the same set: the listening socket, and an eventfd that
counts jobs.  So the kernel picks the thread that serves a connection, and it is the one that
accepts it: handing a call from one Python thread to another costs a tenth of an ADD.  It does so
when it is its turn (`cnisdk.agent.turns`); until then calls wait where they cost nothing.

Not concurrent.futures: its queue has no bound, its threads survive what a hook may have done to
them, and it cannot say whether it gets on.
"""

import os
import select
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from cnisdk.agent import journal
from cnisdk.agent.turns import Turns

MAX_THREADS = 64

_ONCE = select.EPOLLIN | select.EPOLLONESHOT if hasattr(select, "EPOLLONESHOT") else 0

Job = Callable[[], object]


class SpentThread(BaseException):
    """Raised by a job: this thread must not run another one."""


class Pool:
    """A bounded number of threads, one of which calls ``serve`` with each new connection.

    Where none can be accepted ``failed`` is called with the error; see `listen`.  ``done`` is
    called whenever a thread has nothing more to do.
    """

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[socket.socket], object],
        failed: Callable[[OSError], object],
        done: Callable[[], object],
        *,
        max_threads: int = MAX_THREADS,
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._failed = failed
        self._done = done
        self._max_threads = max_threads
        self._listening = False
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._all_busy_since = 0.0
        self.turns = Turns()
        # A semaphore: each read takes one job.
        self._counter = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
        self._epoll = select.epoll()
        self._epoll.register(self._counter, _ONCE)
        self._epoll.register(listener, 0)

    def listen(self, *, on: bool) -> None:
        """Have connections accepted, or left in the backlog.

        When this returns, whoever has been accepted is served by one of the `busy` threads.
        """
        with self._lock:
            self._listening = on
            self._epoll.modify(self._listener, _ONCE if on else 0)
            if on:
                self._keep_one_idle()

    def submit(self, job: Job) -> None:
        """Have a thread run ``job`` as soon as there is one."""
        self._jobs.append(job)
        os.eventfd_write(self._counter, 1)
        with self._lock:
            self._keep_one_idle()

    @property
    def waiting(self) -> int:
        """How many jobs have no thread yet."""
        return len(self._jobs)

    @property
    def busy(self) -> int:
        """How many threads do something."""
        with self._lock:
            return self._threads - self._idle

    def held_for(self) -> float:
        """Return for how many seconds no thread has been idle."""
        since = self._all_busy_since
        return time.monotonic() - since if since else 0.0

    def _keep_one_idle(self) -> None:
        """Start a thread if none is left to wait for the next connection or job.

        Where none can be started, for want of memory or by a limit, those that there are go on.
        """
        if self._idle:
            return
        if self._threads < self._max_threads:
            try:
                threading.Thread(target=self._work, name="hooks", daemon=True).start()
            except RuntimeError as err:
                journal.write("error", "no thread to be had", threads=self._threads, error=str(err))
            else:
                self._threads += 1
                self._idle += 1
                return
        self._all_busy_since = self._all_busy_since or time.monotonic()

    def look(self) -> None:
        """Start a thread if one is needed and could not be started before."""
        with self._lock:
            if self._listening or self._jobs:
                self._keep_one_idle()

    def _work(self) -> None:
        spent = False
        while not spent:
            for fd, _ in self._epoll.poll(maxevents=1):
                self.turns.take()
                with self._lock:
                    self._idle -= 1
                    self._keep_one_idle()
                try:
                    if fd == self._counter:
                        self._take_job()
                    else:
                        self._take_connection()
                except SpentThread as err:
                    journal.write("error", "a thread is given up", why=str(err))
                    spent = True
                except BaseException:  # noqa: BLE001 - nothing a job does may stop the pool
                    journal.write("error", "a job failed", traceback=traceback.format_exc())
                self.turns.give_on()
                with self._lock:
                    self._idle += 1
                    self._all_busy_since = 0.0
                self._done()
        with self._lock:
            self._threads -= 1
            self._idle -= 1
            self._keep_one_idle()

    # An event wakes one thread and no other (EPOLLONESHOT), until that one has taken what there
    # was and asks for the next.

    def _take_job(self) -> None:
        try:
            os.eventfd_read(self._counter)
        finally:
            self._epoll.modify(self._counter, _ONCE)
        self._jobs.popleft()()

    def _take_connection(self) -> None:
        sock: socket.socket | OSError
        with self._lock:
            if not self._listening:
                return
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return  # whoever connected has gone
            except OSError as err:
                sock = err
            finally:
                self._epoll.modify(self._listener, _ONCE)
        if isinstance(sock, OSError):
            self._failed(sock)
        else:
            self._serve(sock)
