"""Who was refused, and why: counted always, logged as far as the log stands it."""

import time

from cnisdk.agent import journal
from cnisdk.agent.connection import Connection
from cnisdk.agent.metrics import Metrics
from cnisdk.agent.protocol import Reason

LINES_PER_SECOND = 20
"""More are only counted: a thousand connections must not fill a disk."""


class Refusals:
    """Names each client that was refused."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._second = 0.0
        self._lines = 0
        self._suppressed = 0

    def count(self, reason: Reason) -> None:
        """Count one refusal."""
        self._metrics.refused(reason.name.lower())

    def log(self, connection: Connection, why: str) -> None:
        """Write a line about it, or count it into a later one."""
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines > LINES_PER_SECOND:
            self._suppressed += 1
            return
        more = {"and_others": self._suppressed} if self._suppressed else {}
        self._suppressed = 0
        journal.write(
            "warning", "refused a client", pid=connection.pid, uid=connection.uid, why=why, **more
        )
