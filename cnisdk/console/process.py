"""One call of the plugin, in a child of ours: a runtime's call without the runtime.

The child is what an executed plugin is: `cnisdk.runner.main` with the variables, stdin and stdout
that a runtime gives, and a process of its own, so whatever a hook does to it is gone with it.  It
is forked and not executed, since this process may have no executable file: ``python my_plugin.py``.
No agent has part in it.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from types import FrameType
from typing import Any, BinaryIO, NoReturn

from cnisdk import invoke, runner
from cnisdk.call import Served
from cnisdk.plugin import Plugin

_STOPS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def call(
    plugin: type[Plugin[Any]],
    name: str,
    environ: Mapping[str, str],
    stdin: bytes,
    served: Served | None = None,
) -> bytes:
    """Serve a call of ``plugin``, called ``name``, and return its stdout.

    Raises the error that it reports.  A signal that would end this process is passed on to the
    child, which takes back what it did and reports that it was stopped.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
        question.write(stdin)
        question.seek(0)
        status = _wait(plugin, environ, question, answer, served)
        answer.seek(0)
        stdout = answer.read()
    if status != 0:
        raise invoke.reported(name, status, stdout)
    return stdout


def _wait(
    plugin: type[Plugin[Any]],
    environ: Mapping[str, str],
    question: BinaryIO,
    answer: BinaryIO,
    served: Served | None,
) -> int:
    """Run the child to its end; return its status, or minus the signal that ended it."""
    # Held back until it is known whom to pass it on to.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    child = os.fork()
    if child == 0:
        try:
            for signum in _STOPS:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _be(plugin, environ, question.fileno(), answer.fileno(), served)
        finally:
            os._exit(1)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        os.kill(child, signal.SIGTERM)

    before = {signum: signal.signal(signum, pass_on) for signum in _STOPS}
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # Not reaped yet, so the number is the child's as long as a handler may use it.
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _be(
    plugin: type[Plugin[Any]],
    environ: Mapping[str, str],
    stdin: int,
    stdout: int,
    served: Served | None,
) -> NoReturn:
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    os.environ.clear()
    os.environ.update(environ)
    del sys.argv[1:]
    runner.main(plugin, served=served)
