"""The threads that run hooks."""

import socket
import threading
from collections.abc import Iterator

import pytest

from cnisdk.agent.pool import Pool, SpentThread

TIMEOUT = 10.0


class Served:
    """A pool on a listening socket, and what its threads did."""

    def __init__(self, max_threads: int) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind("")  # an abstract name, chosen by the kernel
        self.listener.listen()
        self.listener.setblocking(False)
        self.gate = threading.Event()
        self.accepted = threading.Semaphore(0)
        self.failures: list[OSError] = []
        self.idle = threading.Semaphore(0)
        self.pool = Pool(
            self.listener,
            self.serve,
            self.failures.append,
            self.idle.release,
            max_threads=max_threads,
        )

    def serve(self, sock: socket.socket) -> None:
        self.accepted.release()
        self.gate.wait(TIMEOUT)
        sock.close()

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(self.listener.getsockname())
        return sock


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served(3)
    yield served
    served.gate.set()
    served.pool.listen(on=False)
    served.listener.close()


def test_connections_are_served_side_by_side_up_to_a_bound(served: Served) -> None:
    served.pool.listen(on=True)
    clients = [served.connect() for _ in range(5)]
    for _ in range(3):
        assert served.accepted.acquire(timeout=TIMEOUT)

    assert not served.accepted.acquire(timeout=0.05)
    assert served.pool.busy == 3
    assert served.pool.held_for() > 0
    served.gate.set()
    assert all(served.accepted.acquire(timeout=TIMEOUT) for _ in range(2))
    for client in clients:
        client.close()


def test_connections_stay_in_the_backlog_while_it_does_not_listen(served: Served) -> None:
    served.pool.listen(on=True)
    served.pool.listen(on=False)
    with served.connect():
        assert not served.accepted.acquire(timeout=0.05)
        served.pool.listen(on=True)
        assert served.accepted.acquire(timeout=TIMEOUT)


def test_every_job_is_done_once(served: Served) -> None:
    done: list[int] = []
    last = threading.Semaphore(0)

    def job(number: int) -> None:
        done.append(number)
        last.release()

    for number in range(100):
        served.pool.submit(lambda number=number: job(number))  # type: ignore[misc]
    for _ in range(100):
        assert last.acquire(timeout=TIMEOUT)

    assert sorted(done) == list(range(100))
    assert served.pool.waiting == 0


def test_a_job_that_throws_anything_costs_no_thread(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise SystemExit("thrown")

    for _ in range(10):
        served.pool.submit(fail)
        assert served.idle.acquire(timeout=TIMEOUT)
    done = threading.Event()
    served.pool.submit(done.set)

    assert done.wait(TIMEOUT)


def test_a_thread_that_is_spent_is_replaced(served: Served) -> None:
    threads: set[int] = set()

    def spend() -> None:
        threads.add(threading.get_native_id())
        raise SpentThread("spent")

    for _ in range(10):
        served.pool.submit(spend)
        assert served.idle.acquire(timeout=TIMEOUT)
    done = threading.Event()
    served.pool.submit(done.set)

    assert done.wait(TIMEOUT)
    assert len(threads) == 10


def test_it_serves_on_when_for_a_while_no_thread_can_be_started(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        served.pool.listen(on=True)
        held = served.pool.held_for()
        client = served.connect()
        assert not served.accepted.acquire(timeout=0.05)
    served.pool.look()

    assert held > 0
    assert served.accepted.acquire(timeout=TIMEOUT)
    served.gate.set()
    client.close()


def test_the_last_thread_serves_on_when_it_can_have_no_successor(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.pool.listen(on=True)
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: (_ for _ in ()).throw(RuntimeError("no more"))
    )
    served.gate.set()
    for _ in range(5):
        with served.connect():
            assert served.accepted.acquire(timeout=TIMEOUT)
            assert served.idle.acquire(timeout=TIMEOUT)


def test_more_jobs_make_it_forget_no_starvation(served: Served) -> None:
    served.pool.listen(on=True)
    clients = [served.connect() for _ in range(3)]
    for _ in clients:
        assert served.accepted.acquire(timeout=TIMEOUT)
    before = served.pool.held_for()
    served.pool.submit(lambda: None)

    assert served.pool.held_for() >= before > 0
    served.gate.set()
    for client in clients:
        client.close()
