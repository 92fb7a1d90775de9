"""``chaos``: a plugin for chains that fails when it is told to, and passes on all else.

    {"type": "chaos", "faults": [
        {"do": "fail", "verb": "ADD", "attempt": 2, "code": 11, "msg": "try again"}
    ]}

``faults`` is a list, of which the first that applies happens:

- ``do``: ``pass``; ``fail`` with ``code``, ``msg`` and ``details``; ``block``, for ``seconds``
  or for ever; ``crash`` by ``signal``, SIGKILL by default; ``garble``, that is to answer
  ``stdout``, or something that is no JSON, with exit status ``status``.
- ``verb``: one of CNI_COMMAND or a list of them; all by default.
- ``attempt``: the number of the call of that verb for this container and interface, the first
  is 1, or a list; all by default.  Calls are counted in files under ``stateDir``.
- ``moment``: ``start``, before stdin is read; ``read``, after that, the default; ``answer``,
  after half of the answer was written.  At ``start`` nothing is known of the configuration, so
  it is only for ``chaos`` with the file ``chaos.json`` beside its executable, which has the
  same keys.

`install` writes the executable.  It needs nothing but Python, and runs where cnisdk is not.
"""

import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
STATE_DIR = "/run/cnisdk-chaos"
GARBLED = '{"cniVersion": "1.0.0", "ips": [{"addr'

_FOR_EVER = 1 << 30
_VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")


class ConfigError(Exception):
    """The faults are not told as they have to be."""


def install(directory: str, *, name: str = "chaos", python: str = sys.executable) -> str:
    """Write the executable into ``directory`` and return its path."""
    with open(__file__, encoding="utf-8") as file:
        source = file.read()
    path = os.path.join(directory, name)
    draft = f"{path}.draft"
    with open(draft, "w", encoding="utf-8") as file:
        # The shell sees a command; Python a string: a first line has little room.
        file.write(f"#!/bin/sh\n'''exec' '{python}' -I \"$0\" \"$@\"\n' '''\n{source}")
    os.chmod(draft, 0o755)  # noqa: S103 - an executable
    os.replace(draft, path)
    return path


def main() -> NoReturn:
    """Be the plugin."""
    verb = os.environ.get("CNI_COMMAND", "")
    try:
        beside = _beside()
        if fault := _chosen(beside, verb, "start"):
            _do(fault)
        text = sys.stdin.read()
        config = json.loads(text) if verb != "VERSION" else {}
        told = config if "faults" in config else beside
        if fault := _chosen(told, verb, "read"):
            _do(fault)
        answer = _answer(verb, config)
        if fault := _chosen(told, verb, "answer"):
            sys.stdout.write(answer[: len(answer) // 2])
            sys.stdout.flush()
            _do(fault)
    except (ConfigError, ValueError) as err:
        _end({"cniVersion": "1.0.0", "code": 7, "msg": "no such chaos", "details": str(err)}, 1)
    sys.stdout.write(answer)
    sys.exit(0)


def _beside() -> dict[str, Any]:
    path = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "chaos.json")
    try:
        with open(path, encoding="utf-8") as file:
            value: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        return {}
    return value


def _answer(verb: str, config: dict[str, Any]) -> str:
    """Return what a plugin says that does nothing: the result of the one before it."""
    if verb == "VERSION":
        return json.dumps({"cniVersion": VERSIONS[-1], "supportedVersions": list(VERSIONS)})
    if verb != "ADD":
        return ""
    nothing = {"cniVersion": config.get("cniVersion", "0.1.0")}
    return json.dumps(config.get("prevResult") or nothing)


def _chosen(told: dict[str, Any], verb: str, moment: str) -> dict[str, Any] | None:
    """Return the fault that happens at this moment, None if none does."""
    faults = told.get("faults", [])
    if not (isinstance(faults, list) and all(isinstance(fault, dict) for fault in faults)):
        raise ConfigError("$.faults: no list of objects")
    for fault in faults:
        _check(fault)
    here: list[dict[str, Any]] = [
        fault for fault in faults if fault.get("moment", "read") == moment
    ]
    if not here:
        return None
    attempt = _count(told.get("stateDir", STATE_DIR), verb, moment)
    for fault in here:
        if verb in _listed(fault, "verb", verb) and attempt in _listed(fault, "attempt", attempt):
            return fault
    return None


def _check(fault: dict[str, Any]) -> None:
    for key, known in (
        ("do", ("pass", "fail", "block", "crash", "garble")),
        ("moment", ("start", "read", "answer")),
        ("verb", _VERBS),
    ):
        for value in _listed(fault, key, None):
            if value not in known and not (value is None and key != "do"):
                raise ConfigError(f"$.faults[].{key}: {value!r} is none of {', '.join(known)}")


def _listed(fault: dict[str, Any], key: str, default: object) -> list[object]:
    value = fault.get(key, default)
    return value if isinstance(value, list) else [value]


def _count(directory: str, verb: str, moment: str) -> int:
    """Return the number of this call: each is a byte in a file."""
    os.makedirs(directory, exist_ok=True)
    who = (os.environ.get(f"CNI_{key}", "") for key in ("CONTAINERID", "IFNAME"))
    name = ":".join((*who, verb, moment)).replace("/", "_")
    fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, b".")
        return os.lseek(fd, 0, os.SEEK_CUR)
    finally:
        os.close(fd)


def _do(fault: dict[str, Any]) -> None:
    """Let it happen; returns if the call then goes on."""
    what = fault["do"]
    if what == "fail":
        error = {"cniVersion": "1.0.0", "code": fault.get("code", 100)}
        error["msg"] = fault.get("msg", "chaos was told to fail")
        _end(error | ({"details": fault["details"]} if "details" in fault else {}), 1)
    elif what == "block":
        time.sleep(fault.get("seconds", _FOR_EVER))
    elif what == "crash":
        number = signal.Signals[fault.get("signal", "SIGKILL")]
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif what == "garble":
        sys.stdout.write(fault.get("stdout", GARBLED))
        sys.exit(fault.get("status", 0))


def _end(value: dict[str, Any], status: int = 0) -> NoReturn:
    sys.stdout.write(json.dumps(value))
    sys.exit(status)


if __name__ == "__main__":
    if "CNI_COMMAND" in os.environ:
        main()
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cnisdk.conformance.chaos DIRECTORY")
    sys.stdout.write(f"{install(sys.argv[1])}\n")
