"""Start Python plugins without starting Python: a small process that forks.

The table of mutants makes some fifteen thousand calls.  An interpreter for each would take
minutes; forking the test session, which is large, takes most of that too.  So a bare interpreter
waits on a socket for a plugin's text, its environment, its descriptors and its network namespace,
and forks.  The plugin is a child of the session (CLONE_PARENT), which waits for it as for any
other.
"""

import array
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from cnisdk.conformance.execution import CLOSED, NO_FILES, Spawn


class Zygote:
    """The session's end: starts the process, and plugins through it."""

    def __init__(self, preload: str = "") -> None:
        """``preload`` is executed before anything is forked; it finds what is installed."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._known: set[int] = set()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *(["-I"] if preload else ["-I", "-S"]),
                    Path(__file__).with_name("zygote_main.py"),
                    preload,
                ],
                stdin=theirs.fileno(),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()
        self._process.wait()

    def spawning(self, text: str) -> Spawn:
        """Return what starts the plugin that ``text`` is."""

        def spawn(
            executable: str,
            environ: Mapping[str, str],
            fds: tuple[int, int, int],
            prefix: Sequence[str],
        ) -> int:
            key = hash(text)
            request = {
                "key": key,
                "text": None if key in self._known else text,
                "environ": dict(environ),
                "closed": fds[0] == CLOSED,
                "no_files": prefix is NO_FILES,
            }
            netns = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            try:
                with self._lock:
                    pid = self._ask(request, [*fds[1:], netns, *(f for f in fds[:1] if f >= 0)])
            finally:
                os.close(netns)
            self._known.add(key)
            return pid

        return spawn

    def _ask(self, request: object, fds: list[int]) -> int:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self._socket.sendmsg([json.dumps(request).encode()], [rights])
        answer = self._socket.recv(64)
        if not answer:
            raise AssertionError("the zygote has ended")
        return int(answer)
