"""Socket activation, readiness and watchdog as systemd has them.

See sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3).  What concerns this process alone
is taken out of the environment, so that no child takes it for its own.
"""

import os
import socket

FIRST_FD = 3


def listener() -> socket.socket | None:
    """Return the listening socket that systemd (or we, before a re-exec) passed; None if none.

    Raises ValueError if it is not one stream socket that listens.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or count == "0":
        return None
    if count != "1":
        raise ValueError(f"{count} sockets were passed, the agent listens on one")
    os.set_inheritable(FIRST_FD, False)
    sock = socket.socket(fileno=FIRST_FD)
    wanted = (socket.AF_UNIX, socket.SOCK_STREAM, 1)
    if (sock.family, sock.type, _accepts(sock)) != wanted:
        raise ValueError("the socket that was passed is no listening AF_UNIX stream socket")
    return sock


def pass_listener(sock: socket.socket) -> None:
    """Leave ``sock`` to the program that this process is about to execute."""
    fd = sock.detach()
    if fd != FIRST_FD:
        os.dup2(fd, FIRST_FD)
    os.set_inheritable(FIRST_FD, True)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}


def notify(state: str) -> None:
    """Tell the service manager; does nothing where there is none, or it does not listen."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), socket.MSG_DONTWAIT, address)
        except OSError:
            return


def watchdog_interval() -> float | None:
    """Return how often, in seconds, the service manager wants to hear WATCHDOG=1; None: never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdigit() else None


def _accepts(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
