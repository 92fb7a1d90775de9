"""Find a plugin in CNI_PATH and execute it: what runtimes and delegating plugins share.

SPEC sections 3 and 4.  A plugin that answers with an error object raises that error here, code,
message and details kept; its stderr goes where the caller's logs go, while it runs.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cnisdk import cancel
from cnisdk.call import Call, HandOver
from cnisdk.errors import (
    CNIError,
    DecodingError,
    InternalError,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
    IOFailureError,
)
from cnisdk.types import _json
from cnisdk.undo import Undo

if TYPE_CHECKING:
    from cnisdk.net.execute import Completed

EXTENSIONS = (".exe", "") if sys.platform == "win32" else ("",)

# A plugin that is being replaced may be open for writing for a moment (ETXTBSY); a new process
# is made for each try.  Seconds to wait before the next one.
_BUSY_DELAYS = (0.01, 0.05, 0.2, 0.5, 1.0, 2.0)


def find(plugin: str, dirs: Sequence[str]) -> str:
    """Return the path of the executable ``plugin`` in the first of ``dirs`` that has it.

    Raises InvalidNetworkConfigError for what cannot be a plugin's name, and
    InvalidEnvironmentError, naming CNI_PATH, when no directory has it.
    """
    if not plugin:
        raise InvalidNetworkConfigError("no plugin name provided")
    if "/" in plugin or "\\" in plugin or plugin in (".", ".."):
        raise InvalidNetworkConfigError("invalid plugin name", plugin)
    if not dirs:
        raise InvalidEnvironmentError(
            "required env variables [CNI_PATH] missing", f"needed to find plugin {plugin!r}"
        )
    not_executable = ""
    for directory in dirs:
        for extension in EXTENSIONS:
            path = os.path.join(directory or ".", plugin + extension)
            if os.path.isfile(path):
                if os.access(path, os.X_OK):
                    return path
                not_executable = not_executable or path
    if not_executable:
        raise InvalidEnvironmentError(f"plugin {plugin!r} is not executable", not_executable)
    raise InvalidEnvironmentError(
        f"failed to find plugin {plugin!r} in CNI_PATH", f"searched {', '.join(dirs)}"
    )


def execute(
    executable: str,
    *,
    environ: Mapping[str, str],
    stdin: bytes,
    stderr_fd: int = 2,
    timeout: float | None = None,
) -> bytes:
    """Run one plugin and return its stdout.

    Raises the error that the plugin reported; InternalError when it failed without reporting
    one; IOFailureError when it could not be run or did not end within ``timeout`` seconds.
    """
    try:
        done = _run([executable], environ, stdin, stderr_fd, timeout)
    except OSError as err:
        raise IOFailureError(f"failed to execute {executable}", str(err)) from err
    if done.status != 0:
        raise reported(os.path.basename(executable), done.status, done.stdout)
    return done.stdout


def _run(
    argv: list[str],
    environ: Mapping[str, str],
    stdin: bytes,
    stderr_fd: int,
    timeout: float | None,
) -> "Completed":
    """Execute ``argv``, in a new process for each try while its file is busy."""
    import errno
    import time

    from cnisdk.net import execute

    for delay in _BUSY_DELAYS:
        try:
            return execute.run(argv, env=environ, stdin=stdin, stderr_fd=stderr_fd, timeout=timeout)
        except OSError as err:
            if err.errno != errno.ETXTBSY:
                raise
        with cancel.interruptible():
            time.sleep(delay)
    return execute.run(argv, env=environ, stdin=stdin, stderr_fd=stderr_fd, timeout=timeout)


def reported(plugin: str, status: int, stdout: bytes) -> CNIError:
    """Return the error of a plugin that ended with ``status``; SPEC section 5, "Error".

    A negative status is the signal that killed it.
    """
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    try:
        wire = _json.loads(stdout)
    except ValueError:
        said = stdout[:200].decode("utf-8", "replace")
        return InternalError(f"plugin {plugin} failed without an error object", f"{how}: {said!r}")
    if not isinstance(wire, dict):
        return InternalError(f"plugin {plugin} failed without an error object", how)
    code, msg, details = wire.get("code"), wire.get("msg"), wire.get("details")
    if not isinstance(code, int) or isinstance(code, bool) or code < 0 or not isinstance(msg, str):
        return InternalError(f"plugin {plugin} failed with a malformed error object", how)
    return CNIError.of(
        code, msg or f"plugin {plugin} failed with no error message: {how}", str(details or "")
    )


class VersionInfo(NamedTuple):
    """A plugin's answer to VERSION; SPEC section 5, "Version"."""

    cni_version: str
    supported_versions: tuple[str, ...]


def version_info(
    executable: str,
    *,
    environ: Mapping[str, str],
    cni_version: str,
    stderr_fd: int = 2,
    timeout: float | None = None,
) -> VersionInfo:
    """Ask a plugin which versions it speaks; SPEC section 2, VERSION."""
    asked = {
        **environ,
        "CNI_COMMAND": "VERSION",
        "CNI_CONTAINERID": "",
        "CNI_ARGS": "",
        # what libcni sends: plugins of the 0.1.0 era insist on values here
        "CNI_NETNS": "dummy",
        "CNI_IFNAME": "dummy",
        "CNI_PATH": "dummy",
    }
    stdin = _json.dumps({"cniVersion": cni_version}).encode()
    try:
        out = execute(executable, environ=asked, stdin=stdin, stderr_fd=stderr_fd, timeout=timeout)
    except CNIError as err:
        if "unknown CNI_COMMAND: VERSION" in err.msg:
            return VersionInfo("0.1.0", ("0.1.0",))
        raise
    return _version_info(os.path.basename(executable), out)


def _version_info(plugin: str, stdout: bytes) -> VersionInfo:
    try:
        wire = _json.loads(stdout)
    except ValueError as err:
        raise DecodingError(f"plugin {plugin} answers VERSION with no JSON", str(err)) from err
    version = wire.get("cniVersion") if isinstance(wire, dict) else None
    if not isinstance(version, str):
        raise DecodingError(f"plugin {plugin} answers VERSION without cniVersion")
    supported = wire.get("supportedVersions")
    if supported is None and version == "0.2.0":
        supported = ["0.1.0", "0.2.0"]  # before the key existed
    if not isinstance(supported, list) or not all(isinstance(v, str) for v in supported):
        raise DecodingError(f"plugin {plugin} answers VERSION without supportedVersions")
    return VersionInfo(version, tuple(supported))


def delegate(
    call: Call,
    plugin: str,
    *,
    command: str = "",
    config: Mapping[str, Any] | None = None,
    undo: Undo | None = None,
    hand_over: HandOver | None = None,
) -> bytes:
    """Run ``plugin`` on behalf of ``call`` and return its stdout; SPEC section 4.

    The delegate gets the caller's variables and, unless ``config`` says otherwise, the bytes of
    the caller's own configuration.  With ``undo`` an ADD registers its DEL first: "if, on ADD,
    a delegated plugin fails, the 'upper' plugin should execute again with DEL before returning
    failure".  A delegate that this process serves may give its result to ``hand_over``, and no
    stdout.
    """
    command = command or call.command
    stdin = call.stdin if config is None else _json.dumps(config).encode()
    if undo is not None and command == "ADD":
        undo.push(_delegate, call, plugin, "DEL", stdin)
    cancel.checkpoint()
    return _delegate(call, plugin, command, stdin, hand_over)


def _delegate(
    call: Call, plugin: str, command: str, stdin: bytes, hand_over: HandOver | None = None
) -> bytes:
    environ = {**call.environ, "CNI_COMMAND": command}
    if call.served is not None:
        inner = call._replace(command=command, environ=environ)
        if stdin is not call.stdin:
            inner = inner._replace(stdin=stdin, document=None)
        answer = call.served(plugin, inner, hand_over)
        if answer is not None:
            return answer
    executable = find(plugin, call.plugin_dirs)
    return execute(executable, environ=environ, stdin=stdin, stderr_fd=call.stderr_fd)
