"""PID 1 of a container: leave serving to a child, pass signals on, reap orphans.

The kernel gives PID 1 the orphans of its namespace, and keeps from it every signal that it does
not handle; a delegate that leaves a child behind would otherwise leave a zombie for ever.
"""

import os
import signal
from contextlib import suppress

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if hasattr(signal, "SIGHUP") else ()


def become() -> None:
    """Return in a child; the parent is init, and exits with the child's status."""
    # Blocked until there is somebody to pass them on to.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return

    def pass_on(signum: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, signum)

    for signum in PASSED_ON:
        signal.signal(signum, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
