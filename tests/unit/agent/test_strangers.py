"""Who may call, and what the log says of those who may not."""

import copy
import errno
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.agent import daemon, protocol
from cnisdk.agent.connection import Connection
from cnisdk.agent.connections import Connections
from cnisdk.agent.daemon import Agent
from cnisdk.agent.metrics import Metrics
from cnisdk.agent.protocol import Reason
from cnisdk.agent.queue import Queue
from cnisdk.agent.refusals import LINES_PER_SECOND, Refusals


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    connection = Connection(ours)
    yield connection, theirs
    connection.close()
    theirs.close()


def test_the_kernel_says_who_is_there(pair: tuple[Connection, socket.socket]) -> None:
    connection, _ = pair

    assert (connection.uid, connection.pid) == (os.getuid(), os.getpid())
    assert connection.is_trusted


@pytest.mark.parametrize(
    ("uid", "own", "trusted"),
    [
        (0, 1000, True),
        (1000, 1000, True),
        (1000, 0, False),
        (1001, 1000, False),
        (65534, 65534, False),
    ],
)
def test_root_and_ourselves_are_trusted_and_nobody_else(
    pair: tuple[Connection, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    uid: int,
    own: int,
    trusted: bool,
) -> None:
    connection, _ = pair
    connection.uid = uid
    monkeypatch.setattr(os, "geteuid", lambda: own)

    assert connection.is_trusted is trusted


def test_a_stranger_is_refused_whatever_it_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "is_trusted", False)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
    ):
        listener.bind(str(tmp_path / "agent.sock"))
        listener.listen()
        agent = Agent(listener, {}, on_turn=lambda: None)
        client.settimeout(10)
        client.connect(str(tmp_path / "agent.sock"))
        client.sendall(b"CNIA")

        def stop_when_answered() -> None:
            if client.recv(2, socket.MSG_PEEK) == protocol.encode_refusal(Reason.FORBIDDEN):
                agent.stop("answered")

        agent.serve(stop_when_answered)

        assert client.recv(10) == b"Rf"
    assert agent.stopping == "answered"
    assert 'refused_total{reason="forbidden"} 1' in agent.metrics.text({})


def test_a_flood_of_refusals_is_counted_and_not_logged(
    pair: tuple[Connection, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnisdk.agent import journal

    lines: list[dict[str, object]] = []
    monkeypatch.setattr(journal, "write", lambda level, event, **fields: lines.append(fields))
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    refusals = Refusals(Metrics())
    for _ in range(1000):
        refusals.log(pair[0], "silent")
    flooded = len(lines)
    now = 102.0
    refusals.log(pair[0], "silent")

    assert flooded == LINES_PER_SECOND
    assert lines[-1]["and_others"] == 1000 - LINES_PER_SECOND
    assert json.dumps(lines[0]) == json.dumps({"pid": os.getpid(), "uid": 0, "why": "silent"})


def test_a_connection_that_is_forgotten_twice_takes_no_other_along(
    pair: tuple[Connection, socket.socket],
) -> None:
    """The number of its descriptor is another's by then."""
    connections = Connections(Metrics())
    first, _ = pair
    second = copy.copy(first)
    connections.open[first.fd] = second

    connections.forget(first)

    assert connections.open == {first.fd: second}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        listener.listen()
        yield Agent(listener, {}, queue=Queue(str(tmp_path / "queue")))


def test_an_agent_without_a_descriptor_left_is_replaced_and_does_not_die(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaks: list[str] = []
    agent._on_leak = lambda: leaks.append("leak")

    def exhausted(path: str) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    monkeypatch.setattr(os, "listdir", exhausted)
    agent._glance()

    assert leaks == ["leak"]


def test_an_agent_serves_although_a_queued_delete_hangs(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(daemon, "DRAIN_TIMEOUT", 0.05)
    monkeypatch.setattr(agent._deletes, "drain", lambda **_: gate.wait(10))

    agent.serve(lambda: agent.stop("ready"))

    assert not gate.is_set()
    assert agent.stopping == "ready"
    gate.set()
