"""A plugin that does what the test says and remembers how it was called."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from cnisdk.runtime import AttachmentParameters, NetworkConfig

# What the shell's own variables would add to the environment is of no interest.
_SCRIPT = """#!/bin/sh
answer='{root}/answers/'"${{0##*/}}.$CNI_COMMAND"
call='{root}/calls/'"$(printf %04d $(($(ls '{root}/calls' | wc -l) + 1)))-${{0##*/}}"
env -0 > "$call.tmp"
printf '\\0' >> "$call.tmp"
cat >> "$call.tmp"
mv "$call.tmp" "$call"
if [ -e "$0.also" ]; then . "$0.also"; fi
if [ -e "$answer" ]; then cat "$answer"; fi
if [ -e "$answer.stderr" ]; then cat "$answer.stderr" >&2; fi
if [ -e "$answer.status" ]; then exit "$(cat "$answer.status")"; fi
"""

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")


class Recorded(NamedTuple):
    """One call of a plugin."""

    plugin: str
    command: str
    env: dict[str, str]
    stdin: bytes

    @property
    def config(self) -> dict[str, Any]:
        wire: dict[str, Any] = json.loads(self.stdin)
        return wire


class Plugins:
    """A directory of such plugins."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "bin"
        for directory in (self.path, root / "answers", root / "calls"):
            directory.mkdir(parents=True)

    def make(self, *names: str) -> None:
        for name in names:
            script = self.path / name
            script.write_text(_SCRIPT.format(root=self.root))
            script.chmod(0o755)
            self.answer(name, "VERSION", {"cniVersion": "1.1.0", "supportedVersions": VERSIONS})

    def answer(self, plugin: str, command: str, wire: object, *, status: int = 0) -> None:
        """Let ``plugin`` print ``wire`` (text as it is) and exit with ``status``."""
        file = self.root / "answers" / f"{plugin}.{command}"
        file.write_text(wire if isinstance(wire, str) else json.dumps(wire))
        file.with_name(file.name + ".status").write_text(str(status))

    def also(self, plugin: str, shell: str) -> None:
        """Let ``plugin`` run some shell before it answers."""
        (self.path / f"{plugin}.also").write_text(shell)

    def fail(self, plugin: str, command: str, code: int, msg: str, details: str = "") -> None:
        self.answer(plugin, command, {"code": code, "msg": msg, "details": details}, status=1)

    @property
    def calls(self) -> list[Recorded]:
        recorded = []
        for file in sorted((self.root / "calls").iterdir()):
            text, _, stdin = file.read_bytes().partition(b"\0\0")
            env = dict(pair.split("=", 1) for pair in text.decode().split("\0"))
            name = file.name.partition("-")[2]
            recorded.append(Recorded(name, env["CNI_COMMAND"], env, stdin))
        return recorded

    @property
    def run(self) -> list[str]:
        """Who was called with what, in order."""
        return [f"{call.command} {call.plugin}" for call in self.calls]

    def forget(self) -> None:
        for file in (self.root / "calls").iterdir():
            file.unlink()


def network(*plugins: str | dict[str, Any], version: str = "1.1.0", **keys: Any) -> NetworkConfig:
    """Return a network ``net`` of plugins, each a type or an object."""
    objects = [{"type": plugin} if isinstance(plugin, str) else plugin for plugin in plugins]
    wire = {"cniVersion": version, "name": "net", **keys, "plugins": objects}
    return NetworkConfig.parse(json.dumps(wire).encode())


def parameters(container_id: str = "c1", ifname: str = "eth0", **keys: Any) -> AttachmentParameters:
    keys.setdefault("netns", "/run/netns/c1")
    return AttachmentParameters(container_id=container_id, ifname=ifname, **keys)
