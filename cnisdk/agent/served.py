"""One call served in a thread of the agent: from a request with descriptors to an exit status.

Nothing here trusts the caller's descriptors: the streams have to be memfds, so that reading and
writing cannot block, and what is said to be its network namespace has to be one.  They stay open
until `ServedCall.close`, and all that is done in the thread is done in the caller's namespace.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from cnisdk import cancel
from cnisdk.agent import elsewhere, journal
from cnisdk.agent.protocol import Descriptor, ProtocolError, Reason, Request
from cnisdk.call import NETNS_GONE, Call, HandOver
from cnisdk.errors import CNIError, IOFailureError
from cnisdk.plugin import Plugin
from cnisdk.runner import MAX_STDIN, Run, json_object, run_call
from cnisdk.types import _json

if sys.platform == "linux":
    import fcntl

    from cnisdk.net.netns import NetNS, StrandedThread

Plugins = Mapping[str, type[Plugin[Any]]]

MAX_LOG = 1 << 20
"""Bytes that one call may log to its caller."""

_STREAMS = (Descriptor.STDIN, Descriptor.STDOUT, Descriptor.STDERR)


class ServedCall:
    """A call whose descriptors we own, from the request to `close`."""

    def __init__(
        self, plugins: Plugins, name: str, request: Request, fds: dict[Descriptor, int]
    ) -> None:
        self.name = name
        self.plugin = plugins[name]
        self.token = cancel.Token()
        self.network = ""
        """Name of the network, once `prepare` has found it."""
        self.call = Call.from_environ(
            request.environ,
            stderr_fd=fds.get(Descriptor.STDERR, 2),
            netns_fd=fds.get(Descriptor.CNI_NETNS, NETNS_GONE),
            served=self._delegate,
            logger=self._log,
        )
        self._plugins = plugins
        self._fds = fds
        self._host: NetNS | None = None
        self.key: tuple[str, ...] | None = None
        """What no two calls may work on at the same time; None if there is no attachment."""
        self._logged = 0

    def prepare(self) -> None:
        """Look at what the caller gave; ProtocolError if it will not do, and nothing is done."""
        for stream in _STREAMS:
            if (fd := self._fds.get(stream)) is not None:
                _check_memfd(fd, stream)
        try:
            self._host = NetNS.of(self._fds[Descriptor.CALLER_NETNS])
            self.call = self.call._replace(host_fd=self._host.fd)
            self.enter()  # now, while a launcher can still do without us
        except KeyError as err:
            raise ProtocolError("the caller's network namespace is missing") from err
        except OSError as err:
            raise ProtocolError(
                f"cannot enter the caller's network namespace: {err}", Reason.FORBIDDEN
            ) from err
        stdin = self._read_stdin()
        document = decoded(stdin)
        if document is not None:
            self.call = self.call._replace(stdin=stdin, document=document)
            self.network = network_name(document)
        if self.call.container_id:
            self.key = (self.name, self.network, self.call.container_id, self.call.ifname)

    def park(self) -> None:
        """Hold no memory but the caller's, for as long as the call has to wait."""
        self.call = self.call._replace(stdin=b"", document=None)

    def enter(self) -> None:
        """Move the calling thread to the caller's network namespace."""
        assert self._host is not None, "prepare() comes first"  # noqa: S101
        self._host.move_thread()

    def run(self) -> int:
        """Run the hook in the calling thread, and return the exit status of the call."""
        with cancel.cancellable(self.token):
            if self.plugin.needs_process:
                return self._run_in_process()
            stdin = self.call.stdin or self._read_stdin()
            return run_call(self.plugin, self.call, stdin, self._deliver)

    def kept_thread(self) -> bool:
        """Say whether the thread still is where `enter` put it: no hook has led it astray."""
        return self._host is not None and self._host.holds_thread()

    def close(self) -> None:
        """Close the caller's descriptors; a second time does nothing."""
        fds, self._fds = self._fds, {}
        for fd in fds.values():
            os.close(fd)

    # -- the caller's streams ---------------------------------------------------------------

    def _read_stdin(self) -> bytes:
        fd = self._fds.get(Descriptor.STDIN)
        if fd is None:
            return b""
        size = min(os.fstat(fd).st_size, MAX_STDIN + 1)
        return os.pread(fd, size, 0)

    def _deliver(self, answer: bytes) -> None:
        fd = self._fds.get(Descriptor.STDOUT)
        if fd is None:
            raise OSError(9, "the caller has no stdout")
        if self.token.reason:
            raise BrokenPipeError(32, self.token.reason)
        while answer:
            answer = answer[os.write(fd, answer) :]

    def _log(self, call: Call, message: str) -> None:
        journal.write("info", message, plugin=self.name, **journal.about(call, self.network))
        fd = self._fds.get(Descriptor.STDERR)
        data = (message.rstrip("\n") + "\n").encode("utf-8", "backslashreplace")
        self._logged += len(data)
        if fd is None or self._logged > MAX_LOG:
            return
        try:
            os.write(fd, data)
        except OSError:
            return  # sealed: our own log has it

    # -- other ways to run a plugin ---------------------------------------------------------

    def _delegate(self, plugin: str, call: Call, hand_over: HandOver | None = None) -> bytes | None:
        """Run a delegate in this thread if it is served here, and as an executable otherwise.

        An error is raised as the runner would have printed it and `invoke` have read it.
        """
        served = self._plugins.get(plugin)
        if served is None or served.needs_process:
            return elsewhere.delegate(plugin, call)
        answer: list[bytes] = []
        try:
            Run(served, call, hand_over).serve(call.stdin, answer.append)
        except CNIError as err:
            raise CNIError.of(err.code, err.msg, err.details) from err
        finally:
            if not self.kept_thread():
                raise StrandedThread(f"delegate {plugin} left the host's network namespace")
        return b"".join(answer)

    def _run_in_process(self) -> int:
        try:
            status, answer = elsewhere.run(self.plugin, self.call, self._read_stdin())
        except (OSError, cancel.Cancelled) as err:
            failure = IOFailureError(f"cannot run {self.name} in a process", str(err))
            wire = failure.to_wire(self.plugin.versions[-1])
            status, answer = 1, _json.dumps(wire, indent=4).encode() + b"\n"
        try:
            self._deliver(answer)
        except OSError as err:
            self.call.log(f"cannot answer: {err}")
            return 1
        return status


def decoded(config: bytes) -> dict[str, Any] | None:
    """Return a configuration, None if it is no JSON object: the runner says what is wrong."""
    try:
        return json_object(config)
    except CNIError:
        return None


def network_name(document: Mapping[str, Any]) -> str:
    """Return the name in a configuration, ``""`` if there is none that is text."""
    name = document.get("name")
    return name if isinstance(name, str) else ""


def _check_memfd(fd: int, stream: Descriptor) -> None:
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as err:
        raise ProtocolError(f"{stream.name} is no memfd") from err
