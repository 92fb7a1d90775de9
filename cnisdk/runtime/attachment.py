"""What a runtime says about one attachment; SPEC section 2, "Parameters"."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from cnisdk import names
from cnisdk.call import AttachmentKey
from cnisdk.errors import InvalidEnvironmentError
from cnisdk.types import _json

_PROCESS = re.compile("/proc/[0-9]+/(task/[0-9]+/)?ns/net")


def is_of_process(path: str) -> bool:
    """Say whether a path names a namespace by a process, whose number may become another's."""
    return _PROCESS.fullmatch(path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentParameters:
    """A container's interface that is to be attached, checked or detached.

    ADD, CHECK and DEL of an attachment have to be given the same parameters.
    """

    container_id: str
    """CNI_CONTAINERID."""
    ifname: str
    """CNI_IFNAME."""
    netns: str = ""
    """CNI_NETNS, the absolute path of the network namespace; DEL may do without."""
    args: tuple[tuple[str, str], ...] = ()
    """CNI_ARGS as pairs."""
    capability_args: Mapping[str, Any] = field(default_factory=dict)
    """What the runtime has to say for each capability, whether or not a plugin declares it."""

    @property
    def key(self) -> AttachmentKey:
        """What identifies the attachment within its network."""
        return AttachmentKey(self.container_id, self.ifname)

    @property
    def cni_args(self) -> str:
        """CNI_ARGS as text."""
        return ";".join(f"{key}={value}" for key, value in self.args)

    def later(self) -> Self:
        """Return what of this is good for a DEL that comes on some later day.

        A namespace that was named by a process is not: the number may be another container's by
        now, and DEL would take its interface.
        """
        return replace(self, netns="") if is_of_process(self.netns) else self

    def check(self) -> None:
        """Raise InvalidEnvironmentError for everything that an ADD could not be given."""
        texts = {
            "CNI_CONTAINERID": self.container_id,
            "CNI_NETNS": self.netns,
            "CNI_IFNAME": self.ifname,
            "CNI_ARGS": self.cni_args,
        }
        problems = {
            "CNI_CONTAINERID": names.container_id_problem(self.container_id),
            "CNI_NETNS": "" if self.netns else "is empty",
            "CNI_IFNAME": names.ifname_problem(self.ifname),
            "CNI_ARGS": self._args_problem(),
        }
        for name, text in texts.items():
            problems[name] = problems[name] or _text_problem(text)
        if problem := _json_problem(self.capability_args):
            texts["CAP_ARGS"] = repr(self.capability_args)
            problems["CAP_ARGS"] = problem
        wrong = {name: why for name, why in problems.items() if why}
        if wrong:
            raise InvalidEnvironmentError(
                f"invalid env variables [{','.join(wrong)}]",
                "; ".join(f"{name}={texts[name]!r} {why}" for name, why in wrong.items()),
            )

    def _args_problem(self) -> str:
        """SPEC defines no escaping: a pair that would be read as another is refused."""
        for key, value in self.args:
            if not key or "=" in key or ";" in key + value:
                return f"cannot carry the pair {key!r}, {value!r}"
        return ""


def variables(
    command: str, attachment: AttachmentParameters | None, plugin_dirs: Sequence[str]
) -> dict[str, str]:
    """Return all six of a call, empty ones too: none may come from the runtime's own caller."""
    return {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": attachment.container_id if attachment else "",
        "CNI_NETNS": attachment.netns if attachment else "",
        "CNI_IFNAME": attachment.ifname if attachment else "",
        "CNI_ARGS": attachment.cni_args if attachment else "",
        "CNI_PATH": os.pathsep.join(plugin_dirs),
    }


def _text_problem(text: str) -> str:
    """Refuse what a variable, or the result and the cache file that repeat it, cannot hold."""
    if "\0" in text:
        return "has a zero byte"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return ""


def _json_problem(value: Mapping[str, Any]) -> str:
    try:
        _json.dumps(dict(value))
    except (TypeError, ValueError) as err:
        return f"is not JSON: {err}"
    return ""
