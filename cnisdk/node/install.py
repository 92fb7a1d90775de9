"""Put executables and networks on a node, and take them away again.

In this order, so that a node never has a network whose plugin it lacks, nor half a file:

1. everything is read, checked and compared; whatever is wrong, nothing has been touched;
2. all that is new is drafted beside its place and put on disk: a full disk is found out here;
3. the receipt says what may be there from now on (`cnisdk.node.receipt`);
4. executables are renamed to their places, then networks: their appearance makes a node ready;
5. what the installation before had and this one has not goes, networks first;
6. the receipt says what there is.

Killed anywhere, the next run does the rest.  Whatever is as it should be stays untouched, its times
too: watchers see nothing.
"""

import errno
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from cnisdk.node import receipt, source
from cnisdk.node.directory import Directory, Found
from cnisdk.node.errors import NodeError
from cnisdk.node.places import Places
from cnisdk.node.receipt import Entry, Receipt, Receipts
from cnisdk.node.root import Root
from cnisdk.node.source import Kind, Source
from cnisdk.node.wants import check_plugins

Say = Callable[[str, str], None]
"""Is told what happens: a verb, and a path."""


_Spot = tuple[tuple[int, int] | str, str]
"""Where a file is, however its path is written: device and inode of its directory, and its name."""


class _Plan(NamedTuple):
    """What a node lacks of what it should have."""

    put: list[tuple[str, Source]]
    """Path on the node, and what is to be there."""
    entries: list[Entry]
    """What will be ours."""
    obsolete: list[Entry]
    """What was ours, and is not wanted any more."""


class Installation:
    """One installation on the node at ``root``, called ``name``."""

    def __init__(self, root: Root, name: str, say: Say) -> None:
        self.root = root
        self.name = receipt.check_name(name)
        self.say = say
        self._directories: dict[str, Directory] = {}

    def install(
        self,
        places: Places,
        paths: Sequence[str],
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Put files on the node, and take away what an earlier version had beside them.

        A file that is there, and not of this installation, is only replaced with ``force``; so
        is a network only put there if all its plugins are.  Raises NodeError, BrokenConfigError.
        """
        with _explained(changed=lambda: False):
            sources = source.read(paths)
        wanted = [(f"{_directory(places, one)}/{one.name}", one) for one in sources]
        changed = False
        with (
            _explained(changed=lambda: changed),
            receipt.locked(self.root, create=not dry_run) as receipts,
            ExitStack() as stack,
        ):
            stack.callback(self._close)
            before = receipts.read(self.name)
            if not dry_run:
                for path in (*before, *(path for path, _ in wanted)):
                    self._sweep(path)
            plan = self._plan(wanted, receipts, before, force=force)
            if not force:
                gone = {self._spot(entry.path) for entry in plan.obsolete}
                check_plugins(
                    self.root, places, sources, goes=lambda path: self._spot(path) in gone
                )
            kept = {entry.path: entry for entry in plan.entries}
            if plan.put or plan.obsolete or kept != before:
                if dry_run:
                    self._announce(plan)
                    return
                self._draft(plan, wanted)
                receipts.write(self.name, self._either(before, kept))
                changed = True
                self._place(plan)
                self._remove(plan.obsolete, receipts, [path for path, _ in wanted])
                receipts.write(self.name, plan.entries)

    def uninstall(self, *, dry_run: bool = False) -> None:
        """Take away what this installation put there, and nothing else."""
        with (
            _explained(changed=lambda: True),
            receipt.locked(self.root, create=False) as receipts,
            ExitStack() as stack,
        ):
            stack.callback(self._close)
            entries = receipts.read(self.name)
            if not entries:
                others = ", ".join(receipts.names()) or "nothing"
                self.say("nothing", f"is installed as {self.name}; installed: {others}")
            if dry_run:
                for entry in entries.values():
                    self.say("would remove", entry.path)
                return
            for path in entries:
                self._sweep(path)
            self._remove(list(entries.values()), receipts)
            receipts.remove(self.name)

    # -- looking ---------------------------------------------------------------------------

    def _plan(
        self,
        wanted: Sequence[tuple[str, Source]],
        receipts: Receipts,
        before: Receipt,
        *,
        force: bool,
    ) -> _Plan:
        plan = _Plan([], [], [])
        others = self._others(receipts)
        known = self._digests(before.values())
        refused = []
        for path, one in wanted:
            found = self._find(path)
            spot = self._spot(path)
            ours = found is not None and found.digest in known.get(spot, ())
            if found is not None and found.is_directory:
                raise NodeError(f"{path} is a directory")
            if found is not None and _is_as_wanted(found, one):
                self.say("unchanged", path)
                if not (ours or spot in others):
                    continue  # somebody else's, and not ours to take away
            else:
                if found is not None and not ours and not force:
                    refused.append(f"{path} {_whose(spot, known, others)}")
                plan.put.append((path, one))
            plan.entries.append(Entry(path, one.kind, (one.digest,)))
        if refused:
            raise NodeError("; ".join(refused), "--force replaces what is there")
        spots = {self._spot(path) for path, _ in wanted}
        plan.obsolete.extend(one for one in before.values() if self._spot(one.path) not in spots)
        return plan

    def _find(self, path: str) -> Found | None:
        directory = self._open(path)
        return directory.find(os.path.basename(path)) if directory else None

    def _spot(self, path: str) -> _Spot:
        """Return where a path leads, which two of them may: a directory has several, by links.

        A directory that is not there has its path alone, until it is made.
        """
        directory = self._open(path)
        parent, name = os.path.split(path)
        return directory.identity if directory else os.path.normpath(parent), name

    def _others(self, receipts: Receipts) -> dict[_Spot, str]:
        """Return what other installations have, and which of them."""
        return {self._spot(path): name for path, name in receipts.others(self.name).items()}

    def _digests(self, entries: Iterable[Entry]) -> dict[_Spot, tuple[str, ...]]:
        """Return what we may have put where, under whichever path."""
        known: dict[_Spot, tuple[str, ...]] = {}
        for entry in entries:
            spot = self._spot(entry.path)
            known[spot] = tuple(dict.fromkeys((*known.get(spot, ()), *entry.digests)))
        return known

    def _either(self, before: Receipt, after: Receipt) -> list[Entry]:
        """Return entries for all that may be there while one takes the place of the other."""
        known = self._digests((*before.values(), *after.values()))
        merged = {**before, **after}
        return [one._replace(digests=known[self._spot(path)]) for path, one in merged.items()]

    def _announce(self, plan: _Plan) -> None:
        for path, _ in plan.put:
            self.say("would put", path)
        for entry in plan.obsolete:
            self.say("would remove", entry.path)

    # -- changing --------------------------------------------------------------------------

    def _sweep(self, path: str) -> None:
        if directory := self._open(path):
            directory.sweep()

    def _draft(self, plan: _Plan, wanted: Sequence[tuple[str, Source]]) -> None:
        lacking = {path for path, _ in plan.put}
        # A link to what is there already: no second copy of a payload that several share.
        drafted = {one.inode: path for path, one in wanted if path not in lacking}
        for path, one in plan.put:
            directory = self._made(path)
            name = os.path.basename(path)
            other = drafted.get(one.inode)
            if other and os.path.dirname(other) == os.path.dirname(path):
                there = None if other in lacking else self._find(other)
                if directory.draft_link(name, os.path.basename(other), there):
                    continue
            fd = os.open(one.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                copied = directory.draft(name, fd, one.mode)
            finally:
                os.close(fd)
            if copied != one.digest:
                raise NodeError(f"{one.path} changed while it was read", "run it again")
            drafted[one.inode] = path

    def _place(self, plan: _Plan) -> None:
        for kind in (Kind.EXECUTABLE, Kind.CONFIG):
            paths = [path for path, one in plan.put if one.kind is kind]
            for parent in dict.fromkeys(map(os.path.dirname, paths)):
                self._directories[parent].place()
            for path in paths:
                self.say("put", path)

    def _remove(
        self, entries: Sequence[Entry], receipts: Receipts, wanted: Sequence[str] = ()
    ) -> None:
        others = self._others(receipts)
        known = self._digests(entries)
        # Asked once more: directories may have been made since it was planned.
        done = {self._spot(path) for path in wanted}
        for kind in (Kind.CONFIG, Kind.EXECUTABLE):
            for entry in (one for one in entries if one.kind is kind):
                spot = self._spot(entry.path)
                directory = self._open(entry.path)
                found = self._find(entry.path)
                if directory is None or found is None or spot in done:
                    continue
                done.add(spot)
                if spot in others:
                    self.say("left", f"{entry.path}: {others[spot]} has it too")
                elif found.digest not in known[spot]:
                    self.say("left", f"{entry.path}: changed since it was installed")
                else:
                    directory.remove(os.path.basename(entry.path))
                    directory.sync()
                    self.say("removed", entry.path)

    # -- directories -----------------------------------------------------------------------

    def _open(self, path: str) -> Directory | None:
        """Return the directory of ``path``; None where there is none."""
        try:
            return self._made(path, create=False)
        except FileNotFoundError:
            return None

    def _made(self, path: str, *, create: bool = True) -> Directory:
        """Return the directory of ``path``, which is made where there is none."""
        parent = os.path.dirname(path)
        if parent not in self._directories:
            self._directories[parent] = Directory(self.root, parent, create=create)
        return self._directories[parent]

    def _close(self) -> None:
        for directory in self._directories.values():
            directory.close()
        self._directories.clear()


def default_name(paths: Sequence[str]) -> str:
    """Return the name of an installation without one: its first network's file, or executable."""
    names = sorted(os.path.basename(path) for path in paths)
    configs = [name for name in names if name.endswith(source.CONFIG_EXTENSIONS)]
    return os.path.splitext(configs[0])[0] if configs else names[0]


def _directory(places: Places, one: Source) -> str:
    return places.bin_dir if one.kind is Kind.EXECUTABLE else places.conf_dir


def _is_as_wanted(found: Found, one: Source) -> bool:
    return (found.digest, found.mode, found.uid) == (one.digest, one.mode, os.geteuid())


def _whose(spot: _Spot, known: Container[_Spot], others: Mapping[_Spot, str]) -> str:
    if spot in others:
        return f"is what {others[spot]} installed"
    if spot in known:
        return "was changed since it was installed"
    return "is there and was not put there by cnisdk install"


@contextmanager
def _explained(*, changed: Callable[[], bool]) -> Iterator[None]:
    """Say what the system refused in a person's words."""
    try:
        yield
    except OSError as err:
        where = f"{err.filename}: " if err.filename else ""
        done = "some files are new; run it again" if changed() else "nothing was changed"
        step = ""
        if err.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
            step = "a node's directories are root's: run it again with sudo"
        elif err.errno == errno.EROFS:
            step = "choose a directory that can be written to with --bin-dir and --conf-dir"
        elif err.errno == errno.ENOSPC:
            step = "make room, and run it again"
        raise NodeError(f"{where}{err.strerror or err}; {done}", step) from err
