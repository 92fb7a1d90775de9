"""Put a recorder in the place of a plugin, and the plugin back in its place.

A runtime finds a plugin by its name in CNI_PATH, so what stands there under that name is the
recorder.  Beside it, out of every search::

    DIR/bridge                                 the recorder: a script that runs main.py
    DIR/.cnisdk-recorded/bridge/run/bridge     the plugin: the same file, or a link to where one led
    DIR/.cnisdk-recorded/bridge/run/other      for a link DIR/other to DIR/bridge: its name
    DIR/.cnisdk-recorded/bridge/link           the link that DIR/bridge was, if it was one
    DIR/.cnisdk-recorded/bridge/main.py, flight.py, log.py

The plugin keeps its name, as it may be one of several in its file, and finds delegates as ever.
Everything is prepared first; then one rename(2) puts the recorder in place, and one puts the plugin
back, so under that name there is one of both at every moment, and what a killed run has left is
debris that works.  Whatever else comes to stand there, an upgrade, is not ours to touch.
"""

import errno
import os
import py_compile
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, NamedTuple

from cnisdk.agent import owned
from cnisdk.node.directory import Directory
from cnisdk.node.errors import NodeError
from cnisdk.node.receipt import locked
from cnisdk.node.root import Root
from cnisdk.recorder import flight, texts

STORE = ".cnisdk-recorded"
"""Directory in a directory of plugins; no plugin's name, as runtimes see it."""

CALLS = "/var/lib/cnisdk/calls"
"""Where calls are kept."""

_MODULES = ("flight.py", "log.py")

_SETTLED = 2  # times that no call is found to be under way
_GLANCE = 0.05  # seconds in between
_PATIENCE = 10.0


class Limits(NamedTuple):
    """How much is kept."""

    calls: int = 1000
    versions: int = 100
    """Calls of VERSION, counted by themselves."""
    bytes: int = 64 << 20
    """All calls together."""
    stream: int = 256 << 10
    """Of each stream of a call."""


class State(StrEnum):
    """What stands in a plugin's place."""

    RECORDED = "recorded"
    REPLACED = "replaced"
    """Another plugin, put there since: calls of it are not recorded."""
    REMOVED = "removed"
    """Nothing any more."""
    UNTOUCHED = "untouched"
    """The plugin itself: recording was about to begin."""
    LOST = "lost"
    """A recorder whose plugin is gone."""


class Recorded(NamedTuple):
    """A plugin for which there is a recorder."""

    path: str
    state: State


def recorded(directory: str, root: Root | None = None) -> list[Recorded]:
    """Return the plugins in ``directory`` of a node that are recorded, or were to be.

    Their paths are where they are here; of a node whose root is mounted, within that.
    """
    root = root or Root()
    directory = os.path.realpath(directory) if root.is_ours else root.locate(directory)
    names: list[str] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        names = sorted(os.listdir(os.path.join(directory, STORE)))
    return [
        Recorded(os.path.join(directory, name), _Place(directory, name, root).state())
        for name in names
    ]


def original(path: str) -> str:
    """Return the plugin itself where ``path`` is its recorder, else ``path``."""
    real = os.path.realpath(path)
    directory, name = os.path.split(real)
    if flight.is_wrapper(real):
        return _Place(directory, name).run
    return path


def record(
    path: str,
    *,
    calls: str = CALLS,
    limits: Limits | None = None,
    variables: tuple[str, ...] = (),
    say: Callable[[str], object] = lambda text: None,
) -> None:
    """Record the plugin at ``path`` from now on; again, with other settings, if it is already.

    ``variables`` are kept of the environment too.  Raises NodeError, and nothing has changed.
    """
    with _explained("nothing was changed"), locked(Root(), create=True):
        place = _Place.of(path)
        state = place.state()
        if state is State.LOST:
            raise NodeError(
                f"{place.path} is a recorder whose plugin is gone", "install the plugin again"
            )
        if state is State.REPLACED:
            say(f"{place.path} was replaced since it was recorded; recording what is there now")
        _prepare_calls(calls)
        place.put(state, calls, limits or Limits(), variables)
        say(f"recording {place.path} in {calls}")


def stop(path: str, *, say: Callable[[str], object] = lambda text: None) -> None:
    """Put the plugin back in its place, the very file that was there.

    What has taken its place in the meantime stays.  Raises NodeError.
    """
    with _explained("run it again"), locked(Root(), create=True):
        place = _Place.of(path, gone=True)
        if not os.path.isdir(place.store):
            if os.path.lexists(place.path) and flight.is_wrapper(place.path):
                raise _lost(place)
            place.tidy()
            raise NodeError(f"{place.path} is not recorded")
        state = place.state()
        if state is State.LOST:
            raise _lost(place)
        if state is State.RECORDED:
            place.restore()
            say(f"restored {place.path}")
        else:
            text = {
                State.REPLACED: "was replaced since, and is left as it is",
                State.REMOVED: "was removed since, and is not put back",
                State.UNTOUCHED: "was not recorded yet, and is as it was",
            }[state]
            say(f"{place.path} {text}")
        if state is State.RECORDED and not place.settle():
            say(f"left {place.store}: a call is under way; run it again when it has ended")
            return
        place.clear()


def _lost(place: "_Place") -> NodeError:
    return NodeError(
        f"{place.path} is a recorder whose plugin is gone: it is not in {place.run}",
        "install the plugin again",
    )


class _Place:
    """Where a plugin stands, and what is put beside it."""

    def __init__(self, directory: str, name: str, root: Root | None = None) -> None:
        self.root = root or Root()
        self.directory = directory
        self.name = name
        self.path = os.path.join(directory, name)
        self.store = os.path.join(directory, STORE, name)
        self.run_dir = os.path.join(self.store, "run")
        self.run = os.path.join(self.run_dir, name)
        self.link = os.path.join(self.store, "link")

    @classmethod
    def of(cls, path: str, *, gone: bool = False) -> "_Place":
        """Return the place of ``path``, which has a plugin, or with ``gone`` may have had one."""
        directory, name = os.path.split(os.path.abspath(path))
        place = cls(os.path.realpath(directory), name)
        if not gone:
            try:
                status = os.stat(path)
            except FileNotFoundError as err:
                raise NodeError(f"there is no {path}") from err
            if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
                raise NodeError(f"{path} is no executable file")
        return place

    def state(self) -> State:
        """Say what stands there; State.UNTOUCHED for a plugin that nothing was done to."""
        if not os.path.lexists(self.path):
            return State.REMOVED
        if self._is_ours():
            return State.RECORDED if self._is_kept() else State.LOST
        if not os.path.lexists(self.run) or self._is_same():
            return State.UNTOUCHED
        return State.REPLACED

    def _is_kept(self) -> bool:
        """Say whether the plugin is there, a link followed as the node would."""
        try:
            return self.root.exists(self.root.path_of(self.run))
        except PermissionError:
            return True  # as far as we may look

    def _is_ours(self) -> bool:
        """Say whether the recorder of this plugin is there; a link to another one is not."""
        return not os.path.islink(self.path) and flight.is_wrapper(self.path)

    def _is_same(self) -> bool:
        """Say whether what we keep is still what is there."""
        kept = self.link if os.path.islink(self.path) else self.run
        return os.path.lexists(kept) and os.path.samestat(os.lstat(kept), os.lstat(self.path))

    # -- putting ---------------------------------------------------------------------------

    def put(self, state: State, calls: str, limits: Limits, variables: tuple[str, ...]) -> None:
        """Prepare everything, then put the recorder in place."""
        script = texts.place(self.path, self.store, self.run)
        for directory in (os.path.dirname(self.store), self.store, self.run_dir):
            if not os.path.isdir(directory):
                os.mkdir(directory)
            os.chmod(directory, 0o755)  # noqa: S103 - who executes plugins executes this one
        for name in _MODULES:
            _write_module(self.store, name, Path(__file__).with_name(name).read_bytes())
        settings: dict[str, Any] = {
            "name": self.name,
            "place": self.path,
            "run": self.run_dir,
            "beside": f"{STORE}/{self.name}/run",
            "calls": calls,
            "most": limits.calls,
            "versions": limits.versions,
            "bytes": limits.bytes,
            "stream": limits.stream,
            "variables": list(variables),
        }
        _write_module(self.store, "main.py", texts.main(settings))
        if state is not State.RECORDED:
            self._keep()
        for directory in (
            self.run_dir, self.store, os.path.dirname(self.store), self.directory
        ):  # fmt: skip
            _sync(directory)
        status = os.stat(self.path)
        place = Directory(Root(), self.directory)
        try:
            place.sweep()
            place.draft_bytes(self.name, script, stat.S_IMODE(status.st_mode) & 0o777)
            place.place()
        finally:
            place.close()

    def _keep(self) -> None:
        """Have the plugin where the recorder looks for it, under each name that it is called by."""
        if os.path.islink(self.path):
            _replace(self.link, lambda draft: os.link(self.path, draft, follow_symlinks=False))
            target = os.path.join(self.directory, os.readlink(self.path))
            _replace(self.run, lambda draft: os.symlink(target, draft))
        else:
            _replace(self.run, lambda draft: os.link(self.path, draft, follow_symlinks=False))
            with suppress(FileNotFoundError):
                os.unlink(self.link)
        for alias in self._aliases():
            _replace(os.path.join(self.run_dir, alias), lambda draft: os.symlink(self.name, draft))

    def _aliases(self) -> set[str]:
        """Return the names of links in the directory that lead here, recorded ones too."""
        store = os.path.dirname(self.store)
        paths = {name: os.path.join(self.directory, name) for name in os.listdir(self.directory)}
        paths |= {
            name: link
            for name in os.listdir(store)
            if os.path.lexists(link := os.path.join(store, name, "link"))
        }
        links = {
            name: os.path.join(self.directory, os.readlink(path))
            for name, path in paths.items()
            if os.path.islink(path)
        }
        found = {self.name}
        while (
            more := {
                name
                for name, target in links.items()
                if os.path.normpath(target) in {os.path.join(self.directory, one) for one in found}
            }
            - found
        ):
            found |= more
        return found - {self.name}

    # -- taking back -----------------------------------------------------------------------

    def restore(self) -> None:
        """Put the plugin back; calls that have begun still find it where it was."""
        if os.path.lexists(self.link):
            os.rename(self.link, self.path)
        else:
            draft = os.path.join(self.store, "back")
            with suppress(FileNotFoundError):
                os.unlink(draft)
            os.link(self.run, draft, follow_symlinks=False)
            os.rename(draft, self.path)
        _sync(self.directory)

    def settle(self) -> bool:
        """Wait for the calls that have begun; False if one does not end.

        Until the interpreter of a plugin that is a script has opened it, it has to stay.
        """
        deadline = time.monotonic() + _PATIENCE
        words = {os.fsencode(texts.code(self.store)), os.fsencode(self.run)}
        quiet = 0
        while quiet < _SETTLED:
            quiet = 0 if any(_runs(pid, words) for pid in os.listdir("/proc")) else quiet + 1
            if time.monotonic() > deadline:
                return False
            time.sleep(_GLANCE)
        return True

    def clear(self) -> None:
        """Take away what was put beside it; the plugin itself is in its place by now."""
        shutil.rmtree(self.store)
        self.tidy()
        _sync(self.directory)

    def tidy(self) -> None:
        """Take away what nothing is in any more, and what a killed run has drafted."""
        place = Directory(Root(), self.directory)
        try:
            place.sweep()
        finally:
            place.close()
        with suppress(OSError):  # not empty, as others are recorded; or gone
            os.rmdir(os.path.dirname(self.store))


def _runs(pid: str, words: set[bytes]) -> bool:
    """Say whether one of ``words`` is an argument that a process was started with."""
    if not pid.isdigit():
        return False
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return not words.isdisjoint(file.read(4096).split(b"\0"))
    except OSError:
        return False  # it has ended, or is somebody else's


def _replace(path: str, make: Callable[[str], object]) -> None:
    """Make a directory entry in the place of another, if there is one."""
    draft = f"{path}.draft"
    with suppress(FileNotFoundError):
        os.unlink(draft)
    make(draft)
    os.rename(draft, path)
    with suppress(FileNotFoundError):  # of two links to one file, rename(2) leaves both
        os.unlink(draft)


def _write_module(store: str, name: str, data: bytes) -> None:
    """Put a module into ``store``, compiled; it is the old or the new one at any moment."""
    path = os.path.join(store, name)
    draft = f"{path}.draft"
    with open(draft, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o644)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)
    with suppress(OSError):  # a plugin is recorded without it too, more slowly
        py_compile.compile(path, quiet=2)
    with suppress(FileNotFoundError):
        os.chmod(cache_from_source(path), 0o644)


def _prepare_calls(path: str) -> None:
    """Make the directory of the calls: nobody else may read it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    if problem := owned.problem(path):
        mend = f", or: chown {os.geteuid()} {path}; chmod 700 {path}" if os.path.isdir(path) else ""
        raise NodeError(problem, f"choose another one with --calls{mend}")


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _explained(done: str) -> Iterator[None]:
    """Say what the system refused in a person's words."""
    try:
        yield
    except OSError as err:
        where = f"{err.filename}: " if err.filename else ""
        step = ""
        if err.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
            step = "a node's plugins are root's: run it again with sudo"
        elif err.errno in (errno.EXDEV, errno.EMLINK, errno.ENOTSUP):
            step = "the directory of the plugin has to allow hard links"
        raise NodeError(f"{where}{err.strerror or err}; {done}", step) from err
