"""Calls as they were recorded: read them, one or all of a directory.

Each is a file of JSON that `cnisdk.recorder.log` wrote.  Only ``plugin``, ``command``, ``env``,
``stdin``, ``stdout``, ``stderr`` and ``exit_status`` need be there, so that calls which something
else has recorded in this form can be shown and replayed too.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from cnisdk.recorder.log import VERSIONS
from cnisdk.types import _json

_SUFFIX = ".json"


class UnreadableError(Exception):
    """A file that has no call in it; says which and why."""


class Call:
    """One call of a plugin."""

    def __init__(self, id: str, fields: Mapping[str, Any]) -> None:
        """Take a call from what was written; raises ValueError for what cannot be one."""
        self.id = id
        """Its number, with a ``v`` in front for one of VERSION; or the path of its file."""
        self.fields = fields
        self.plugin = _text(fields, "plugin")
        self.command = _text(fields, "command")
        self.runtime = str(fields.get("runtime") or "")
        self.stdin, self.stdout, self.stderr = (
            _text(fields, name).encode("utf-8", "surrogateescape")
            for name in ("stdin", "stdout", "stderr")
        )
        env = fields.get("env")
        if not isinstance(env, dict) or not all(isinstance(v, str) for v in env.values()):
            raise ValueError("env is no object of strings")
        self.env: dict[str, str] = env
        status = fields.get("exit_status")
        if status is not None and (not isinstance(status, int) or isinstance(status, bool)):
            raise ValueError("exit_status is no integer")
        self.status: int | None = status
        """Minus the signal's number if one ended it; None if the end was not seen."""
        self.time = _number(fields, "time")
        self.seconds = _number(fields, "seconds")
        self.cut: Mapping[str, int] = fields.get("cut") or {}
        """How long a stream was of which not all is here."""

    @property
    def container(self) -> str:
        """CNI_CONTAINERID."""
        return self.env.get("CNI_CONTAINERID", "")

    @property
    def ifname(self) -> str:
        """CNI_IFNAME."""
        return self.env.get("CNI_IFNAME", "")

    @property
    def netns(self) -> str:
        """CNI_NETNS."""
        return self.env.get("CNI_NETNS", "")

    @cached_property
    def config(self) -> dict[str, Any]:
        """What stdin had; nothing if that is no object."""
        return _object(self.stdin)

    @cached_property
    def answer(self) -> dict[str, Any]:
        """What stdout had, a result or an error; nothing if that is no object."""
        return _object(self.stdout)

    @property
    def network(self) -> str:
        """The name of the network."""
        name = self.config.get("name")
        return name if isinstance(name, str) else ""

    @property
    def prev_result(self) -> dict[str, Any]:
        """What the plugin was given of those before it."""
        found = self.config.get("prevResult")
        return found if isinstance(found, dict) else {}

    @property
    def is_delegate(self) -> bool:
        """Whether another plugin called it: its configuration is that one's."""
        return bool(self.config.get("type", self.plugin) != self.plugin)

    @property
    def failed(self) -> bool:
        """Whether it failed, or has not been seen to end."""
        return self.status != 0

    @property
    def outcome(self) -> str:
        """How it ended, in a few words."""
        if self.status is None:
            return "did not end"
        if self.status == 0:
            return "ok"
        how = f"signal {-self.status}" if self.status < 0 else f"status {self.status}"
        code, msg = self.answer.get("code"), self.answer.get("msg")
        return f"code {code}: {msg}" if code is not None else how


def load(text: bytes, id: str) -> Call:
    """Return the call of a file with this content; UnreadableError if there is none."""
    try:
        fields = json.loads(text)  # which lets lone surrogates pass: bytes that are no UTF-8
        if not isinstance(fields, dict):
            raise UnreadableError(f"{id}: no JSON object")
        return Call(id, fields)
    except ValueError as err:
        raise UnreadableError(f"{id}: {err}") from err


def find(name: str, directory: str) -> Call:
    """Return the call of a number in ``directory``, or of a file; UnreadableError."""
    number = name.removeprefix("v")
    if number.isascii() and number.isdigit():
        where = os.path.join(directory, VERSIONS) if name.startswith("v") else directory
        path = os.path.join(where, f"{int(number):08}{_SUFFIX}")
    else:
        path = name
    try:
        with open(path, "rb") as file:
            return load(file.read(), name)
    except FileNotFoundError as err:
        raise UnreadableError(f"there is no call {name} in {directory}") from err
    except OSError as err:
        raise UnreadableError(f"{path}: {err.strerror}") from err


def calls(directory: str, *, problems: list[str] | None = None) -> list[Call]:
    """Return all calls of ``directory``, oldest first; OSError if it cannot be read.

    What cannot be read is added to ``problems``: a call may be about to be written, or dropped.
    """
    found = []
    for id, path in _files(directory):
        try:
            with open(path, "rb") as file:
                found.append(load(file.read(), id))
        except FileNotFoundError:
            continue
        except UnreadableError as err:
            if problems is not None:
                problems.append(str(err))
    return sorted(found, key=lambda call: call.time or 0)


def clear(directory: str) -> int:
    """Forget all calls of ``directory``; return how many."""
    paths = [path for _, path in _files(directory)]
    for path in paths:
        os.unlink(path)
    return len(paths)


def _files(directory: str) -> Iterator[tuple[str, str]]:
    for prefix, where in (("", directory), ("v", os.path.join(directory, VERSIONS))):
        if prefix and not os.path.isdir(where):
            continue
        for name in sorted(os.listdir(where)):
            stem = name.removesuffix(_SUFFIX)
            path = os.path.join(where, name)
            if stem.isdigit() and stem != name and stat.S_ISREG(os.lstat(path).st_mode):
                yield f"{prefix}{int(stem)}", path


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is no string")  # noqa: TRY004 - of the content
    return value


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = _json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
