"""The end of an executable that says how it runs: settings and payload behind a launcher.

::

    launcher | payload | settings | footer

The launcher is an ELF file or a Python script and knows nothing of what it will run; a build
appends the rest.  All of it but the payload is ASCII and looks like comments, so a Python script
stays a Python script::

    # versions=0.4.0,1.0.0,1.1.0
    # mode=exec
    # exec=/usr/bin/python3
    # arg=-I
    # arg=%s
    # cnisdk-trailer 1 <settings offset> <length> <payload offset> <length>

The numbers of the footer are hexadecimal, 16, 8, 16 and 16 digits wide, offsets from the start of
the file.  Settings end where the footer begins, and with it fit in the last 8 KiB of the file: a
launcher reads all of it at once.  A file whose end is not exactly this has no trailer: it is a
launcher that runs nothing by itself.

Settings, of which the launchers ignore those they do not know:

=============== ===================================================================================
``versions``    the plugin's, comma separated, oldest first; all of the specification by default
``mode``        ``exec``: without an agent ``exec`` is executed; ``none``: only an agent serves
``exec``        path of the program, usually an interpreter
``argv0``       its argv[0], the path by default
``arg``         may be repeated: its arguments; the launcher's own arguments follow
``on-del``      in mode ``none``: ``queue`` (see `cnisdk.agent.queue`), ``fail`` or ``ignore``
``queue-dir``   where; /var/lib/cnisdk/queue
``socket``      the agent's, unless CNISDK_SOCKET names another; /run/cnisdk/agent.sock
``patience-ms`` how long the agent may take to accept a call; 1000
``limit-ms``    how long it may take for an accepted call; 600000
``payload-id``  names the payload's directory: 32 hexadecimal digits, see `cnisdk.build.archive`
``unpack-dir``  may be repeated: where that directory may be, tried in their order
``warm``        seconds for which a call may leave an agent behind, unless CNISDK_WARM says
=============== ===================================================================================

In ``exec``, ``argv0`` and ``arg``, ``%s`` is the path of the executable itself, ``%n`` the name
it was called by (a link ``host-local`` to ``bridge`` is told apart by it), ``%d`` the directory
that the payload was unpacked to, ``%w`` the seconds for which it may leave an agent behind, which
may be nothing, ``%%`` a percent sign.
"""

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_SETTINGS = 8192
"""Settings and footer together."""
MAX_ARGS = 64
MAX_UNPACK_DIRS = 8
UNPACK_DIRS = ("/var/lib/cnisdk/payload", "/run/cnisdk-payload")
"""Where an executable unpacks that was told nothing; unpack.c has them too."""

_FOOTER = "# cnisdk-trailer 1 {:016x} {:08x} {:016x} {:016x}\n"
_FOOTER_SIZE = len(_FOOTER.format(0, 0, 0, 0))
_FOOTER_RE = re.compile(
    rb"# cnisdk-trailer 1 ([0-9a-f]{16}) ([0-9a-f]{8}) ([0-9a-f]{16}) ([0-9a-f]{16})\n"
)
_KEY = re.compile(r"[a-z0-9-]+")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,64}")

Settings = tuple[tuple[str, str], ...]


class TrailerError(ValueError):
    """Settings that no launcher would understand, or a trailer that is not one."""


class Trailer(NamedTuple):
    """What stands behind the launcher of an executable."""

    settings: Settings
    payload_offset: int
    """Also the size of the launcher in front."""
    payload_length: int

    @property
    def versions(self) -> tuple[str, ...]:
        """The plugin's, oldest first; none where the trailer does not say."""
        listed = self.value("versions")
        return tuple(listed.split(",")) if listed else ()

    def value(self, key: str, default: str = "") -> str:
        """Return the last value of ``key``, the one that the launcher takes."""
        return next((value for name, value in reversed(self.settings) if name == key), default)

    def values(self, key: str) -> tuple[str, ...]:
        """Return all values of ``key`` in their order."""
        return tuple(value for name, value in self.settings if name == key)


def append(launcher: bytes, settings: Iterable[tuple[str, str]], payload: bytes = b"") -> bytes:
    """Return ``launcher`` with ``payload`` and ``settings`` behind it; the same bytes each time.

    Raises TrailerError for settings that a launcher would misread, and for a launcher that has
    a trailer already.
    """
    if _FOOTER_RE.fullmatch(launcher[-_FOOTER_SIZE:]):
        raise TrailerError("the launcher has a trailer already")
    settings = tuple(settings)
    for key, value in settings:
        _check(key, value)
    if sum(key == "arg" for key, _ in settings) > MAX_ARGS:
        raise TrailerError(f"more than {MAX_ARGS} arguments")
    if sum(key == "unpack-dir" for key, _ in settings) > MAX_UNPACK_DIRS:
        raise TrailerError(f"more than {MAX_UNPACK_DIRS} directories to unpack to")
    if dict(settings).get("mode") == "exec" and not dict(settings).get("exec"):
        raise TrailerError("mode=exec needs exec=")
    text = "".join(f"# {key}={value}\n" for key, value in settings).encode()
    if len(text) + _FOOTER_SIZE > MAX_SETTINGS:
        raise TrailerError(f"settings of {len(text)} bytes are too large")
    start = len(launcher) + len(payload)
    footer = _FOOTER.format(start, len(text), len(launcher), len(payload))
    return b"".join((launcher, payload, text, footer.encode()))


def _check(key: str, value: str) -> None:
    if not _KEY.fullmatch(key) or any(ord(c) < 0x20 or ord(c) == 0x7F for c in value):
        raise TrailerError(f"setting {key}={value!r} does not fit on a line")
    wrong = False
    if key == "mode":
        wrong = value not in ("exec", "none")
    elif key == "on-del":
        wrong = value not in ("queue", "fail", "ignore")
    elif key in ("patience-ms", "limit-ms", "warm"):
        wrong = not (value.isascii() and value.isdigit() and len(value) < 10)
    elif key == "versions":
        versions = value.split(",")
        wrong = len(value) > 512 or not all(_VERSION.fullmatch(version) for version in versions)
    elif key in ("exec", "argv0", "arg"):
        wrong = bool(re.search("%(?![sndw%])", value.replace("%%", "")))
    elif key == "payload-id":
        wrong = not re.fullmatch("[0-9a-f]{32}", value)
    elif key in ("socket", "queue-dir", "unpack-dir"):
        wrong = not value.startswith("/")
    if wrong:
        raise TrailerError(f"setting {key}={value!r} means nothing to a launcher")


def read(path: str) -> Trailer | None:
    """Return the trailer of the file at ``path``, None if it has none."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_SETTINGS))
        return decode(file.read(), size)


def decode(tail: bytes, size: int) -> Trailer | None:
    """Return the trailer in ``tail``, the last `MAX_SETTINGS` bytes of a file of ``size``."""
    match = _FOOTER_RE.fullmatch(tail[-_FOOTER_SIZE:])
    if match is None:
        return None
    start, length, payload, payload_length = (int(number, 16) for number in match.groups())
    end = len(tail) - _FOOTER_SIZE
    if start + length != size - _FOOTER_SIZE or length > end or payload + payload_length > start:
        return None
    lines = tail[end - length : end].decode("utf-8", "surrogateescape").split("\n")
    settings = []
    for line in lines:
        key, equals, value = line.removeprefix("# ").partition("=")
        if equals:
            settings.append((key, value))
    return Trailer(tuple(settings), payload, payload_length)
