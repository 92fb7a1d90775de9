"""Probes: quick answers, whatever other clients do."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from cnisdk.agent.daemon import Agent
from cnisdk.agent.health import MAX_CONNECTIONS, Health

TIMEOUT = 10.0


class Probed:
    """An agent that serves nothing, and its health."""

    def __init__(self, listener: socket.socket, address: str) -> None:
        self.agent = Agent(listener, {})
        self.health = Health(self.agent, address)
        self.health.start()
        self.address = address

    def connect(self) -> socket.socket:
        if "/" in self.address:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(self.address)  # waits where the backlog is full
            sock.settimeout(TIMEOUT)
            return sock
        address = self.health.address
        assert isinstance(address, tuple)
        return socket.create_connection(address[:2], timeout=TIMEOUT)

    def ask(self, request: bytes) -> bytes:
        with self.connect() as sock, sock.makefile("rb") as stream:
            sock.sendall(request)
            return stream.read()


@pytest.fixture(params=["path", "0", "127.0.0.1:0", "[::1]:0"])
def probed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Probed]:
    address = str(tmp_path / "health") if request.param == "path" else request.param
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("")
        listener.listen()
        yield Probed(listener, address)


def test_an_agent_that_has_not_begun_to_serve_is_not_ready(probed: Probed) -> None:
    assert probed.ask(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert probed.ask(b"GET /readyz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")


def test_an_agent_whose_loop_is_stuck_is_not_alive(
    probed: Probed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnisdk.agent.daemon.STUCK", -1.0)

    assert probed.ask(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")


def test_head_gives_no_body_and_post_is_refused(probed: Probed) -> None:
    assert probed.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
    assert probed.ask(b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize("request_", [b"\r\n\r\n", b"\xff\xff\r\n\r\n", b"GET\n\n", b"x" * 10000])
def test_what_is_no_request_ends_nothing(probed: Probed, request_: bytes) -> None:
    with probed.connect() as sock:
        sock.sendall(request_)
        with suppress(ConnectionResetError):
            sock.recv(100)

    assert probed.ask(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_silent_clients_keep_nobody_waiting(probed: Probed) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS * 2):
            stack.enter_context(probed.connect())

        assert probed.ask(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("address", ["nonsense", "host:", "localhost:port"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("")
        listener.listen()
        with pytest.raises(ValueError, match=address):
            Health(Agent(listener, {}), address)
