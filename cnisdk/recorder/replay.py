"""Run a recorded call again on a private host, and compare its outcome with the recorded one.

The caller is inside a private host (`cnisdk.conformance.private`), where /run and the directories
of state are empty.  The container's namespace is a new one, at the recorded path if that is in
/run.  The calls that the attachment had before go first, so that a CHECK or DEL finds what its ADD
made, and a plugin in the middle what those before it made; what they make up anew, such as the
names of links, goes into the ``prevResult`` of those that follow (`cnisdk.recorder.volatile`).
"""

import ipaddress
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnisdk import invoke
from cnisdk.conformance import cover, private
from cnisdk.conformance.host import Host
from cnisdk.errors import CNIError
from cnisdk.recorder.call import Call
from cnisdk.recorder.diff import Difference, differences
from cnisdk.recorder.volatile import Translation
from cnisdk.recorder.wrapping import original
from cnisdk.types import _json

if sys.platform == "linux":
    from cnisdk.net import netns
    from cnisdk.net._uapi import MNT_DETACH
    from cnisdk.net.libc import umount2

TIMEOUT = 120.0
"""Seconds for one call; the recorded one may have been ended by its runtime."""

_DATA_DIR = "/var/lib/cni/networks"
_OURS = ("/run/", "/var/run/", "/var/lib/cni/", "/var/lib/cnisdk/")


class NotReplayableError(Exception):
    """Why a call cannot be run again."""


@dataclass(slots=True)
class Outcome:
    """How a call ended this time."""

    call: Call
    executable: str
    status: int
    stdout: str
    stderr: str
    differences: list[Difference]

    @property
    def same(self) -> bool:
        """Whether it ended as it was recorded."""
        return not self.differences


@dataclass(slots=True)
class Replay:
    """A call that was run again, and what was before."""

    outcome: Outcome
    before: list[Outcome] = field(default_factory=list)


def replay(
    call: Call,
    before: Sequence[Call],
    *,
    state: Path,
    cni_path: str = "",
    prefix: Sequence[str] = (),
) -> Replay:
    """Run ``before`` and then ``call``, which ``prefix`` executes, such as strace.

    ``state`` is an empty directory.  ``cni_path`` takes the place of the recorded CNI_PATH.
    Raises NotReplayableError for what was not recorded whole, or cannot be found.
    """
    if not private.inside():
        raise NotReplayableError("this is not a private host")
    with ExitStack() as stack:
        host = Host(state)
        stack.callback(host.close)
        stage = _Stage(host, stack, cni_path)
        done = [stage.play(one) for one in before]
        return Replay(stage.play(call, prefix), done)


def executable_of(call: Call, cni_path: str = "") -> str:
    """Return the plugin that ``call`` is a call of: itself, not its recorder."""
    if call.cut.get("stdin"):
        raise NotReplayableError(
            f"call {call.id}: its stdin has {call.cut['stdin']} bytes, of which not all were kept"
        )
    recorded = os.path.dirname(str(call.fields.get("executable") or ""))
    dirs = (cni_path or call.env.get("CNI_PATH", "")).split(os.pathsep)
    try:
        found = invoke.find(call.plugin, [one for one in [*dirs, recorded] if one])
    except CNIError as err:
        raise NotReplayableError(f"call {call.id}: {err.msg} ({err.details})") from err
    return original(found)


class _Stage:
    """The host, and what is known of it so far."""

    def __init__(self, host: Host, stack: ExitStack, cni_path: str) -> None:
        self.host = host
        self.stack = stack
        self.cni_path = cni_path
        self.translation = Translation()
        self._namespaces: set[str] = set()
        self._covered: set[str] = set()

    def play(self, call: Call, prefix: Sequence[str] = ()) -> Outcome:
        """Run one call."""
        executable = executable_of(call, self.cni_path)
        self._namespace(call)
        self._state(call)
        env = {**call.env}
        if self.cni_path:
            env["CNI_PATH"] = self.cni_path
        if call.netns:
            env["CNI_NETNS"] = self.translation.value(call.netns)
        done = self.host.run(
            *prefix,
            executable,
            input=self.translation.stdin(call),
            env=env,
            check=False,
            timeout=TIMEOUT,
        )
        answer = _object(done.stdout)
        self.translation.learn(call, answer)
        return Outcome(
            call,
            executable,
            done.returncode,
            done.stdout,
            done.stderr,
            self._compare(call, done.returncode, answer, done.stdout),
        )

    def _namespace(self, call: Call) -> None:
        """Have a namespace for the container, unless there was none when it was recorded."""
        path = call.netns
        if not path or path in self._namespaces or call.fields.get("netns", 0) is None:
            return
        self._namespaces.add(path)
        ours = os.path.realpath(path).startswith("/run/")
        if ours and os.path.normpath(path) == path and not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            netns.create(path)
            self.stack.callback(_delete, path)
        else:
            self.translation.add(path, self.host.container().path)

    def _state(self, call: Call) -> None:
        """Have an IPAM plugin that keeps files start from where it was.

        What it gave to others is not known, but that the recorded address was the next one is.
        """
        ipam = call.config.get("ipam")
        if not isinstance(ipam, dict) or ipam.get("type") != "host-local":
            return
        data_dir = ipam.get("dataDir") or _DATA_DIR
        if not isinstance(data_dir, str) or not data_dir.startswith("/"):
            raise NotReplayableError(f"call {call.id}: dataDir {data_dir!r} is no absolute path")
        self._cover(os.path.normpath(data_dir))
        name = call.network
        ips = call.answer.get("ips")
        if call.command != "ADD" or not isinstance(ips, list) or "/" in name or name in ("", ".."):
            return
        directory = os.path.join(data_dir, name)
        os.makedirs(directory, exist_ok=True)
        for index, ip in enumerate(ips):
            with suppress(ValueError, TypeError, AttributeError):
                address = ipaddress.ip_interface(ip.get("address")).ip
                Path(directory, f"last_reserved_ip.{index}").write_text(
                    str(address - 1), encoding="ascii"
                )

    def _cover(self, path: str) -> None:
        """Have an empty directory at ``path``, until the end."""
        if path not in self._covered:
            self._covered.add(path)
            _reach(path)
            cover.empty(path)
            self.stack.callback(umount2, path, MNT_DETACH)

    def _compare(
        self, call: Call, status: int, answer: dict[str, Any], stdout: str
    ) -> list[Difference]:
        if call.status is None:
            return [Difference("exit_status", "it did not end", str(status))]
        found = []
        if call.status != status:
            found.append(Difference("exit_status", str(call.status), str(status)))
        if answer or call.answer:
            found += differences(self.translation.answer(call.answer), answer)
        elif call.stdout.decode("utf-8", "replace") != stdout:
            found += differences(call.stdout.decode("utf-8", "replace"), stdout)
        return found


def _reach(path: str) -> None:
    """Have a directory at ``path`` to cover; one that is to be made is not made on the machine."""
    if path == "/":
        raise NotReplayableError("dataDir is /")
    if not os.path.isdir(path) and not f"{path}/".startswith(_OURS):
        top = path
        while not os.path.isdir(os.path.dirname(top)):
            top = os.path.dirname(top)
        cover.add(top)
    os.makedirs(path, exist_ok=True)


def _delete(path: str) -> None:
    with suppress(FileNotFoundError):
        netns.delete(path)


def _object(text: str) -> dict[str, Any]:
    try:
        value = _json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
