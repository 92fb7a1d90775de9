"""Calls that end at any change they make, killed or by an error, and what the next one finds."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cni_host_local.index import Index
from cni_host_local.store import Store
from cnisdk import AttachmentKey

ONE = AttachmentKey("one", "eth0")
TWO = AttachmentKey("two", "eth0")

CHANGES = ("link", "unlink", "symlink", "rename", "rmdir", "mkdir", "utime", "write", "ftruncate")
STOPPED = 9
LEAST = 5
"""A call makes more changes than that."""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with TemporaryDirectory(dir="/run") as path:  # in memory
        yield Path(path)


def _reserve(store: Store, owner: AttachmentKey, *addresses: str) -> None:
    for address in addresses:
        store.reserve([IPv4Address(address)], owner)


def _adds(store: Store) -> None:
    with store.locked(reclaim=True):
        _reserve(store, ONE, "10.0.0.3")
        store.set_last_reserved(0, IPv4Address("10.0.0.3"))


def _deletes(store: Store) -> None:
    with store.locked():
        store.release(ONE)


def _of_the_go_plugin(store: Store) -> None:
    """Change the directory as the Go plugin does: one gone, one new, one another's."""
    path = Path(store.path)
    path.joinpath("10.0.0.2").unlink()
    path.joinpath("10.0.0.4").write_bytes(b"one\r\neth0")
    path.joinpath("10.0.0.5").unlink()
    path.joinpath("10.0.0.5").write_bytes(b"one\r\neth0")


def _reboots(store: Store) -> None:
    index = Path(Index(store.path).path)
    index.rename(index.with_name("another boot"))


def _nothing_else(store: Store) -> None:
    """Leave all as it is."""


class Stop:
    """The change that is not made; with an error, those after it are."""

    def __init__(self, number: int, *, kill: bool) -> None:
        self.left = number
        self.kill = kill
        for name in CHANGES:
            setattr(os, name, partial(self._change, getattr(os, name)))

    def _change(self, real: Callable[..., object], *args: object, **kwargs: object) -> object:
        self.left -= 1
        if self.left:
            return real(*args, **kwargs)
        if self.kill:
            os._exit(STOPPED)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _in_a_child(call: Callable[[Store], None], store: Store, number: int, *, kill: bool) -> bool:
    """Run a call that is stopped; say whether it came so far."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            stop = Stop(number, kill=kill)
            with suppress(OSError):
                call(store)
            status = 0 if stop.left > 0 else STOPPED
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, STOPPED)
    return status == STOPPED


def _truth(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.name != "lock" and not path.name.startswith("last_reserved_ip.")
    }


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "failing"])
@pytest.mark.parametrize("before", [_nothing_else, _of_the_go_plugin, _reboots])
@pytest.mark.parametrize("call", [_adds, _deletes])
def test_a_call_that_stops_anywhere_leaves_what_the_next_understands(
    data_dir: Path, call: Callable[[Store], None], before: Callable[[Store], None], kill: bool
) -> None:
    for number in count(1):
        shutil.rmtree(data_dir / "net", ignore_errors=True)
        shutil.rmtree(data_dir / ".index", ignore_errors=True)
        store = Store(str(data_dir), "net")
        with store.locked():
            _reserve(store, ONE, "10.0.0.2", "10.0.0.9")
            _reserve(store, TWO, "10.0.0.5")
        before(store)
        old = _truth(data_dir / "net")
        stopped = _in_a_child(call, store, number, kill=kill)

        found = _truth(data_dir / "net")
        for name, text in found.items():
            assert text or name == ".reservation", (number, name)
            assert old.get(name, text) == text, (number, name)
        with store.locked():
            owned = {owner: {str(a) for a in store.owned(owner)} for owner in (ONE, TWO)}
        found.pop(".reservation", None)
        for owner, addresses in owned.items():
            text = f"{owner.container_id}\r\n{owner.ifname}".encode()
            assert addresses == {name for name in found if found[name] == text}, number
        assert _truth(data_dir / "net") == found

        with store.locked(reclaim=True):
            store.release(ONE)
            store.release(TWO)
        assert {p.name for p in (data_dir / "net").iterdir()} <= {"lock", "last_reserved_ip.0"}
        index = Path(Index(store.path).path)
        assert {p.name for p in index.rglob("*")} == {"seal", "files"}, number
        assert {p.name for p in index.parent.iterdir()} == {index.name}, number
        if not stopped:
            assert number > LEAST
            break
