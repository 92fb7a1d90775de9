"""What a served call has to leave to another process.

That is delegates which are executables, and plugins that need a process of their own.
The agent may live in another mount namespace than its callers, where CNI_NETNS leads nowhere or
to another container.  There a child gets the path of our descriptor instead; the same path stands
for it in what it reads (``prevResult``), and is taken out of what it answers, since a result's
``sandbox`` has to repeat what the runtime said.
"""

import os
import sys
from typing import Any, NoReturn

from cnisdk import invoke
from cnisdk.call import NETNS_BY_PATH, Call
from cnisdk.plugin import Plugin
from cnisdk.types import _json


def delegate(plugin: str, call: Call) -> bytes | None:
    """Execute a delegate that cannot use CNI_NETNS as it is; None for one that can."""
    path = stand_in(call)
    if path is None:
        return None
    out = invoke.execute(
        invoke.find(plugin, call.plugin_dirs),
        environ={**call.environ, "CNI_NETNS": path},
        stdin=with_sandbox(call.stdin, call.netns, path, within="prevResult"),
        stderr_fd=call.stderr_fd,
    )
    return with_sandbox(out, path, call.netns)


def stand_in(call: Call) -> str | None:
    """Return a path of the container's namespace for a child of ours; None if CNI_NETNS is one."""
    if call.netns_fd < 0:
        return None
    ours = os.fstat(call.netns_fd)
    try:
        theirs = os.stat(call.netns)
    except OSError:
        theirs = None
    if theirs is not None and os.path.samestat(ours, theirs):
        return None
    return f"/proc/{os.getpid()}/fd/{call.netns_fd}"


def with_sandbox(data: bytes, old: str, new: str, *, within: str = "") -> bytes:
    """Return the JSON ``data`` with ``new`` for each ``interfaces[].sandbox`` that is ``old``.

    ``within`` is the key of the object that has the interfaces.  What has none, or is no JSON,
    is returned as it is.
    """
    try:
        whole = _json.loads(data)
    except ValueError:
        return data
    result = whole.get(within) if within and isinstance(whole, dict) else whole
    interfaces = result.get("interfaces") if isinstance(result, dict) else None
    changed = False
    for interface in interfaces if isinstance(interfaces, list) else ():
        if isinstance(interface, dict) and interface.get("sandbox") == old:
            interface["sandbox"] = new
            changed = True
    return _json.dumps(whole).encode() if changed else data


# -- a plugin that needs a process -----------------------------------------------------------


def run(plugin: type[Plugin[Any]], call: Call, stdin: bytes) -> tuple[int, bytes]:
    """Serve ``call`` in a process of its own; return exit status and what it printed.

    A cancelled call is terminated as by a runtime, so that it undoes what it did.
    """
    from cnisdk.net import execute

    netns = f"/proc/{os.getpid()}/fd/{call.netns_fd}" if call.netns_fd >= 0 else ""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import be; be()"
    where = [plugin.__module__, plugin.__qualname__, netns]
    argv = [sys.executable, "-I", "-c", code, *where]
    done = execute.run(argv, env=call.environ, stdin=stdin, stderr_fd=call.stderr_fd)
    return done.status if done.status >= 0 else 128 - done.status, done.stdout


def be() -> NoReturn:
    """Be the process of one call: the arguments are module, class and path of the namespace."""
    from importlib import import_module
    from operator import attrgetter

    from cnisdk import runner

    module, name, netns = sys.argv[1:]
    del sys.argv[1:]  # nobody typed them
    plugin = attrgetter(name)(import_module(module))
    fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC) if netns else NETNS_BY_PATH
    runner.main(plugin, netns_fd=fd)
