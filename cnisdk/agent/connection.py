"""One launcher's connection: what has come through it, and who is at the other end."""

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cnisdk.agent import protocol
from cnisdk.agent.protocol import Descriptor, ProtocolError, Request

if TYPE_CHECKING:
    from cnisdk.agent.served import ServedCall

READ_TIMEOUT = 1.0
"""Seconds in which a whole request has to come."""

_MOMENT = 5  # milliseconds
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_OVERFLOW_UID = 65534  # whoever our user namespace does not know


class Connection:
    """A socket, the descriptors that came through it, and the call that they became."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.pid, self.uid, _ = _CREDENTIALS.unpack(data)
        self.deadline = time.monotonic() + READ_TIMEOUT
        self.size = 0
        """Bytes of the request so far."""
        self.call: ServedCall | None = None
        self.gone = False
        self._waited = False
        self._decoder = protocol.Decoder()
        self._fds: list[int] = []

    @property
    def is_trusted(self) -> bool:
        """Whether the peer is root or who we are; the kernel says so, not the peer."""
        return self.uid in (0, os.geteuid()) and self.uid != _OVERFLOW_UID

    def read(self, on_wait: Callable[[], object] = lambda: None) -> Request | None:
        """Take what has come; return the request once it is whole.

        Waits a moment the first time, since its sender is just at it, and never again; ``on_wait``
        is called before.  Raises ProtocolError for anything that no launcher sends.
        """
        request = self._receive()
        if request is None:
            if not self._waited:
                self._waited = True
                on_wait()
                poll = select.poll()
                poll.register(self.sock, select.POLLIN)
                poll.poll(_MOMENT)
            request = self._receive()
        return request

    def _receive(self) -> Request | None:
        try:
            data, fds = protocol.recv_fds(self.sock, self._decoder.wanted, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data, fds = b"", []
        self._fds += fds
        if len(self._fds) > protocol.MAX_DESCRIPTORS:
            raise ProtocolError("too many descriptors")
        if not data:
            raise ProtocolError("hung up before its request was whole")
        self.size += len(data)
        return self._decoder.feed(data)

    def descriptors(self, request: Request) -> dict[Descriptor, int]:
        """Return what came with ``request`` by its meaning; the caller owns it from now on."""
        matched = protocol.match_fds(request.descriptors, self._fds)
        self._fds = []
        return matched

    def answer(self, data: bytes) -> None:
        """Send a few bytes; a launcher that is gone gets none."""
        try:
            self.sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            self.gone = True

    def hung_up(self) -> bool:
        """Say whether the caller has gone; may be asked while another thread closes this."""
        poll = select.poll()
        try:
            poll.register(self.sock, 0)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            return False  # closed, so the call is over

    def close(self) -> None:
        """Give back the socket and every descriptor that came through it."""
        self.sock.close()
        if self.call is not None:
            self.call.close()
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)
