"""The agent's socket: whether somebody answers there, in the launchers' language."""

import socket
from collections.abc import Iterator

from cnisdk.agent import protocol
from cnisdk.agent.protocol import Answer, Descriptor, ProtocolError, Reason, Request
from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node

PATIENCE = 2.0
"""Seconds for an answer; launchers have one second by default."""

_START = "start it: 'cnisdk agent', or systemctl restart cnisdk-agent"
_NOBODY = "cnisdk-doctor"  # no plugin: refused at once, nothing is done


def check(node: Node, report: Report) -> None:
    """Ask every agent that plugins here may look for."""
    for path, needing in _sockets(node).items():
        _ask(node, report, path, sorted(needing))


def _sockets(node: Node) -> dict[str, set[str]]:
    """Return the sockets, and for each which plugins cannot do without an agent there."""
    sockets: dict[str, set[str]] = {node.socket or protocol.SOCKET: set()}
    for installed in node.plugins.values():
        if installed and installed.trailer and installed.trailer.settings:
            path = node.socket or installed.trailer.value("socket", protocol.SOCKET)
            alone = installed.trailer.value("mode") == "exec"
            sockets.setdefault(path, set()).update(() if alone else {installed.name})
    return sockets


def _ask(node: Node, report: Report, path: str, needing: list[str]) -> None:
    note = report.problem if needing else report.warning
    without = f"{', '.join(needing)} cannot do without" if needing else "calls are made without it"
    try:
        answer = ask(node.root.locate(path))
    except FileNotFoundError:
        if needing:
            note(Check.AGENT_DEAD, path, f"there is no agent, and {without}", _START)
    except ConnectionRefusedError:
        note(Check.AGENT_DEAD, path, f"the agent has ended and left its socket; {without}", _START)
    except (TimeoutError, BlockingIOError):  # the latter where too many wait already
        report.problem(
            Check.AGENT_SILENT,
            path,
            f"the agent does not answer: each call waits for it, and then {without}",
            f"look at its log, and {_START}",
        )
    except PermissionError as err:
        report.not_seen(f"the agent at {path}", err.strerror or str(err))
    except (OSError, ProtocolError) as err:
        report.problem(Check.AGENT_SILENT, path, f"is no agent of ours: {err}", _START)
    else:
        if answer.refused == Reason.VERSION.value:
            note(
                Check.AGENT_VERSION,
                path,
                f"the agent speaks another protocol than version {protocol.VERSION}; {without}",
                "install agent and plugins of one version, and restart the agent",
            )


def ask(path: str, patience: float = PATIENCE) -> Answer:
    """Return what an agent says to a call of a plugin that nobody has.

    Raises OSError where there is none, TimeoutError, ProtocolError for an answer that is none.
    """
    request = Request((_NOBODY,), {"CNI_COMMAND": "VERSION"}, Descriptor(0))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        sock.connect(path)
        sock.sendall(protocol.encode_request(request))
        data = b""
        for piece in _pieces(sock):
            data += piece
            answer = protocol.decode_answer(data)
            if answer.complete:
                return answer
    raise ProtocolError("it hangs up without an answer")


def _pieces(sock: socket.socket) -> Iterator[bytes]:
    while piece := sock.recv(64):
        yield piece
