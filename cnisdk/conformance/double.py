"""An IPAM plugin that writes down how it is called, and answers as it is told.

The plugin under test delegates to it by name, through CNI_PATH.  It is an executable of its own,
a shell script, and knows its directory by heart: a plugin that passes on no variables is seen
too.  For each call it writes environment and stdin to a file, says something on stderr, and
looks for its answer in a file that has the call's name.
"""

import contextlib
import itertools
import json
import os
import select
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnisdk.conformance.execution import TIMEOUT, Running

NAME = "conformance-ipam"
WITNESS = "conformance-ipam was here"
"""What it says on stderr."""

_SCRIPT = r"""#!/bin/sh
# noclobber makes the numbers of simultaneous calls differ
PATH=$PATH:/usr/bin:/bin
d={directory}
n=0
set -C
until {{ true >"$d/calls/$n"; }} 2>/dev/null; do n=$((n + 1)); done
set +C
cat /proc/$$/environ - >"$d/calls/$n"
echo "{witness}" >&2
k=$CNI_COMMAND.$CNI_CONTAINERID.$CNI_IFNAME
if [ -e "$d/hold/$k" ]; then
    echo here >"$d/hold/$k"
    read -r _ <"$d/hold/$k.go"
fi
for a in "$d/answers/$k" "$d/answers/$CNI_COMMAND"; do
    [ -e "$a.error" ] && {{ cat "$a.error"; exit 1; }}
    [ -e "$a" ] && {{ read -r line <"$a"; printf '%s\n' "$line"; exit 0; }}
done
case $CNI_COMMAND in
    ADD) echo '{{"code": 100, "msg": "no answer for '"$k"'"}}'; exit 1 ;;
esac
exit 0
"""


@dataclass(frozen=True, slots=True)
class DelegateCall:
    """How the double was called."""

    environ: Mapping[str, str]
    stdin: bytes

    @property
    def command(self) -> str:
        """CNI_COMMAND."""
        return self.environ.get("CNI_COMMAND", "")


@dataclass(frozen=True, slots=True)
class Offer:
    """What the double gives to an attachment."""

    address: str
    gateway: str
    route: str
    nameserver: str

    def result(self, version: str) -> dict[str, Any]:
        """Return it as the abbreviated result of ``version``."""
        routes = [{"dst": self.route, "gw": self.gateway}]
        dns = {"nameservers": [self.nameserver], "search": ["conformance.example"]}
        wire: dict[str, Any] = {"cniVersion": version}
        if version in ("0.1.0", "0.2.0"):
            wire["ip4"] = {"ip": self.address, "gateway": self.gateway, "routes": routes}
        else:
            ip = {"address": self.address, "gateway": self.gateway}
            if version.startswith("0."):
                ip["version"] = "4"
            wire |= {"ips": [ip], "routes": routes}
        return {**wire, "dns": dns}


class Hold:
    """A call of the double that waits in the middle."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._go = path.with_name(path.name + ".go")
        os.mkfifo(path)
        os.mkfifo(self._go)
        self._arrived = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self, caller: Running) -> bool:
        """Wait until the double has been called, or its caller ended; say whether it was."""
        poll = select.poll()
        poll.register(self._arrived, select.POLLIN)
        poll.register(caller, select.POLLIN)
        return any(fd == self._arrived for fd, _ in poll.poll(TIMEOUT * 1000))

    def close(self) -> None:
        """Let it go on, if it still lives."""
        with contextlib.suppress(OSError):  # nobody waits
            fd = os.open(self._go, os.O_WRONLY | os.O_NONBLOCK)
            os.write(fd, b"\n")
            os.close(fd)
        os.close(self._arrived)
        self._path.unlink()
        self._go.unlink()


class Double:
    """The double of one world, in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self.type = NAME
        """``ipam.type`` of a configuration that delegates to it."""
        self._numbers = itertools.count(2)
        for name in ("calls", "answers", "hold", "bin"):
            (directory / name).mkdir(parents=True)
        self.executable.write_text(
            _SCRIPT.format(directory=shlex.quote(str(directory)), witness=WITNESS)
        )
        self.executable.chmod(0o755)

    @property
    def executable(self) -> Path:
        """The script; its directory belongs into CNI_PATH."""
        return self.path / "bin" / NAME

    def offer(self, container_id: str, ifname: str, version: str) -> Offer:
        """Have the ADD of an attachment answered with an address of its own."""
        number = next(self._numbers)
        offer = Offer(
            address=f"10.77.{number >> 8}.{number & 255}/16",
            gateway="10.77.0.1",
            route=f"10.{128 + number % 100}.0.0/16",
            nameserver="10.77.0.1",
        )
        self._answer("ADD", container_id, ifname).write_text(
            json.dumps(offer.result(version)) + "\n"
        )
        return offer

    @contextlib.contextmanager
    def failing(
        self, command: str, container_id: str = "", ifname: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Have calls answered with an error for the length of the block; yields the error."""
        error: dict[str, Any] = {
            "cniVersion": "1.0.0",
            "code": 11,
            "msg": "the delegate refuses for now",
            "details": f"the conformance kit wants {command} to fail",
        }
        path = self._answer(command, container_id, ifname)
        path = path.with_name(path.name + ".error")
        path.write_text(json.dumps(error))
        try:
            yield error
        finally:
            path.unlink()

    @contextlib.contextmanager
    def holding(self, command: str, container_id: str, ifname: str) -> Iterator[Hold]:
        """Have a call wait in the middle, for the length of the block; yields the `Hold`."""
        hold = Hold(self.path / "hold" / f"{command}.{container_id}.{ifname}")
        try:
            yield hold
        finally:
            hold.close()

    def calls(self, command: str = "", container_id: str = "") -> list[DelegateCall]:
        """Return the calls so far, the first first."""
        found = []
        for path in sorted((self.path / "calls").iterdir(), key=lambda path: int(path.name)):
            environ, _, stdin = path.read_bytes().rpartition(b"\0")
            pairs = (item.partition("=") for item in os.fsdecode(environ).split("\0"))
            call = DelegateCall({key: value for key, _, value in pairs}, stdin)
            if command in ("", call.command) and (
                container_id in ("", call.environ.get("CNI_CONTAINERID"))
            ):
                found.append(call)
        return found

    def _answer(self, command: str, container_id: str, ifname: str) -> Path:
        name = f"{command}.{container_id}.{ifname}" if container_id else command
        return self.path / "answers" / name
