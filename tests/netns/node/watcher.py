"""What containerd does with its configuration directory: watch it, and read all of it on events.

fsnotify makes events of inotify's: a name that goes is Rename, one that comes is Create, and
containerd loads its networks on Write, Rename and Remove, and overlooks Create and Chmod.
"""

import ctypes
import json
import os
import struct
from pathlib import Path
from typing import Any

IN_MODIFY, IN_ATTRIB, IN_MOVED_FROM, IN_MOVED_TO = 0x2, 0x4, 0x40, 0x80
IN_CREATE, IN_DELETE = 0x100, 0x200
_ALL = IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
_RELOAD = IN_MODIFY | IN_MOVED_FROM | IN_DELETE
_EXTENSIONS = (".conf", ".conflist", ".json")
_EVENT = struct.Struct("iIII")


class Watcher:
    """Watches a directory; `loaded` is what it read last, by file name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        assert self.fd >= 0
        assert libc.inotify_add_watch(self.fd, os.fsencode(directory), _ALL) >= 0
        self.loaded: dict[str, Any] = {}
        self.loads = 0
        self.events = 0
        self.broken: list[str] = []

    def close(self) -> None:
        os.close(self.fd)

    def take(self) -> None:
        """Take every event there is, and load after each as containerd would."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return
        while data:
            _, mask, _, length = _EVENT.unpack_from(data)
            data = data[_EVENT.size + length :]
            self.events += 1
            if mask & _RELOAD:
                self.load()

    def load(self) -> None:
        """Read and decode every network; what cannot be is in `broken`."""
        self.loads += 1
        found = {}
        for name in sorted(os.listdir(self.directory)):
            if name.endswith(_EXTENSIONS):
                text = (self.directory / name).read_text()
                try:
                    found[name] = json.loads(text)
                except ValueError:
                    self.broken.append(text)
        self.loaded = found
