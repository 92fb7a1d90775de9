"""From environment and stdin to a hook, and from its result or error to stdout.

The order of work: variables, configuration, version, namespace, hook, answer; SPEC section 2.
Nothing is changed before all of it that can be checked is checked, and an ADD whose answer
cannot be delivered is undone.

`run` is a function of environment, stdin and stdout, so a test calls it in its own process and
the agent in a thread; `main` adds what belongs to a process: signals, file descriptors, exit
status.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NoReturn

from cnisdk import cancel, names, versions
from cnisdk.call import (
    NETNS_BY_PATH,
    NETNS_GONE,
    Attachment,
    AttachmentKey,
    Call,
    HandOver,
    Served,
    ValidAttachments,
)
from cnisdk.errors import (
    CNIError,
    DecodingError,
    IncompatibleVersionError,
    InternalError,
    InvalidEnvironmentError,
    InvalidNetNSError,
    InvalidNetworkConfigError,
    IOFailureError,
    TryAgainLaterError,
)
from cnisdk.plugin import Plugin
from cnisdk.types import _json, args
from cnisdk.types.config import PluginConfig, parse_config, salvage_config
from cnisdk.types.convert import survives, to_wire

_STRANDED: tuple[type[BaseException], ...] = ()
if sys.platform == "linux":
    from cnisdk.net.netns import NetNS, NotANamespaceError, StrandedThread

    _STRANDED = (StrandedThread,)

MAX_STDIN = 4 << 20
"""Bytes of network configuration that are read; more is refused."""

_REQUIRED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "GC": ("CNI_PATH",),
    "STATUS": (),
    "VERSION": (),
}
_SINCE = {
    "CHECK": versions.CHECK_SINCE,
    "GC": versions.GC_SINCE,
    "STATUS": versions.STATUS_SINCE,
}
_PROBLEM = {"CNI_CONTAINERID": names.container_id_problem, "CNI_IFNAME": names.ifname_problem}

Deliver = Callable[[bytes], object]


def run(
    plugin: type[Plugin[Any]],
    environ: Mapping[str, str],
    stdin: bytes | Callable[[], bytes],
    stdout: BinaryIO,
    stderr_fd: int = 2,
    *,
    netns_fd: int = NETNS_BY_PATH,
    served: Served | None = None,
) -> int:
    """Serve one call of ``plugin`` and return the exit status.

    ``stdin`` is the network configuration, or reads it when it is asked for.  ``stdout``
    receives at most one JSON object.  Logs, and the traceback of an exception that no hook
    meant to raise, go to ``stderr_fd``.  ``netns_fd`` and ``served`` are as in `Call`.
    """

    def deliver(answer: bytes) -> None:
        stdout.write(answer)
        stdout.flush()

    call = Call.from_environ(environ, stderr_fd=stderr_fd, netns_fd=netns_fd, served=served)
    return run_call(plugin, call, stdin, deliver)


def run_call(
    plugin: type[Plugin[Any]],
    call: Call,
    stdin: bytes | Callable[[], bytes],
    deliver: Deliver,
) -> int:
    """Serve ``call`` as `run` does; ``deliver`` takes the one JSON object of the answer.

    Whatever a hook does, this returns; but the thread may be in another namespace then.
    """
    served = Run(plugin, call)
    try:
        served.serve(stdin, deliver)
    except CNIError as raised:
        err = raised
    except _STRANDED as stranded:
        err = InternalError(f"{type(stranded).__name__}: {stranded}")
    else:
        return 0
    wire = _json.dumps(err.to_wire(served.version), indent=4)
    try:
        deliver(wire.encode() + b"\n")
    except OSError as lost:
        call.log(f"cannot answer: {lost}: {err}")
    return 1


class Run:
    """One call on its way from parameters to answer.

    Where ``hand_over`` is given it may be called with the result of an ADD, in place of ``deliver``
    with its JSON.
    """

    def __init__(
        self, plugin: type[Plugin[Any]], call: Call, hand_over: HandOver | None = None
    ) -> None:
        self.plugin_class = plugin
        self.call = call
        self._hand_over = hand_over
        self.version = plugin.versions[-1]
        """The version in use: the plugin's newest until the configuration has said its own."""

    def serve(self, stdin: bytes | Callable[[], bytes], deliver: Deliver) -> None:
        """Do the call and hand its answer to ``deliver``; raise a `CNIError`.

        Raises nothing else but `StrandedThread`, after which no hook must go on in this thread.
        """
        try:
            self._check_variables()
            if self.call.command == "VERSION":
                deliver(self._version_answer(_read(stdin)))
                return
            self.call = self.call._replace(stdin=_read(stdin))
            self._dispatch(self._decode(), deliver)
        except CNIError:
            raise
        except (cancel.Cancelled, KeyboardInterrupt) as err:
            raise TryAgainLaterError(f"{self.call.command} was stopped", str(err)) from err
        except OSError as err:
            raise IOFailureError(_os_error_text(err)) from err
        except _STRANDED:
            raise
        except BaseException as err:  # SystemExit; pydantic's PanicException is no Exception
            import traceback

            self.call.log(traceback.format_exc())
            raise InternalError(f"{type(err).__name__}: {err}", "see stderr for where") from err

    # -- parameters ------------------------------------------------------------------------

    def _check_variables(self) -> None:
        """SPEC section 2, "Parameters"; every variable that is wrong is named at once."""
        command = self.call.command
        if not command:
            raise InvalidEnvironmentError("required env variables [CNI_COMMAND] missing")
        required = _REQUIRED.get(command)
        if required is None:
            raise InvalidEnvironmentError(f"unknown CNI_COMMAND: {command}")
        text = {
            "CNI_CONTAINERID": self.call.container_id,
            "CNI_NETNS": self.call.netns,
            "CNI_IFNAME": self.call.ifname,
            "CNI_PATH": self.call.path,
        }
        missing = [name for name in required if not text[name]]
        wrong = {
            name: problem
            for name in required
            if text[name] and name in _PROBLEM and (problem := _PROBLEM[name](text[name]))
        }
        if not missing and not wrong:
            return
        problems = []
        if missing:
            problems.append(f"required env variables [{','.join(missing)}] missing")
        if wrong:
            problems.append(f"invalid env variables [{','.join(wrong)}]")
        details = "; ".join(f"{name}={text[name]!r} {why}" for name, why in wrong.items())
        raise InvalidEnvironmentError("; ".join(problems), details)

    def _decode(self) -> dict[str, Any]:
        """Return the configuration as JSON, its name and version checked."""
        raw = self.call.document
        if raw is None:
            raw = json_object(self.call.stdin)
            self.call = self.call._replace(document=raw)  # a delegate is given the same
        version = raw.get("cniVersion") or versions.UNSTATED
        if not isinstance(version, str):
            raise DecodingError("cniVersion is not a string", f"$.cniVersion: {version!r}")
        if version in self.plugin_class.versions:
            self.version = version
        name = raw.get("name")
        if name is None or name == "":
            raise InvalidNetworkConfigError("missing network name", "$.name")
        if not isinstance(name, str):
            raise DecodingError("network name is not a string", f"$.name: {name!r}")
        if problem := names.network_name_problem(name):
            raise InvalidNetworkConfigError(
                "invalid characters found in network name", f"$.name: {name!r} {problem}"
            )
        if version not in self.plugin_class.versions:
            supported = " ".join(f'"{v}"' for v in self.plugin_class.versions)
            raise IncompatibleVersionError(
                "incompatible CNI versions", f'config is "{version}", plugin supports [{supported}]'
            )
        since = _SINCE.get(self.call.command)
        if since is not None and not versions.at_least(version, since):
            raise IncompatibleVersionError(
                f"config version does not allow {self.call.command}",
                f'config is "{version}", {self.call.command} came with "{since}"',
            )
        return raw

    # -- verbs -----------------------------------------------------------------------------

    def _version_answer(self, stdin: bytes) -> bytes:
        """SPEC section 5, "Version"; a stdin that gives no version does no harm."""
        try:
            asked = json_object(stdin).get("cniVersion")
        except CNIError:
            asked = None
        answer = {
            "cniVersion": asked if asked and isinstance(asked, str) else self.version,
            "supportedVersions": list(self.plugin_class.versions),
        }
        return _json.dumps(answer).encode() + b"\n"

    def _dispatch(self, raw: dict[str, Any], deliver: Deliver) -> None:
        command = self.call.command
        plugin = self.plugin_class(self.call)
        if command == "STATUS":
            plugin.status(self._config(raw))
        elif command == "GC":
            plugin.gc(self._config(raw), _valid_attachments(raw))
        elif command == "ADD":
            place = _attachment(self.call, raw["name"])
            with place as attachment:
                try:
                    self._add(plugin, self._config(raw), attachment, deliver)
                except BaseException:
                    self._undo(plugin, place)
                    raise
        elif command == "CHECK":
            with _attachment(self.call, raw["name"]) as attachment:
                plugin.check(self._config(raw), attachment)
        else:
            self._delete(plugin, raw)

    def _config(self, raw: dict[str, Any]) -> PluginConfig:
        return parse_config(self.plugin_class.config_type, raw)

    def _add(
        self, plugin: Plugin[Any], config: PluginConfig, attachment: Attachment, deliver: Deliver
    ) -> None:
        result = plugin.add(config, attachment)
        if self._hand_over is not None and survives(result, config.cni_version):
            cancel.checkpoint()
            self._hand_over(result)
            return
        answer = _json.dumps(to_wire(result, config.cni_version), indent=4)
        cancel.checkpoint()
        deliver(answer.encode() + b"\n")

    def _undo(self, plugin: Plugin[Any], place: "_attachment") -> None:
        """Take an ADD back, in the namespace in which it began or not at all."""
        undoing = f"undoing the ADD of {self.call.container_id}"
        try:
            place.move_thread_back()
        except OSError as err:
            self.call.log(f"{undoing}: its hook left the host's network namespace: {err}")
            return  # the way back would lead through another container; the runtime sends DEL
        for failure in plugin.undo.unwind():
            self.call.log(f"{undoing}: {failure}")

    def _delete(self, plugin: Plugin[Any], raw: dict[str, Any]) -> None:
        """Release what can be identified even if the configuration does not validate."""
        invalid: CNIError | None = None
        config: PluginConfig | None
        try:
            config = self._config(raw)
        except CNIError as err:
            invalid = err
            config = salvage_config(self.plugin_class.config_type, raw)
        if config is not None:
            with _attachment(self.call, raw["name"]) as attachment:
                plugin.delete(config, attachment)
        if invalid is not None:
            raise invalid


def _read(stdin: bytes | Callable[[], bytes]) -> bytes:
    if isinstance(stdin, bytes):
        return stdin
    try:
        return stdin()
    except OSError as err:
        raise IOFailureError("error reading from stdin", _os_error_text(err)) from err


def json_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a configuration has to be; `DecodingError` if it is none."""
    if len(data) > MAX_STDIN:
        raise DecodingError("network configuration is too large", f"more than {MAX_STDIN} bytes")
    if not data.strip():
        raise DecodingError("network configuration is empty", "nothing came on stdin")
    try:
        raw = _json.loads(data)
    except ValueError as err:
        raise DecodingError("network configuration is not JSON", str(err)) from err
    if not isinstance(raw, dict):
        raise DecodingError("network configuration is not a JSON object", type(raw).__name__)
    return raw


def _valid_attachments(raw: dict[str, Any]) -> ValidAttachments:
    """SPEC section 2, GC; libcni also sends the key that an early text of 1.1.0 had."""
    key = "cni.dev/valid-attachments"
    if key not in raw and "cni.dev/attachments" in raw:
        key = "cni.dev/attachments"
    if key not in raw:
        # Taking a missing list for an empty one would release everything on the node.
        raise InvalidNetworkConfigError("GC needs the list of valid attachments", f"$[{key!r}]")
    keys = []
    for index, item in enumerate(raw[key] or ()):
        container_id = item.get("containerID") if isinstance(item, dict) else None
        ifname = item.get("ifname") if isinstance(item, dict) else None
        if not isinstance(container_id, str) or not isinstance(ifname, str):
            raise InvalidNetworkConfigError(
                "malformed list of valid attachments", f"$[{key!r}][{index}]: {item!r}"
            )
        keys.append(AttachmentKey(container_id, ifname))
    return ValidAttachments(raw["name"], keys)


class _attachment:  # noqa: N801 - a context manager, used as a function
    """The attachment of a call, its namespace open for as long as the hook runs."""

    def __init__(self, call: Call, network: str) -> None:
        self.call = call
        self.network = network
        self.host: NetNS | None = None
        self.netns: NetNS | None = None

    def __enter__(self) -> Attachment:
        call = self.call
        if sys.platform == "linux":
            self.host = NetNS.current() if call.host_fd < 0 else NetNS(call.host_fd, owned=False)
            try:
                self.netns = _open_netns(call, self.host)
            except BaseException:
                self.host.close()
                raise
        return Attachment(
            network=self.network,
            container_id=call.container_id,
            ifname=call.ifname,
            sandbox=call.netns,
            args=_args(call),
            netns_or_none=self.netns,
        )

    def move_thread_back(self) -> None:
        """Bring the thread back to the host's namespace, if a hook left it elsewhere."""
        if self.host is not None and not self.host.holds_thread():
            self.host.move_thread()

    def __exit__(self, *exc: object) -> None:
        for netns in (self.host, self.netns):
            if netns is not None:
                netns.close()


def _args(call: Call) -> Mapping[str, str]:
    try:
        return args.parse(call.args)
    except CNIError as err:
        if call.command != "DEL":
            raise
        call.log(f"DEL goes on without CNI_ARGS: {err}")
        return {}


def _open_netns(call: Call, host: "NetNS") -> "NetNS | None":
    """Open the container's namespace; None if it is gone and the command is DEL.

    A namespace that is the ``host``'s is refused before anything is changed in it.
    """
    if not call.netns and call.netns_fd < 0:
        return None
    try:
        netns = _namespace(call)
    except (FileNotFoundError, NotADirectoryError, NotANamespaceError) as err:
        if call.command == "DEL":
            return None
        raise InvalidEnvironmentError(
            "CNI_NETNS names no network namespace", _os_error_text(err)
        ) from err
    if not call.netns_override and host.same_as(netns):
        netns.close()
        raise InvalidNetNSError(
            "plugin's netns and netns from CNI_NETNS should not be the same", call.netns
        )
    return netns


def _namespace(call: Call) -> "NetNS":
    if call.netns_fd >= 0:
        return NetNS.of(call.netns_fd, call.netns)
    if call.netns_fd == NETNS_GONE:
        raise FileNotFoundError(2, "the caller found no network namespace", call.netns)
    return NetNS.open(call.netns)


def _os_error_text(err: OSError) -> str:
    if err.filename and err.strerror:
        return f"{err.filename}: {err.strerror}"
    return str(err)


# -- the process ---------------------------------------------------------------------------


VERBS = ("add", "check", "del", "gc", "schema", "status", "version", "-h", "--help")
"""What a person may type; a runtime sets CNI_COMMAND and types nothing."""


def main(
    plugin: type[Plugin[Any]],
    *,
    netns_fd: int = NETNS_BY_PATH,
    served: Served | None = None,
    afterwards: Callable[[], object] = lambda: None,
) -> NoReturn:
    """Be the executable of ``plugin``: serve the call in the environment and exit.

    Given a verb it does what a person wants (`cnisdk.console`); without that and without any CNI
    variable, when somebody typed the name alone, it says what it is on stderr.
    ``netns_fd`` and ``served`` are as in `Call`; ``afterwards`` is called when the answer of a
    call that succeeded is out.
    """
    if len(sys.argv) > 1 and (sys.argv[1] in VERBS or not os.environ.get("CNI_COMMAND")):
        from cnisdk import console

        console.main(plugin, served)
    if not any(name.startswith("CNI_") for name in os.environ):
        sys.stderr.write(about(plugin))
        sys.exit(0)
    token = cancel.Token()
    _catch_signals(token)
    with cancel.cancellable(token), _own_stdout() as stdout:
        command = os.environ.get("CNI_COMMAND", "")
        reader = _read_offered if command == "VERSION" else _read_all
        status = run(plugin, os.environ, reader, stdout, netns_fd=netns_fd, served=served)
    _bring_out_prints()
    if status == 0 and not token.reason:
        afterwards()
    # The answer is out and nothing is left to clean up: skip the interpreter's own teardown.
    os._exit(status)


def _bring_out_prints() -> None:
    """Write what a hook printed, which is stderr's by now and would end unread in a buffer."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        return  # nobody reads it, or the hook has closed it


def about(plugin: type[Plugin[Any]]) -> str:
    """Return who the plugin is and which versions it speaks, for a person."""
    doc = (plugin.__doc__ or "").strip().partition("\n")[0]
    return (
        f"CNI plugin {plugin.__name__}: {doc}\n"
        f"CNI protocol versions supported: {', '.join(plugin.versions)}\n"
        f"'{os.path.basename(sys.argv[0])} --help' shows what can be typed\n"
    )


def _catch_signals(token: cancel.Token) -> None:
    # what signal makes its enumerations from, which takes it 2 ms
    import _signal  # type: ignore[import-not-found]

    reasons = {getattr(_signal, name): name for name in ("SIGTERM", "SIGINT", "SIGHUP")}

    def stop(signum: int, frame: object) -> None:
        token.cancel(reasons[signum])
        if token.interruptible and not token.shielded:
            token.check()

    for signum in reasons:
        _signal.signal(signum, stop)


def _own_stdout() -> BinaryIO:
    """Take stdout for the answer alone: whatever else is written to fd 1 comes out of stderr.

    Descriptors 0 to 2 are made to exist first, so that no socket or file takes their place.  A
    stdout that was closed is replaced by one that cannot be written to: an ADD whose answer
    reaches nobody has to fail.
    """
    for fd, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number, which is this one
    answer = os.dup(1)
    os.dup2(2, 1)
    return open(answer, "wb")


def _read_all() -> bytes:
    """Read stdin to its end, or until it is more than is read at all."""
    chunks = []
    size = 0
    while size <= MAX_STDIN:
        with cancel.interruptible():
            chunk = os.read(0, 1 << 16)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


# VERSION must not wait for a stdin that nobody writes to or closes; seconds.
_PATIENCE = 0.1


def _read_offered() -> bytes:
    """Read what stdin has to offer without ever waiting long for it."""
    import select

    data = b""
    while len(data) <= MAX_STDIN and select.select([0], [], [], _PATIENCE)[0]:
        chunk = os.read(0, 1 << 16)
        if not chunk:
            break
        data += chunk
        try:
            _json.loads(data)
        except ValueError:
            continue  # not all of it yet
        break
    return data
