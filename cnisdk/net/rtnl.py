"""The rtnetlink socket: ask, change, dump, listen.

One request is under way at a time, by one thread at a time.  Answers are told from leftovers of
an abandoned request and from notifications by sequence number and port.  Nothing waits for ever:
every wait is bounded by the socket's ``timeout``.

Import budget: _socket instead of socket, whose enumerations and selectors cost more than all of
a plugin's kernel requests together.
"""

import errno
import fcntl
import os
import struct
import time
from _socket import (
    AF_NETLINK,
    MSG_DONTWAIT,
    MSG_TRUNC,
    SO_RCVTIMEO,
    SOCK_CLOEXEC,
    SOCK_RAW,
    SOL_SOCKET,
    socket,
)
from _thread import _local as threading_local  # threading.local without importing threading
from types import TracebackType
from typing import ClassVar, Self

from cnisdk import cancel
from cnisdk.net import _uapi as k
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnetlink import Message, ack, message, messages

TIMEOUT = 10.0
"""Seconds to wait for an answer; in the main the kernel has it ready when send(2) returns."""

_ATTEMPTS = 30  # at a dump that changes interrupt, at a query whose answer the kernel dropped
_BUFFER = 65536  # the kernel cuts a dump into pieces of 32 KiB at most
_SLICE = 0.2  # seconds of silence after which a listener looks whether its hook is cancelled
_TIMEVAL = struct.Struct("@ll")
_IFREQ = struct.Struct("@16si20x")  # struct ifreq: the name, an integer of the union


class _Local(threading_local):
    """A thread's buffer: what is read is copied at once, so all its sockets share it."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_BUFFER))


_local = _Local()


class NetlinkError(OSError):
    """The kernel refused a request.

    ``errno`` and ``strerror`` as in any OSError, ``request`` is what was asked in words, and
    ``text`` the kernel's own explanation, often empty.
    """

    def __init__(self, code: int, request: str, text: str = "") -> None:
        super().__init__(code, os.strerror(code))
        self.request = request
        self.text = text

    def __str__(self) -> str:
        return f"{self.request}: {self.strerror}" + (f": {self.text}" if self.text else "")


class RTNL:
    """A NETLINK_ROUTE socket in the calling thread's network namespace, or in ``netns``.

    It stays in that namespace wherever its users go.  Close it, or use it as a context manager.
    In the methods, ``what`` says in words what is asked, for the error: "add link eth0".
    """

    protocol: ClassVar[int] = k.NETLINK_ROUTE

    def __init__(self, netns: NetNS | None = None, *, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        if netns is None:
            self._socket = _open(self.protocol, timeout)
        else:
            with netns.enter():
                self._socket = _open(self.protocol, timeout)
        self._pid: int = self._socket.getsockname()[0]
        self._seq = 0

    def close(self) -> None:
        """Close the socket; a second time does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def request(self, what: str, type: int, body: bytes, flags: int = 0) -> None:
        """Have the kernel change something, and wait for its acknowledgement.

        Raises `Cancelled` instead if the hook is to stop, `NetlinkError` if the kernel refuses.
        """
        cancel.checkpoint()
        seq = self._send(what, type, k.NLM_F_REQUEST | k.NLM_F_ACK | flags, body)
        deadline = time.monotonic() + self.timeout
        while True:
            for reply in self._receive(what, seq, deadline):
                if reply.type == k.NLMSG_ERROR:
                    self._raise_for(what, reply)
                    return

    def query(self, what: str, type: int, body: bytes) -> bytes:
        """Ask for one thing and return the answer's payload."""
        deadline = time.monotonic() + self.timeout
        seq = self._send(what, type, k.NLM_F_REQUEST, body)
        while True:
            try:
                replies = self._receive(what, seq, deadline)
            except NetlinkError as err:
                if err.errno != errno.ENOBUFS:
                    raise
                seq = self._send(what, type, k.NLM_F_REQUEST, body)  # the answer was dropped
                continue
            for reply in replies:
                if reply.type == k.NLMSG_ERROR:
                    self._raise_for(what, reply)
                return reply.payload

    def dump(self, what: str, type: int, body: bytes) -> list[bytes]:
        """Ask for a table and return its entries' payloads, from one consistent pass over it.

        A pass that a change interrupted (NLM_F_DUMP_INTR) is repeated; on a table that never
        stays the same for long enough, NetlinkError(EAGAIN).
        """
        deadline = time.monotonic() + self.timeout
        for _ in range(_ATTEMPTS):
            entries = self._dump_once(what, type, body, deadline)
            if entries is not None:
                return entries
        raise NetlinkError(errno.EAGAIN, what, f"it changed during each of {_ATTEMPTS} dumps")

    def _dump_once(self, what: str, type: int, body: bytes, deadline: float) -> list[bytes] | None:
        entries: list[bytes] = []
        interrupted = False
        seq = self._send(what, type, k.NLM_F_REQUEST | k.NLM_F_DUMP, body)
        while True:
            try:
                replies = self._receive(what, seq, deadline)
            except NetlinkError as err:
                if err.errno != errno.ENOBUFS:
                    raise
                interrupted = True  # a piece was dropped; the rest still comes
                continue
            for reply in replies:
                if reply.flags & k.NLM_F_DUMP_INTR:
                    interrupted = True
                if reply.type == k.NLMSG_DONE or reply.type == k.NLMSG_ERROR:
                    self._raise_for(what, reply)
                    return None if interrupted else entries
                entries.append(reply.payload)

    def ioctl(self, what: str, request: int, name: str) -> int:
        """Ask one thing of the link ``name``, by a SIOCGIF… whose answer is an integer.

        netdevice(7): any socket will do.  Takes a twentieth of the time of an RTM_GETLINK, which
        describes all of a link.
        """
        octets = name.encode("utf-8", "surrogateescape")
        if len(octets) >= k.IFNAMSIZ:
            raise NetlinkError(errno.ENODEV, what, "the name is too long")
        try:
            answer = fcntl.ioctl(self._socket, request, _IFREQ.pack(octets, 0))
        except OSError as err:
            raise NetlinkError(err.errno or 0, what) from err
        number: int = _IFREQ.unpack(answer)[1]
        return number

    def listen(self, group: int) -> "Listener":
        """Subscribe to the notifications of a group (RTNLGRP_…) in this socket's namespace."""
        with NetNS(fcntl.ioctl(self._socket, k.SIOCGSKNS)) as netns:
            return Listener(group, netns)

    def _send(self, what: str, type: int, flags: int, body: bytes) -> int:
        self._seq = seq = self._seq + 1 & 0xFFFFFFFF
        try:
            self._socket.send(message(type, flags, seq, body))
        except OSError as err:
            raise NetlinkError(err.errno or 0, what) from err
        return seq

    def _receive(self, what: str, seq: int, deadline: float) -> list[Message]:
        """Return what one datagram holds of the answer to request ``seq``, maybe nothing."""
        try:
            data = self._read()
        except BlockingIOError:
            raise NetlinkError(errno.ETIMEDOUT, what, "no answer") from None
        except OSError as err:
            raise NetlinkError(err.errno or 0, what) from err
        replies = [reply for reply in messages(data) if reply.seq == seq and reply.pid == self._pid]
        if not replies and time.monotonic() > deadline:
            raise NetlinkError(errno.ETIMEDOUT, what, "no answer among other messages")
        return replies

    def _read(self) -> bytes:
        buffer = _local.buffer
        length = self._socket.recv_into(buffer, 0, MSG_TRUNC)
        if length > _BUFFER:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        return bytes(buffer[:length])

    @staticmethod
    def _raise_for(what: str, reply: Message) -> None:
        error = ack(reply)
        if error.errno:
            raise NetlinkError(error.errno, what, error.text)


class Listener:
    """A socket that wakes when something of one group changes.

    Subscribe, then query, then `wait` and query again: so no change is missed in between.  A
    socket of its own, since notifications that fill it have the kernel drop answers silently.
    """

    def __init__(self, group: int, netns: NetNS) -> None:
        with netns.enter():
            self._socket = _open(k.NETLINK_ROUTE, TIMEOUT)
        self._socket.setsockopt(k.SOL_NETLINK, k.NETLINK_ADD_MEMBERSHIP, group)

    def close(self) -> None:
        """Close the socket; a second time does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def wait(self, deadline: float) -> bool:
        """Sleep until something is reported; False when ``deadline`` has passed before.

        ``deadline`` is of time.monotonic.  What is reported is thrown away, since the kernel may
        have dropped some of it: query what matters.  A hook that is to stop notices here.
        """
        from select import POLLIN, poll

        waiting = poll()
        waiting.register(self._socket, POLLIN)
        while True:
            cancel.checkpoint()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if waiting.poll(min(left, _SLICE) * 1000):
                self._drain()
                return True

    def _drain(self) -> None:
        while True:
            try:
                self._socket.recv(1, MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as err:
                if err.errno != errno.ENOBUFS:  # some were dropped, as good as read
                    raise


def _open(protocol: int, timeout: float) -> socket:
    sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
    try:
        for option in (k.NETLINK_EXT_ACK, k.NETLINK_CAP_ACK, k.NETLINK_GET_STRICT_CHK):
            try:
                sock.setsockopt(k.SOL_NETLINK, option, 1)
            except OSError as err:
                if err.errno != errno.ENOPROTOOPT:  # a kernel before 4.20 does without
                    raise
        _set_timeout(sock, timeout)
        sock.bind((0, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _set_timeout(sock: socket, seconds: float) -> None:
    # Not settimeout(), which makes two system calls of each receive.
    whole = int(seconds)
    sock.setsockopt(
        SOL_SOCKET, SO_RCVTIMEO, _TIMEVAL.pack(whole, max(1, int((seconds - whole) * 1e6)))
    )
