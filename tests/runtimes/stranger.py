"""Another user of the machine, before an agent: run as real root, who alone can become one.

Writes, as JSON, what the stranger met, what root is answered after it, and what the agent logged.
"""

import json
import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from cnisdk.agent.protocol import Descriptor, Request, encode_request, send_fds

STRANGER = 12345
PATH = Path("/run/stranger/agent.sock")
DEADLINE = 20  # seconds


def main() -> None:
    """Start an agent, meet it as a stranger and as root, and end it."""
    command = [str(Path(sys.executable).with_name("cnisdk")), "agent", "--socket", str(PATH)]
    agent = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
    assert agent.stderr is not None
    lines = []
    for line in agent.stderr:
        lines.append(line)
        if json.loads(line)["event"] == "serving":
            break
    else:
        sys.exit(f"the agent does not serve: {lines}")
    met: dict[str, Any] = {
        "directory": stat.S_IMODE(PATH.parent.stat().st_mode),
        "as it is": as_stranger(),
    }
    PATH.parent.chmod(0o755)  # what nobody should do, and somebody will
    PATH.chmod(0o666)
    met["wide open"] = as_stranger()
    met["root after it"] = ask().decode()
    agent.terminate()
    lines += agent.communicate(timeout=DEADLINE)[1].splitlines()
    met["log"] = [json.loads(line) for line in lines]
    sys.stdout.write(json.dumps(met) + "\n")


def as_stranger() -> str:
    """Return what the agent says to a request of another user's."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            said = ask()
        except OSError as err:
            said = type(err).__name__.encode()
        os.write(write, said)
        os._exit(0)
    os.close(write)
    with open(read, "rb") as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return said.decode()


def ask() -> bytes:
    """Make a whole request, a good one but for who makes it; return the first two bytes said."""
    stdin = os.memfd_create("stdin", os.MFD_ALLOW_SEALING)
    os.write(stdin, b'{"cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "cni0"}')
    fds = [stdin, *(os.memfd_create("stream", os.MFD_ALLOW_SEALING) for _ in range(2))]
    fds.append(os.open("/proc/self/ns/net", os.O_RDONLY))
    request = Request(("bridge",), {"CNI_COMMAND": "STATUS"}, Descriptor(15))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(PATH))
        with suppress(BrokenPipeError):  # refused before it said anything
            send_fds(sock, encode_request(request), fds)
        said = sock.recv(2)
        return said if len(said) == 2 else said + sock.recv(1)


if __name__ == "__main__":
    main()
