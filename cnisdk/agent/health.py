"""/livez, /readyz and /metrics over HTTP, on a Unix socket or a TCP port, when asked for.

The probe has to prove something: /livez fails when the agent's loop has not turned for a while
or its threads are all held, /readyz when it does not serve (yet, or any more).

A thread of its own, so that a stuck agent can say so, with few connections and little patience.
Not http.server: it costs megabytes, and either one slow client or any number of threads.
"""

import os
import select
import socket
import threading
import time
from contextlib import suppress

from cnisdk.agent.daemon import Agent

MAX_CONNECTIONS = 32
"""One more drops the one that has waited longest."""
MAX_REQUEST = 8192
PATIENCE = 2.0
"""Seconds for a client to send its request."""

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PHRASES = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Health:
    """Answers probes about ``agent`` on ``address``: a path, ``PORT`` (loopback) or ``HOST:PORT``.

    A host in brackets is an IPv6 address.  Raises OSError where it cannot listen, ValueError for
    an address that is none.
    """

    def __init__(self, agent: Agent, address: str) -> None:
        self._agent = agent
        self._listener = _listen(address)
        self._listener.setblocking(False)
        self._clients: dict[int, tuple[socket.socket, float, bytearray]] = {}
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)

    @property
    def address(self) -> object:
        """Where it listens, as socket.getsockname has it."""
        return self._listener.getsockname()

    def start(self) -> None:
        """Answer from a thread, until the process ends."""
        threading.Thread(target=self._serve, name="health", daemon=True).start()

    def _serve(self) -> None:
        while True:
            for fd, _ in self._poll.poll(500 if self._clients else None):
                if fd == self._listener.fileno():
                    self._accept()
                elif fd in self._clients:
                    self._read(fd)
            now = time.monotonic()
            for fd, (_, deadline, _) in list(self._clients.items()):
                if deadline < now:
                    self._close(fd)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # gone already, or no descriptors: the probe fails, as it should
        client.setblocking(False)
        self._clients[client.fileno()] = client, time.monotonic() + PATIENCE, bytearray()
        self._poll.register(client, select.POLLIN)
        if len(self._clients) > MAX_CONNECTIONS:
            self._close(next(iter(self._clients)))

    def _read(self, fd: int) -> None:
        client, _, request = self._clients[fd]
        try:
            data = client.recv(MAX_REQUEST)
        except OSError:
            data = b""
        request += data
        if b"\r\n\r\n" in request or b"\n\n" in request:
            # Small enough for any socket's buffer; what does not fit is lost with the client.
            with suppress(OSError):
                client.send(self._reply(bytes(request)), socket.MSG_NOSIGNAL)
        elif data and len(request) < MAX_REQUEST:
            return
        self._close(fd)

    def _close(self, fd: int) -> None:
        client, _, _ = self._clients.pop(fd)
        self._poll.unregister(fd)
        client.close()

    def _reply(self, request: bytes) -> bytes:
        words = request.split(b"\n", 1)[0].decode("latin-1").split()
        method, target = words[:2] if len(words) > 1 else ("", "")
        status, text = self._answer(method, target.partition("?")[0])
        body = text.encode()
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == "HEAD" else body)

    def _answer(self, method: str, path: str) -> tuple[int, str]:
        if method not in ("GET", "HEAD"):
            return 405, "GET it\n"
        trouble = self._agent.trouble
        if path == "/livez":
            return (503, f"{trouble}\n") if trouble else (200, "alive\n")
        if path == "/readyz":
            ready = self._agent.ready and not trouble
            return (200, "ready\n") if ready else (503, f"{trouble or 'not serving'}\n")
        if path == "/metrics":
            return 200, self._agent.metrics.text(self._agent.gauges())
        return 404, "there are /livez, /readyz and /metrics\n"


def _listen(address: str) -> socket.socket:
    if "/" in address:
        return _listen_at(address)
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdigit():
        raise ValueError(f"{address!r} is no path, PORT or HOST:PORT")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=MAX_CONNECTIONS)


def _listen_at(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)  # of an agent before us
        sock.bind(path)
        os.chmod(path, 0o600)
        sock.listen(MAX_CONNECTIONS)
    except BaseException:
        sock.close()
        raise
    return sock
