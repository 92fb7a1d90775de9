"""The executable in CNI_PATH in Python, where there is no C compiler: launcher.c says how it works.

Import budget: os, sys, select and two C modules; nothing of cnisdk, so that the text of this file
with a trailer behind it (`cnisdk.agent.native.script`) is an executable by itself.  A build that
has the plugin beside it calls `main` with what makes the call in this process.

The formats are those of protocol.py, trailer.py, queue.py; the time it takes is another.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import os
import select
import sys
from time import clock_gettime_ns, monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

PROTOCOL_VERSION = 1
MAX_PAYLOAD = 1 << 20
MAX_STDIN = 4 << 20
MAX_ENTRIES = 4096
MAX_SIZE = 256 << 10
VERSION_PATIENCE = 0.1
OVERFLOW_UID = 65534  # whoever our user namespace does not know

_PASSED = (b"TRACEPARENT", b"TRACESTATE", b"BAGGAGE", b"PATH")
_REPEATABLE = ("DEL", "CHECK", "STATUS", "GC")
_VERSION_CHARACTERS = frozenset(
    b"0123456789.+-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_DEFAULTS = {
    "versions": "0.1.0,0.2.0,0.3.0,0.3.1,0.4.0,1.0.0,1.1.0",
    "mode": "none",
    "on-del": "queue",
    "queue-dir": "/var/lib/cnisdk/queue",
    "socket": "/run/cnisdk/agent.sock",
    "patience-ms": "1000",
    "limit-ms": "600000",
    "payload-id": "",
    "warm": "",
}


class NotBegun(Exception):  # noqa: N818 - no error: the call is made without the agent
    """No agent serves the call, and none will."""


class NoAgent(NotBegun):
    """Nobody listens, which is as usual as an agent."""


class Died(Exception):  # noqa: N818
    """The agent had begun and is gone."""


class Late(Exception):  # noqa: N818
    """The agent has begun, is still there, and takes too long."""


def main(path: str, one_call: "Callable[[str], NoReturn] | None" = None) -> "NoReturn":
    """Be the executable at ``path``; ``one_call`` makes the call and takes ``%w`` for it."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    os._exit(Launcher(path, one_call).run())


class Launcher:
    """One call on its way."""

    def __init__(self, path: str, one_call: "Callable[[str], NoReturn] | None") -> None:
        self.path = path
        self.name, self.one_call = sys.argv[0].rpartition("/")[2], one_call
        self.open = find_streams()
        self.settings, self.args = read_settings(path)
        self.is_plugin = self.settings["mode"] == "exec" or one_call is not None
        self.warm = os.environ.get("CNISDK_WARM") or self.settings["warm"]
        self.command = os.environ.get("CNI_COMMAND", "")
        self.input = b""
        self.input_fd = -1
        self.payload = b""

    def run(self) -> int:
        """Return the exit status; does not return when the plugin is run in one call."""
        if not self.command or (len(sys.argv) > 1 and self.is_plugin):
            return self._run_alone("")
        if self.command == "VERSION":
            return self._answer_version()
        try:
            self.input = read_input()
        except OSError as err:
            return self._fail(5, "error reading from stdin", str(err.strerror))
        try:
            self._keep_input()
        except OSError as err:
            return self._fail(5, "cannot keep stdin", str(err.strerror))
        self.payload = build_payload()
        try:
            return self._ask_agent()
        except NoAgent as why:
            return self._run_alone(str(why))
        except NotBegun as why:
            say(f"cnisdk: {why}; {self.command} goes on without it\n")
            return self._run_alone(str(why))
        except Died as why:
            if self.command not in _REPEATABLE:
                return self._fail(11, "the agent stopped", str(why))
            say(f"cnisdk: {why}; {self.command} goes on without it\n")
            return self._run_alone(str(why))
        except Late as why:
            return self._fail(11, "the agent takes too long", str(why))

    def _keep_input(self) -> None:
        self.input_fd = make_memfd()
        write_all(self.input_fd, self.input)
        os.lseek(self.input_fd, 0, os.SEEK_SET)

    # -- with the agent ------------------------------------------------------------------------

    def _ask_agent(self) -> int:
        if len(self.payload) > MAX_PAYLOAD:
            raise NotBegun(f"the variables are larger than {MAX_PAYLOAD} bytes")
        try:
            own = os.open("/proc/self/ns/net", os.O_RDONLY)
        except OSError as err:
            raise NotBegun(f"/proc/self/ns/net: {err.strerror}") from err
        patience = int(self.settings["patience-ms"])
        sock = self._connect(patience)
        streams = {0: self.input_fd, 1: make_memfd(), 2: make_memfd()}
        fds = [streams[fd] for fd in range(3) if self.open[fd]]
        mask = sum(1 << fd for fd in range(3) if self.open[fd]) | 8
        fds.append(own)
        container = open_netns(os.environ.get("CNI_NETNS", ""), own)
        if container >= 0:
            fds.append(container)
            mask |= 16
        try:
            send(sock, self.payload, fds, mask)
        except OSError as err:
            raise NotBegun(f"the agent does not take the call: {err.strerror or err}") from err
        try:
            status = await_outcome(sock, patience, int(self.settings["limit-ms"]))
        finally:
            sock.close()
            copy_output(streams[2], 2)
        return status if copy_output(streams[1], 1) else 1

    def _connect(self, patience: int) -> _socket.socket:
        """Connect to the agent that somebody set up, or to one that a call has left: warm.py."""
        paths = [os.environ.get("CNISDK_SOCKET") or self.settings["socket"]]
        if (identity := self.settings["payload-id"]) and self.warm.isdigit() and int(self.warm):
            bases = ("/run", os.environ.get("XDG_RUNTIME_DIR", ""))
            paths += [f"{b}/cnisdk-warm/{identity}/agent.sock" for b in bases if b[:1] == "/"]
        problems = []
        for path in paths:
            try:
                return connect(path, patience)
            except NotBegun as why:
                problems.append(why)
        raise problems[0]

    # -- without it: JSON ----------------------------------------------------------------------

    def _version_in_use(self) -> str:
        stated, _ = stated_version(self.input)
        return stated or self.settings["versions"].rpartition(",")[2]

    def _answer_version(self) -> int:
        try:
            self.input = read_input(monotonic() + VERSION_PATIENCE)
        except OSError:
            self.input = b""
        supported = ", ".join(f'"{version}"' for version in self.settings["versions"].split(","))
        answer = (
            f'{{"cniVersion": "{self._version_in_use()}", "supportedVersions": [{supported}]}}\n'
        )
        try:
            write_all(1, answer.encode())
        except OSError:
            return 1
        return 0

    def _fail(self, code: int, msg: str, details: str) -> int:
        answer = (
            f'{{\n    "cniVersion": "{self._version_in_use()}",\n    "code": {code},\n'
            f'    "msg": "{escape(msg)}",\n    "details": "{escape(details)}"\n}}\n'
        )
        try:
            write_all(1, answer.encode())
        except OSError:
            return 1
        return 1

    # -- without it: one call ------------------------------------------------------------------

    def _run_alone(self, why: str) -> int:
        command = self.command
        if self.is_plugin:
            return self._execute()
        if not command:
            return self._introduce()
        if command == "DEL" and self.settings["on-del"] != "fail":
            return 0 if self.settings["on-del"] == "ignore" else self._queue_delete()
        if command == "STATUS":
            return self._fail(50, "no agent serves STATUS", why)
        if command in ("ADD", "DEL", "CHECK", "GC"):
            return self._fail(11, f"no agent serves {command}", why)
        return self._fail(4, f"unknown CNI_COMMAND: {command:.128}", why)

    def _introduce(self) -> int:
        if any(name.startswith("CNI_") for name in os.environ):
            return self._fail(4, "required env variables [CNI_COMMAND] missing", "")
        say(
            f"CNI plugin {self.name}: served by the agent at {self.settings['socket']}\n"
            f"CNI protocol versions supported: {self.settings['versions']}\n"
        )
        if len(sys.argv) == 1:
            return 0
        say("The agent serves runtimes only: type 'cnisdk add' and the like instead\n")
        return 2

    def _execute(self) -> int:
        if self.input_fd >= 0:
            os.lseek(self.input_fd, 0, os.SEEK_SET)
            os.dup2(self.input_fd, 0)
        if self.one_call is not None:
            self.one_call(self.warm)
        path = self._expand(self.settings["exec"])
        argv = [self._expand(self.settings.get("argv0", self.settings["exec"]))]
        argv += map(self._expand, self.args)
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
        try:
            os.execv(path, argv + sys.argv[1:])
        except OSError as err:
            _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
            code = 50 if self.command == "STATUS" else 5
            return self._fail(code, "cannot execute the plugin", f"{path}: {err.strerror}")

    def _expand(self, text: str) -> str:
        """Return ``text`` with %s, %n, %d, %w and %% replaced; nothing is ever unpacked here."""
        known = {"s": self.path, "n": self.name, "d": "", "w": self.warm}
        expanded = ""
        rest = text
        while "%" in rest[:-1]:
            before, _, rest = rest.partition("%")
            expanded += before + known.get(rest[0], "%")
            rest = rest[1:]
        return expanded + rest

    # -- launcher only: the queue of DELs, as queue.py describes it ----------------------------

    def _queue_delete(self) -> int:
        container_id = os.environb.get(b"CNI_CONTAINERID", b"")
        ifname = os.environb.get(b"CNI_IFNAME", b"")
        if not container_id or not ifname:
            return self._fail(
                4,
                "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing",
                "a DEL without them cannot be queued",
            )
        size = 16 + len(self.payload) + len(self.input)
        if len(self.payload) > MAX_PAYLOAD or size > MAX_SIZE:
            return self._fail(11, "no agent serves DEL", "and the call is too large to queue")
        header = b"CNIQ" + u32(1) + u32(len(self.payload)) + u32(len(self.input))
        attachment = attachment_hash(container_id + b"\0" + ifname)
        name = f"{clock_gettime_ns(0):020d}-{attachment:016x}-{os.getpid()}"
        directory = self.settings["queue-dir"]
        try:
            queue = open_queue(directory)
            if sum(not entry.startswith(".") for entry in os.listdir(queue)) >= MAX_ENTRIES:
                return self._fail(11, "no agent serves DEL", "and the queue is full")
            write_entry(queue, name, header + self.payload + self.input)
        except OSError as err:
            details = f"and {directory} cannot be written to: {err.strerror}"
            return self._fail(11, "no agent serves DEL", details)
        return 0


# -- process -------------------------------------------------------------------------------


def find_streams() -> list[bool]:
    """See which of the descriptors 0 to 2 there are, and let nothing else take their place."""
    found = []
    for fd in range(3):
        try:
            os.fstat(fd)
            found.append(True)
        except OSError:
            found.append(False)
            # Takes the lowest free number.  A stdout that nobody reads must not take an answer:
            # it is read-only.
            os.open("/dev/null", os.O_WRONLY if fd == 2 else os.O_RDONLY)
            os.set_inheritable(fd, True)
    return found


def wait_for(fd: int, events: int, seconds: float) -> bool:
    """Say whether ``events`` came before the time was over."""
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(max(0, seconds) * 1000))


def make_memfd() -> int:
    """Make a file without a name, in memory."""
    try:
        return os.memfd_create("cnisdk", os.MFD_CLOEXEC | 8)  # MFD_NOEXEC_SEAL
    except OSError:  # before Linux 6.3
        return os.memfd_create("cnisdk", os.MFD_CLOEXEC)


def copy_output(source: int, target: int) -> bool:
    """Copy what the agent wrote; say whether somebody takes it."""
    data = os.pread(source, os.fstat(source).st_size, 0)
    try:
        write_all(target, data)
    except OSError:
        return False
    return True


def write_all(fd: int, data: bytes) -> None:
    """Write ``data``, also to a descriptor that somebody made non-blocking."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            wait_for(fd, select.POLLOUT, 1e6)


def say(text: str) -> None:
    """Write to the runtime's log, if somebody reads it."""
    try:
        os.write(2, os.fsencode(text))
    except OSError:
        return


def read_input(deadline: float | None = None) -> bytes:
    """Read stdin to its end; with a deadline until then, or until a JSON object is complete."""
    data = bytearray()
    while len(data) <= MAX_STDIN:
        if deadline is not None and not wait_for(0, select.POLLIN, deadline - monotonic()):
            break
        try:
            chunk = os.read(0, MAX_STDIN + 1 - len(data))
        except BlockingIOError:
            wait_for(0, select.POLLIN, 1e6)
            continue
        if not chunk:
            break
        data += chunk
        if deadline is not None and stated_version(data)[1]:
            break
    return bytes(data)


def read_settings(path: str) -> tuple[dict[str, str], list[str]]:
    """Return the settings behind the file at ``path``, over the defaults, and its ``arg``s."""
    settings, args = dict(_DEFAULTS), list[str]()
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 8192))
            tail = file.read()
    except OSError:
        return settings, args
    head, _, footer = tail.rpartition(b"# cnisdk-trailer 1 ")
    if len(footer) != 60:
        return settings, args
    try:
        start, length, _, _ = (int(number, 16) for number in footer.split())
    except ValueError:
        return settings, args
    if length > len(head) or start != size - 79 - length:
        return settings, args
    for line in head[len(head) - length :].decode("utf-8", "surrogateescape").split("\n"):
        key, equals, value = line.removeprefix("# ").partition("=")
        if key == "arg":
            args.append(value)
        elif equals:
            settings[key] = value
    return settings, args


# -- protocol ------------------------------------------------------------------------------


def u32(value: int) -> bytes:
    """Return the integer as it is sent."""
    return value.to_bytes(4, "little")


def build_payload() -> bytes:
    """Return arguments and whitelisted variables."""
    strings = [os.fsencode(argument) for argument in sys.argv]
    argc = len(strings)
    for name, value in os.environb.items():
        if name.startswith(b"CNI_") or name in _PASSED:
            strings.append(name + b"=" + value)
    return u32(argc) + b"".join(string + b"\0" for string in strings)


def connect(path: str, patience: int) -> _socket.socket:
    """Connect to an agent that is root's or our own; nothing else may have our descriptors."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    width = 8 if sys.maxsize > 1 << 32 else 4  # of a long, two of which make a timeval
    seconds, rest = divmod(patience, 1000)
    timeval = b"".join(n.to_bytes(width, sys.byteorder) for n in (seconds, rest * 1000 + 1))
    # Bounds a connect to a full backlog, too.
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, timeval)
    try:
        sock.connect(path)
        peer = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    except (FileNotFoundError, ConnectionRefusedError) as err:
        raise NoAgent(f"{path}: {err.strerror}") from err
    except OSError as err:
        raise NotBegun(f"{path}: {err.strerror or err}") from err
    uid = int.from_bytes(peer[4:8], sys.byteorder)
    if uid not in (0, os.geteuid()) or uid == OVERFLOW_UID:
        raise NotBegun(f"{path}: belongs to uid {uid}, which is not to be trusted")
    return sock


def open_netns(path: str, own: int) -> int:
    """Open the container's namespace; -1 if there is none, or it is not a file of nsfs."""
    if not path:
        return -1
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return -1
    if os.fstat(fd).st_dev == os.fstat(own).st_dev:
        return fd
    os.close(fd)
    return -1


def send(sock: _socket.socket, payload: bytes, fds: list[int], mask: int) -> None:
    """Send all of a request, the descriptors with its first byte."""
    data = b"CNIA" + u32(PROTOCOL_VERSION) + u32(len(payload)) + u32(mask) + payload
    rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    control = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
    sent = sock.sendmsg([data], control, _socket.MSG_NOSIGNAL)
    while sent < len(data):
        sent += sock.send(data[sent:], _socket.MSG_NOSIGNAL)


def receive(sock: _socket.socket, size: int, flags: int = 0) -> bytes:
    """Return what there is, nothing if the agent is gone or has said nothing."""
    try:
        return sock.recv(size, flags)
    except OSError:
        return b""


def await_outcome(sock: _socket.socket, patience: int, limit: int) -> int:
    """Return the exit status, or raise what became of the call."""
    deadline = monotonic() + limit / 1000
    patient = wait_for(sock.fileno(), select.POLLIN, patience / 1000)
    if not patient:
        # First withdraw, then look: see protocol.py.
        sock.shutdown(_socket.SHUT_WR)
    answer = receive(sock, 1, 0 if patient else _socket.MSG_DONTWAIT)
    if not answer and not patient:
        raise NotBegun(f"the agent did not answer within {patience} ms")
    if not answer:
        raise NotBegun("the agent closed the connection")
    if answer == b"A":
        if not wait_for(sock.fileno(), select.POLLIN, deadline - monotonic()):
            raise Late(f"the agent did not finish within {limit} ms")
        answer = receive(sock, 1)
        status = receive(sock, 4, _socket.MSG_WAITALL) if answer == b"S" else b""
        if len(status) == 4:
            return 1 if any(status[1:]) else status[0]
        if answer != b"R":
            raise Died("the agent stopped while it served the call")
    reason = receive(sock, 1) if answer == b"R" else b""
    if reason:
        printable = chr(reason[0]) if 32 < reason[0] < 127 else "?"
        raise NotBegun(f"the agent refused the call, reason {printable}")
    raise NotBegun("no agent of ours answers")


# -- JSON ----------------------------------------------------------------------------------


def stated_version(data: bytes | bytearray) -> tuple[str, bool]:
    """Return the string that is ``cniVersion`` of the JSON object, and if the object is complete.

    Nothing is validated beyond strings and the nesting of brackets.
    """
    version, depth, is_value, is_ours = "", 0, False, False
    at = len(data) - len(data.lstrip(b" \t\r\n"))
    if data[at : at + 1] != b"{":
        return "", False
    while at < len(data):
        char = data[at]
        if char in b"{[":
            depth += 1
        elif char in b"}]":
            depth -= 1
            if depth == 0:
                return version, True
        elif char in b":," and depth == 1:
            is_value = char == 0x3A
        elif char == 0x22:
            end = end_of_string(data, at + 1)
            if end < 0:
                break
            text = bytes(data[at + 1 : end])
            if depth == 1 and not is_value:
                is_ours = text == b"cniVersion"
                version = "" if is_ours else version  # the last one counts
            elif depth == 1 and is_ours:
                version = echoed(text)
            at = end
        at += 1
    return "", False


def end_of_string(data: bytes | bytearray, at: int) -> int:
    """Return where the closing quote is, -1 if it is not there yet."""
    while at < len(data) and data[at] != 0x22:
        at += 2 if data[at] == 0x5C else 1
    return at if at < len(data) else -1


def echoed(text: bytes) -> str:
    """Return what may be echoed without escaping; anything else counts as not stated."""
    return text.decode() if 0 < len(text) <= 64 and _VERSION_CHARACTERS.issuperset(text) else ""


def escape(text: str) -> str:
    """Return ``text``, byte by byte, as it may stand in a JSON string; at most about 1.5 KiB."""
    escaped = ""
    for byte in os.fsencode(text)[:1024]:
        if byte in b'"\\':
            escaped += "\\" + chr(byte)
        else:
            escaped += chr(byte) if 0x20 <= byte <= 0x7E else f"\\u{byte:04x}"
    return escaped[:1529]


# -- queue ---------------------------------------------------------------------------------


def attachment_hash(key: bytes) -> int:
    """Return FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in key:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value


def open_queue(path: str) -> int:
    """Open the directory, made if need be; PermissionError unless it is ours alone."""
    slash = path.find("/", 1)
    while slash > 0:
        make_directory(path[:slash], 0o755)
        slash = path.find("/", slash + 1)
    make_directory(path, 0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        os.close(fd)
        raise PermissionError(1, os.strerror(1))
    return fd


def make_directory(path: str, mode: int) -> None:
    """Make the directory if it is not there; opening it later says what is wrong."""
    if not os.path.lexists(path):
        try:
            os.mkdir(path, mode)
        except OSError:
            return


def write_entry(queue: int, name: str, data: bytes) -> None:
    """Write a file of the queue, whole or not at all."""
    temporary = f".tmp-{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    fd = os.open(temporary, flags, 0o600, dir_fd=queue)
    try:
        write_all(fd, data)
        os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=queue, dst_dir_fd=queue)
    except OSError:
        os.unlink(temporary, dir_fd=queue)
        raise
    os.fsync(queue)


if __name__ == "__main__":
    main(sys.argv[0])
