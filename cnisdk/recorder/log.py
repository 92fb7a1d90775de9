"""Where recorded calls are kept: one file each, numbered, the oldest ones dropped.

Copied beside a plugin together with flight.py, and held to the same imports.

The call comes first.  Whatever goes wrong with its record (disk full, directory gone, not ours) is
passed over in silence: stderr is the plugin's.
"""

import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnisdk.recorder.flight import Flight

VARIABLES = frozenset(
    b"PATH HOME TMPDIR XDG_RUNTIME_DIR LANG LC_ALL TZ TRACEPARENT TRACESTATE"
    b" CNISDK_SOCKET CNISDK_WARM".split()
)
"""Kept of the environment, beside CNI_*; of others only the name, since they may be secrets."""

VERSIONS = "versions"
"""Subdirectory of the VERSION calls, which some runtimes make before each other one."""

_COMMAND_MAX = 200  # of what a runtime passes as CNI_COMMAND
_PRUNE_EVERY = 16
_DIGITS = 8
_CREATE = posix.O_WRONLY | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC


class Log:
    """Where calls are kept: one file each, numbered, the oldest ones dropped."""

    def __init__(self, settings: "dict[str, Any]", flight: "Flight") -> None:
        self.settings = settings
        self.flight = flight
        self.fd = -1
        self.name = ""
        self.failed = False
        self.most = settings["most"]

    def begun(self) -> None:
        """Write the call as far as it has come."""
        self.attempt(None)

    def ended(self, status: int) -> None:
        """Write the whole call."""
        self.attempt(status)

    def attempt(self, status: int | None) -> None:
        """Write it, if that can be done."""
        if self.failed:
            return
        try:
            text = document(self.flight, self.settings, status)
            if not self.name:
                self.open()
                self.create(text)
            else:
                self.replace(text)
        except Exception:  # noqa: BLE001 - the call matters more than its record
            self.failed = True

    def open(self) -> None:
        """Open the directory; it has to be ours, and nobody else's to read."""
        path = self.settings["calls"]
        flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        make(path)
        self.fd = posix.open(path, flags)
        self.check()
        if self.flight.environ.get(b"CNI_COMMAND") == b"VERSION":
            if VERSIONS not in posix.listdir(self.fd):
                make(VERSIONS, self.fd)
            self.fd = posix.open(VERSIONS, flags, dir_fd=self.fd)
            self.check()
            self.most = self.settings["versions"]

    def check(self) -> None:
        """Refuse a directory that others could read, or have made."""
        status = posix.fstat(self.fd)
        if status.st_uid != posix.geteuid() or status.st_mode & 0o077:
            raise PermissionError

    def create(self, text: bytes) -> None:
        """Write a file of the next number, and drop the oldest ones."""
        listed = posix.listdir(self.fd)
        names = sorted(name for name in listed if name[:_DIGITS].isdigit())
        number = int(names[-1][:_DIGITS]) + 1 if names else 1
        drop = self.too_many(names, number)
        if number % _PRUNE_EVERY == 0:  # drafts of calls that were killed, and then dropped
            drop += [name for name in listed if name[0] == "." and name[1:] not in names]
        for name in drop:
            remove(name, self.fd)
        flags = _CREATE | posix.O_EXCL
        while not self.name:
            name = f"{number:0{_DIGITS}}.json"
            try:
                fd = posix.open(name, flags, 0o600, dir_fd=self.fd)
            except FileExistsError:
                number += 1  # another call's, at the same moment
                continue
            self.fill(fd, name, text)
            self.name = name

    def replace(self, text: bytes) -> None:
        """Put the whole call in the place of its beginning."""
        draft = f".{self.name}"
        self.fill(posix.open(draft, _CREATE | posix.O_TRUNC, 0o600, dir_fd=self.fd), draft, text)
        posix.rename(draft, self.name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def fill(self, fd: int, name: str, text: bytes) -> None:
        """Write a file, or take away what could not be written."""
        try:
            while text:
                text = text[posix.write(fd, text) :]
        except OSError:
            remove(name, self.fd)
            raise
        finally:
            posix.close(fd)

    def too_many(self, names: list[str], number: int) -> list[str]:
        """Return the oldest calls, beyond so many and so many bytes.

        Bytes are added up at every 16th call, as each file costs a system call.
        """
        drop = max(0, len(names) + 1 - self.most)
        if number % _PRUNE_EVERY == 0:
            room = self.settings["bytes"]
            for index in range(len(names) - 1, drop - 1, -1):
                room -= size_of(names[index], self.fd)
                if room < 0:
                    drop = index + 1
                    break
        return names[:drop]


def make(path: str, directory: int | None = None) -> None:
    """Make a directory that may be there."""
    try:
        posix.mkdir(path, 0o700, dir_fd=directory)
    except FileExistsError:
        return


def remove(name: str, directory: int) -> None:
    """Remove a file that may be gone."""
    try:
        posix.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return


def size_of(name: str, directory: int) -> int:
    """Return the size of a file that may be gone."""
    try:
        return posix.stat(name, dir_fd=directory).st_size
    except FileNotFoundError:
        return 0


# -- what is written ----------------------------------------------------------------------------


def document(flight: "Flight", settings: "dict[str, Any]", status: int | None) -> bytes:
    """Return the call as JSON, in ASCII; bytes that are no UTF-8 are lone surrogates."""
    environ, streams = flight.environ, flight.streams
    allowed = VARIABLES.union(name.encode() for name in settings["variables"])
    kept = {n: v for n, v in environ.items() if n.startswith(b"CNI_") or n in allowed}
    fields: list[tuple[str, object]] = [
        ("runtime", runtime()),
        ("plugin", settings["name"]),
        ("command", environ[b"CNI_COMMAND"][:_COMMAND_MAX]),
        ("env", kept),
        ("stdin", b"".join(streams[0].kept)),
        ("stdout", b"".join(streams[1].kept)),
        ("stderr", b"".join(streams[2].kept)),
        ("exit_status", status),
        ("time", flight.began),
        ("seconds", None if status is None else time.monotonic() - flight.clock),
        ("executable", sys.argv[0]),
        ("file", identity(flight.paths)),
        ("netns", inode(environ.get(b"CNI_NETNS"))),
        ("pid", posix.getpid()),
        ("ppid", posix.getppid()),
        ("child", flight.child),
        ("uid", posix.geteuid()),
        ("left_out", [name for name in environ if name not in kept]),
        (
            "cut",
            {
                name: stream.size
                for name, stream in zip((b"stdin", b"stdout", b"stderr"), streams, strict=True)
                if stream.size > stream.limit
            },
        ),
        ("undelivered", streams[1].lost or streams[2].lost),
    ]
    lines = [f" {encode(name)}: {encode(value)}" for name, value in fields]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def encode(value: object) -> str:
    """Return a value as JSON."""
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        items = [f"{encode(name)}: {encode(item)}" for name, item in value.items()]
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(encode, value)) + "]"
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import py_encode_basestring_ascii

        return py_encode_basestring_ascii(text)
    return encode_basestring_ascii(text)


def runtime() -> bytes:
    """Return the name of the program that called us."""
    try:
        fd = posix.open(f"/proc/{posix.getppid()}/comm", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return posix.read(fd, 64).rstrip(b"\n")
    except OSError:
        return b""
    finally:
        posix.close(fd)


def identity(paths: list[str]) -> "dict[bytes, object] | None":
    """Return which file it was that answered; another one after an upgrade."""
    for path in paths:
        try:
            status = posix.stat(path)
        except OSError:
            continue
        return {
            b"path": path,
            b"inode": status.st_ino,
            b"size": status.st_size,
            b"mtime_ns": int(status.st_mtime * 1e9),
        }
    return None


def inode(path: bytes | None) -> int | None:
    """Return the number of the namespace at ``path``, None if nothing is there."""
    try:
        return posix.stat(path).st_ino if path else None
    except OSError:
        return None
