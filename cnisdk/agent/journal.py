"""The agent's log: one JSON object a line, on stderr, and never a reason to wait.

Every line about a call names its container, interface and network, so that one pod's story can
be picked out of a node's log.  Whoever takes the log may be slow: a line that does not fit now is
dropped, and the next one that does says how many were.
"""

import json
import os
import socket
import stat
import time
from collections.abc import Callable
from typing import Any, Literal

from cnisdk.call import Call

Level = Literal["info", "warning", "error"]

MAX_LINE = 4096
"""Bytes; what is longer (PIPE_BUF) may be written in parts, with others' lines in between."""

_CUTS = (3000, 600, 60)  # characters of a text, tried in turn

_encoder = json.JSONEncoder(ensure_ascii=False, default=str)
_dropped = 0
_send: Callable[[bytes], int] | None = None


def write(level: Level, event: str, **fields: Any) -> None:
    """Write one line; long texts in it lose their middle."""
    global _send, _dropped  # the process has one stderr; a count that is a few off does no harm
    if _send is None:
        _send = _sender(2)
    record = {"time": round(time.time(), 6), "level": level, "event": event, **fields}
    if _dropped:
        record["lines_dropped"] = _dropped
    line = _line(record)
    for length in _CUTS:
        if len(line) <= MAX_LINE:
            break
        line = _line({name: _cut(value, length) for name, value in record.items()})
    try:
        _send(line)
        _dropped = 0
    except OSError:
        _dropped += 1


def _line(record: dict[str, Any]) -> bytes:
    return _encoder.encode(record).encode("utf-8", "backslashreplace") + b"\n"


def _cut(value: Any, length: int) -> Any:
    if not isinstance(value, str) or len(value) <= length:
        return value
    return f"{value[: length // 2]} … {value[-length // 2 :]}"


def about(call: Call, network: str = "") -> dict[str, str]:
    """Return the fields that name a call."""
    named = {
        "command": call.command,
        "container": call.container_id,
        "ifname": call.ifname,
        "network": network,
        "trace": call.environ.get("TRACEPARENT", ""),
    }
    return {key: value for key, value in named.items() if value}


def _sender(fd: int) -> Callable[[bytes], int]:
    """Return what writes to ``fd`` without waiting for whoever reads it.

    O_NONBLOCK would be set for everybody who shares the open file; so a pipe and a terminal are
    opened anew, and a socket (systemd's journal) is told at each write.
    """
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):
            sock = socket.socket(fileno=os.dup(fd))
            return lambda data: sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if stat.S_ISFIFO(mode) or os.isatty(fd):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            again = os.open(f"/proc/self/fd/{fd}", flags)
            return lambda data: os.write(again, data)
    except OSError:  # closed, or another user's: written to as it is
        return lambda data: os.write(fd, data)
    return lambda data: os.write(fd, data)
