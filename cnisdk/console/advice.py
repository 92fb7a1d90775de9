"""Explain a failed command: what happened, where, and what to do next."""

import os
import shlex
from typing import NamedTuple

from cnisdk.console.choice import NoConfigError
from cnisdk.console.netns import EngineError, GoneError
from cnisdk.console.subject import Subject
from cnisdk.errors import CNIError
from cnisdk.runtime.errors import AlreadyAttachedError, BrokenConfigError, NotAttachedError

# Of messages, those that say more than their code does; the first that fits counts.
_KNOWN = (
    (
        "interface that the container already has",
        "choose another name with --ifname: that interface is not {name}'s to replace",
    ),
    (
        "failed to find plugin",
        "install that plugin beside {name}, or say where it is with --cni-path",
    ),
    (
        "names no network namespace",
        "NETNS is a path, a name of 'ip netns list', pid:NUMBER, docker:NAME or podman:NAME",
    ),
    ("nft: no such program", "install nftables, or have {where} do without firewall rules"),
    ("no such program in path", "install that program, or put its directory into PATH"),
    ("no IP addresses available", "detach containers, or give {where} a larger range of addresses"),
    ("has been allocated to", "detach the container first: {delete}"),
    ("no space left on device", "make room where the details say, and run it again"),
    ("read-only file system", "make the file system of the details writable, and run it again"),
)

_BY_CODE = {
    1: "change cniVersion in {where}; '{command} version' shows what {name} speaks",
    2: "take that key out of {where}; '{command} schema' shows the keys there are",
    3: "'{command} add' attaches; what is attached is in {results}",
    4: "correct what the details name; '{command} {verb} --help' says how it is typed",
    5: "mend what the details name, and run it again",
    6: "correct {where}, which is not the JSON that it should be",
    7: "correct {where}; '{command} schema' shows the keys there are",
    8: "name a container with a namespace of its own: this one uses the host's",
    11: "run it again in a moment",
    50: "mend what the details name; until then {name} takes no container",
    51: "mend what the details name; containers that are attached may be cut off too",
    999: "this is a defect of {name}: report it with what stands above",
}


class Situation(NamedTuple):
    """What was typed, for commands to repeat."""

    subject: Subject
    verb: str
    where: str = ""
    """Where the configuration is from, as far as it is known."""
    attachment: tuple[str, ...] = ()
    """The arguments by which an attachment is named again."""
    results: str = ""
    """The directory in which attachments are remembered."""


def explain(err: CNIError, situation: Situation) -> str:
    """Return the lines that a person is shown for ``err``."""
    lines = [f"Error: {err.msg} (code {err.code})"]
    details = err.problems if isinstance(err, BrokenConfigError) else [err.details]
    lines += [f"  {line}" for detail in details for line in detail.splitlines()]
    lines.append(f"Next: {next_step(err, situation)}")
    return "\n".join(lines)


def next_step(err: CNIError, situation: Situation) -> str:
    """Return what to do about ``err``."""
    command = situation.subject.command
    words = {
        "name": situation.subject.name,
        "verb": situation.verb,
        "where": situation.where or "the configuration",
        "command": command,
        "delete": f"{command} {shlex.join(['del', *situation.attachment])}",
        "results": situation.results,
    }
    if step := _of_ours(err):
        return step.format(**words)
    text = str(err).lower()
    if _is_refused(text):
        return _privileges()
    for known, step in _KNOWN:
        if known.lower() in text:
            return step.format(**words)
    step = _BY_CODE.get(err.code, "")
    if not step and situation.verb == "check":
        step = "to make it anew: {delete}, then '{command} add' with the same arguments"
    elif not step:
        step = "mend what stands above; '{command} status' asks whether ADD could work"
    return step.format(**words)


def _of_ours(err: CNIError) -> str:
    """Return the step for an error that the console itself found."""
    match err:
        case AlreadyAttachedError():
            return "detach it first: {delete}; or choose another --ifname"
        case NotAttachedError():
            return "'{command} add' attaches; what is attached is in {results}"
        case NoConfigError():
            return "write one and name it with --config FILE; '{command} schema' shows its keys"
        case BrokenConfigError():
            return f"correct {err.path or 'the configuration'}"
        case GoneError():
            return (
                "'ip netns add NAME' makes a namespace; NETNS may also be a path, "
                "pid:NUMBER, docker:NAME or podman:NAME"
            )
        case EngineError():
            return f"see what '{err.command}' says; or name the namespace by its path or pid:NUMBER"
    return ""


def _is_refused(text: str) -> bool:
    return "permission denied" in text or "operation not permitted" in text


def _privileges() -> str:
    if os.geteuid() != 0:
        return "networks of the machine are changed by root: run it again with sudo"
    return "root alone is not enough here: it takes CAP_NET_ADMIN and CAP_SYS_ADMIN on this host"
