"""Which network namespace was meant: a path, a name, a process, or a container of an engine.

``/run/netns/x``, ``x``, ``pid:1234``, ``docker:NAME``, ``podman:NAME``.  The engines are asked by
executing them, which works with whatever daemon or user their own command would talk to.
"""

import os
import re
import subprocess

from cnisdk.errors import InvalidEnvironmentError, UnknownContainerError
from cnisdk.runtime.defaults import NETNS_DIR

ENGINES = ("docker", "podman")

# The second is a path that outlives the process, but is not there for every kind of container,
# nor, for a rootless one, in our mount namespace.
_FORMAT = "{{.State.Pid}} {{.NetworkSettings.SandboxKey}}"
_PATIENCE = 20.0


class GoneError(UnknownContainerError):
    """What was named is not there, or not any more."""


class EngineError(InvalidEnvironmentError):
    """A container engine does not say where its container is; ``command`` asks it."""

    def __init__(self, msg: str, details: str, command: str) -> None:
        super().__init__(msg, details)
        self.command = command


def path_of(text: str) -> str:
    """Return the path of the network namespace that ``text`` names.

    Raises `GoneError` where there is none, InvalidEnvironmentError where that cannot be found out
    or what is there is no network namespace, ValueError for what names nothing.
    """
    kind, colon, name = text.partition(":")
    if colon and kind == "pid":
        return _of_process(name, f"process {name}")
    if colon and kind in ENGINES:
        return _of_container(kind, name)
    if not text:
        raise ValueError("is empty")
    path = os.path.abspath(text) if "/" in text else os.path.join(NETNS_DIR, text)
    _check(path)
    return path


def _check(path: str) -> None:
    from cnisdk.net.netns import NetNS, NotANamespaceError

    try:
        NetNS.open(path).close()
    except (FileNotFoundError, NotADirectoryError, NotANamespaceError) as err:
        raise GoneError(f"no network namespace {path}", str(err.strerror)) from err
    except OSError as err:
        raise InvalidEnvironmentError(
            f"network namespace {path} cannot be opened", str(err.strerror)
        ) from err


def _of_process(number: str, what: str) -> str:
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"{number!r} is no number of a process")
    path = f"/proc/{int(number)}/ns/net"
    try:
        _check(path)
    except GoneError as err:
        raise GoneError(f"no {what}", err.msg) from err
    return path


def _of_container(engine: str, name: str) -> str:
    if not name or name.startswith("-"):
        raise ValueError(f"{name!r} is no name of a container")
    pid, _, key = _inspect(engine, name).strip().partition(" ")
    if pid == "0":
        raise GoneError(f"container {name!r} of {engine} is not running")
    if key.startswith("/") and os.path.exists(key):
        _check(key)
        return key
    return _of_process(pid, f"process {pid} of {engine}'s container {name!r}")


def _inspect(engine: str, name: str) -> str:
    argv = [engine, "inspect", "--type", "container", "--format", _FORMAT, name]
    command = f"{engine} inspect {name}"
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError as err:
        raise EngineError(
            f"there is no {engine} in PATH", os.environ.get("PATH", ""), command
        ) from err
    except subprocess.TimeoutExpired as err:
        raise EngineError(
            f"{engine} does not answer", f"not within {_PATIENCE:g} seconds", command
        ) from err
    except OSError as err:
        raise EngineError(f"{engine} cannot be executed", str(err.strerror), command) from err
    said = done.stderr.strip()
    if done.returncode != 0 and re.search("no such (container|object)", said, re.IGNORECASE):
        raise GoneError(f"{engine} has no container {name!r}", said)
    if done.returncode != 0 or not re.match("[0-9]+ ", done.stdout):
        raise EngineError(
            f"{engine} does not say where container {name!r} is", said or done.stdout, command
        )
    return done.stdout
