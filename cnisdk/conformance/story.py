"""What a state machine did, as a shell script that anyone can run.

It needs util-linux, iproute2 and the plugin.  Only a call that was interrupted needs cnisdk too.
"""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.tracees import Mode
from cnisdk.conformance.world import World

STATE = "$STATE"

_PLACE = "/run/story"
_HEAD = """\
#!/bin/sh
# {problem}
#
# unshare -Urnm sh THIS-FILE
mount -t tmpfs tmpfs /run && mkdir -p /run/netns {place}/results || exit 2
ip link set lo up
plugin={plugin}
call() {{  # COMMAND CONTAINER NETNS IFNAME [EXECUTED-BY...]
    command=$1 container=$2 netns=$3 ifname=$4
    shift 4
    echo "== $command $container $ifname" >&2
    env -i PATH="$PATH" CNI_PATH={path} CNI_COMMAND="$command" CNI_CONTAINERID="$container" \\
        CNI_NETNS="$netns" CNI_IFNAME="$ifname" "$@" "$plugin"
    echo "exit status $?" >&2
}}
"""
_TAIL = """
echo "== what there is now" >&2
ip -brief link
ip -brief addr
find {place} -path {place}/results -prune -o -type f -print
! command -v nft >/dev/null || nft list ruleset
"""


class Script:
    """The story so far."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lines: list[str] = []
        self._names: dict[str, str] = {}
        self._results: dict[int, str] = {}

    def container(self, attachment: Attachment) -> None:
        """Note a container when it first appears."""
        name = attachment.container.name
        if name not in self._names:
            self._names[name] = f"container{len(self._names)}"
            self._lines.append(f"ip netns add {self._names[name]}")

    def vanish(self, attachment: Attachment) -> None:
        """Note that a container's namespace went."""
        self._lines.append(f"ip netns delete {self._names[attachment.container.name]}")

    def call(
        self,
        command: str,
        attachment: Attachment,
        *,
        netns: bool = True,
        prev: bool = True,
        interrupt: tuple[int, Mode] | None = None,
    ) -> None:
        """Note a call that is about to be made."""
        name = self._names[attachment.container.name]
        words = [command, name, f"/run/netns/{name}" if netns else "", attachment.ifname]
        if interrupt is not None:
            point, mode = interrupt
            words += [sys.executable, "-m", "cnisdk.conformance.tracer", str(point), str(mode)]
        known = self._results.get(id(attachment))
        stdin = self._config(attachment.config, known if prev and command != "ADD" else None)
        line = f"call {shlex.join(words)}"
        if command == "ADD":
            result = f"{_PLACE}/results/{len(self._results)}"
            self._results[id(attachment)] = result
            line += f" >{result}"
        self._lines.append(f"{line} <<EOF\n{stdin}\nEOF")

    def gc(self, config: dict[str, Any], valid: Sequence[Attachment]) -> None:
        """Note a GC."""
        listed = [{"containerID": a.container.id, "ifname": a.ifname} for a in valid]
        stdin = self._config({**config, "cni.dev/valid-attachments": listed}, None)
        self._lines.append(f"call GC '' '' '' <<EOF\n{stdin}\nEOF")

    def named(self, text: str) -> str:
        """Put in the names that the script has."""
        for name, short in sorted(self._names.items(), key=lambda item: -len(item[0])):
            text = text.replace(name, short)
        return text.replace(str(self._world.host.state), _PLACE).replace(STATE, _PLACE)

    def text(self, problem: str) -> str:
        """Return the script; ``problem`` is what there is to see at its end."""
        head = _HEAD.format(
            problem=self.named(problem).strip().replace("\n", "\n# "),
            place=_PLACE,
            plugin=shlex.quote(self._world.subject.executable),
            path=shlex.quote(":".join(self._world.subject.search_path)),
        )
        return head + "\n" + "\n".join(self._lines) + "\n" + _TAIL.format(place=_PLACE)

    def _config(self, config: dict[str, Any], result: str | None) -> str:
        text = re.sub(r"([\\$`])", r"\\\1", self.named(json.dumps(config)))
        if result is None:
            return text
        return f'{text[:-1]}, "prevResult": $(cat {result})}}'
