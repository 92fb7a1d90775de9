"""The connections that the agent has, and what becomes of those that it refuses."""

from cnisdk.agent import protocol
from cnisdk.agent.connection import Connection
from cnisdk.agent.metrics import Metrics
from cnisdk.agent.protocol import ProtocolError, Reason
from cnisdk.agent.refusals import Refusals

LARGE = 16 << 10
"""Bytes of a request; as a rule it is a tenth of that."""

MAX_LARGE = 32
"""Connections with a larger request than that."""


class Connections:
    """Every open connection by its descriptor; safe to use from every thread.

    A descriptor's number is not used again before its connection is forgotten.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._refusals = Refusals(metrics)
        self.open: dict[int, Connection] = {}
        self.reading: dict[int, Connection] = {}
        """Those whose request has not come at once, the one that has waited longest first."""

    def check_room_for_large(self) -> None:
        """Raise ProtocolError if there are too many large requests."""
        if sum(other.size > LARGE for other in list(self.open.values())) > MAX_LARGE:
            raise ProtocolError("one of too many large requests", Reason.BUSY)

    def drop(self, connection: Connection, why: str, reason: Reason) -> None:
        """Refuse a client, and say so in the log."""
        self._refusals.log(connection, why)
        self.refuse(connection, reason)

    def refuse(self, connection: Connection, reason: Reason) -> None:
        """Answer that nothing was done, and hang up."""
        self._refusals.count(reason)
        connection.answer(protocol.encode_refusal(reason))
        self.forget(connection)

    def forget(self, connection: Connection) -> None:
        """Close a connection and all that came through it; a second time does nothing."""
        for known in (self.reading, self.open):
            if known.get(connection.fd) is connection:  # the number may be another's by now
                known.pop(connection.fd, None)
        connection.close()  # which takes it out of the epoll set
