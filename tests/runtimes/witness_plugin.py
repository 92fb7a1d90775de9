"""A plugin for the end of a chain: it notes each call, and fails an ADD when it is told to."""

import json
import os
import sys
from pathlib import Path

SCRIPT = """\
#!{python} -IS
import json, os, sys
command = os.environ["CNI_COMMAND"]
config = json.load(sys.stdin)
names = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS")
call = {{name: os.environ.get(name) for name in names}}
line = {{"command": command, **call, "prevResult": config.get("prevResult")}}
with open({calls!r}, "a") as file:
    file.write(json.dumps(line) + "\\n")
version = {{"cniVersion": config["cniVersion"]}}
if command == "VERSION":
    print(json.dumps({{**version, "supportedVersions": ["0.4.0", "1.0.0"]}}))
if command == "ADD" and os.path.exists({failing!r}):
    print(json.dumps({{**version, "code": 100, "msg": "told to fail"}}))
    sys.exit(1)
if command == "ADD":
    print(json.dumps(config["prevResult"]))
"""


class Witness:
    """The plugin ``witness`` in a directory of plugins."""

    def __init__(self, directory: Path, state: Path) -> None:
        self._calls = state / "calls"
        self._failing = state / "failing"
        script = SCRIPT.format(
            python=sys.executable, calls=str(self._calls), failing=str(self._failing)
        )
        path = directory / "witness"
        path.write_text(script)
        path.chmod(0o755)

    def calls(self, command: str, container: str = "") -> list[dict[str, object]]:
        """Return the calls of one command, for one container if so asked, in their order."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [
            call
            for call in map(json.loads, lines)
            if call["command"] == command and container in call["CNI_CONTAINERID"]
        ]

    def fail(self, *, failing: bool) -> None:
        """Have each ADD fail from now on, or no more."""
        if failing:
            self._failing.touch()
        elif self._failing.exists():
            os.unlink(self._failing)
