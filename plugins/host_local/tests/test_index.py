"""The index must say what the files say, whoever wrote last."""

import os
import shutil
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cni_host_local import reservation
from cni_host_local.index import Index, indexable
from cni_host_local.store import Store
from cnisdk import AttachmentKey

ONE = AttachmentKey("one", "eth0")
TWO = AttachmentKey("two", "eth0")


class Counting(Store):
    """A store that counts how often it goes through the whole directory."""

    scans = 0

    def _reservations(self) -> dict[str, int]:
        self.scans += 1
        return super()._reservations()


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory(dir="/run") as data_dir:  # in memory
        path = Path(data_dir, "net")
        path.mkdir()
        yield path


def _call(directory: Path) -> Counting:
    return Counting(str(directory.parent), directory.name)


def _reserve(directory: Path, owner: AttachmentKey, address: str) -> int:
    store = _call(directory)
    with store.locked():
        store.reserve([IPv4Address(address)], owner)
    return store.scans


def _release(directory: Path, owner: AttachmentKey) -> int:
    store = _call(directory)
    with store.locked():
        store.release(owner)
    return store.scans


def _index(directory: Path) -> set[str]:
    """Return what the index of this boot consists of."""
    path = Path(Index(str(directory)).path)
    return {str(entry.relative_to(path)) for entry in path.rglob("*")}


def test_no_call_reads_the_reservations_while_nobody_else_writes(directory: Path) -> None:
    (directory / "10.0.0.9").write_bytes(b"nine\r\neth0")
    first = _reserve(directory, ONE, "10.0.0.2")

    scans = [
        _reserve(directory, TWO, "10.0.0.3"),
        _release(directory, ONE),
        _release(directory, ONE),
        _release(directory, AttachmentKey("never", "eth0")),
        _release(directory, AttachmentKey("nine", "eth0")),
    ]

    assert first == 1
    assert scans == [0, 0, 0, 0, 0]
    assert {p.name for p in directory.iterdir()} == {"lock", "10.0.0.3"}


@pytest.mark.parametrize("change", ["create", "unlink", "replace"])
def test_a_change_by_another_breaks_the_seal(directory: Path, change: str) -> None:
    for number in range(2, 40):
        _reserve(directory, AttachmentKey(f"c{number}", "eth0"), f"10.0.0.{number}")
        path = directory / f"10.0.0.{number}"
        if change != "create":
            path.unlink()
        if change != "unlink":
            (directory / "10.0.1.1").unlink(missing_ok=True)
            (directory / "10.0.1.1").write_bytes(b"other\r\neth0")

        assert not Index(str(directory)).is_current()


def test_a_change_in_the_very_tick_of_the_last_one_breaks_the_seal(directory: Path) -> None:
    tick = directory.stat().st_mtime_ns
    index = Index(str(directory))
    index.catch_up({})
    index.seal()
    assert index.is_current()

    os.utime(directory, ns=(tick, tick))  # what a change does while the kernel's clock stands

    assert not index.is_current()


def test_the_index_is_outside_of_what_the_go_plugin_walks(directory: Path) -> None:
    _reserve(directory, ONE, "10.0.0.2")

    assert {p.name for p in directory.rglob("*")} == {"lock", "10.0.0.2"}
    assert _index(directory) == {"seal", "one:eth0", "files", "files/10.0.0.2"}


def test_an_empty_store_leaves_no_entry(directory: Path) -> None:
    _reserve(directory, ONE, "10.0.0.2")
    _release(directory, ONE)

    assert _index(directory) == {"seal", "files"}


def test_a_deleted_index_is_made_anew(directory: Path) -> None:
    _reserve(directory, ONE, "10.0.0.2")
    shutil.rmtree(directory.parent / ".index")

    assert _release(directory, ONE) == 1
    assert not (directory / "10.0.0.2").exists()


def test_only_what_others_have_changed_is_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2, 40):
        _reserve(directory, AttachmentKey(f"c{number}", "eth0"), f"10.0.0.{number}")
    (directory / "10.0.0.7").unlink()
    (directory / "10.0.0.8").unlink()
    (directory / "10.0.0.8").write_bytes(b"two\r\neth0")
    (directory / "10.0.0.99").write_bytes(b"one\r\neth0")
    read: list[str] = []

    def reading(path: str) -> bytes:
        read.append(Path(path).name)
        return reservation.read(path)

    monkeypatch.setattr("cni_host_local.index.read", reading)

    _release(directory, TWO)
    _release(directory, ONE)

    # Of .7 and .8 the former owners, too.
    assert sorted(read) == ["10.0.0.7", "10.0.0.8", "10.0.0.8", "10.0.0.99"]
    assert {p.name for p in directory.iterdir()} == {
        "lock",
        *(f"10.0.0.{number}" for number in range(2, 40) if number not in (7, 8)),
    }
    assert _index(directory) == {
        *("seal", "files"),
        *(f"c{number}:eth0" for number in range(2, 40) if number not in (7, 8)),
        *(f"files/10.0.0.{number}" for number in range(2, 40) if number not in (7, 8)),
    }


def test_a_call_that_fails_between_file_and_entry_breaks_the_seal(directory: Path) -> None:
    _reserve(directory, TWO, "10.0.0.3")
    store = _call(directory)
    entry = Path(Index(str(directory)).path, "one:eth0")
    entry.mkdir()  # so none can be made

    with store.locked():
        store.reserve([IPv4Address("10.0.0.2")], ONE)

    assert not Index(str(directory)).is_current()
    assert _release(directory, ONE) > 0
    assert not (directory / "10.0.0.2").exists()
    entry.rmdir()
    _release(directory, ONE)
    assert _index(directory) == {"seal", "files", "two:eth0", "files/10.0.0.3"}


def test_without_an_index_everything_works_by_reading(directory: Path) -> None:
    (directory.parent / ".index").write_bytes(b"")  # no directory can be made here
    _reserve(directory, ONE, "10.0.0.2")
    _reserve(directory, TWO, "10.0.0.3")

    assert _release(directory, ONE) > 0
    assert {p.name for p in directory.iterdir()} == {"lock", "10.0.0.3"}


def test_a_file_edited_by_hand_does_not_go_with_its_former_owner(directory: Path) -> None:
    _reserve(directory, ONE, "10.0.0.2")
    (directory / "10.0.0.2").write_bytes(b"two\r\neth0")

    _release(directory, ONE)
    assert (directory / "10.0.0.2").exists()

    _release(directory, TWO)
    assert not (directory / "10.0.0.2").exists()


def test_an_owner_of_more_than_an_entry_holds_is_read(directory: Path) -> None:
    for number in range(500):
        (directory / f"10.0.{number // 250}.{number % 250}").write_bytes(b"one\r\neth0")
    _reserve(directory, ONE, "10.1.0.2")

    assert _reserve(directory, TWO, "10.1.0.3") == 0
    assert _release(directory, ONE) == 1
    assert {p.name for p in directory.iterdir()} == {"lock", "10.1.0.3"}


@pytest.mark.parametrize(
    ("owner", "fits"),
    [
        (ONE, True),
        (AttachmentKey("one", ""), True),
        (AttachmentKey("a" * 240, "eth0"), True),
        (AttachmentKey("a" * 260, "eth0"), False),
        (AttachmentKey("../one", "eth0"), False),
        (AttachmentKey("one", "a/b"), False),
        (AttachmentKey("", ""), False),
    ],
)
def test_only_names_that_do_as_a_files_have_an_entry(owner: AttachmentKey, fits: bool) -> None:
    assert indexable(owner) is fits


def test_a_container_whose_name_is_too_long_for_an_entry_is_served(directory: Path) -> None:
    long = AttachmentKey("a" * 5000, "eth0")
    _reserve(directory, long, "10.0.0.2")
    _release(directory, long)

    assert {p.name for p in directory.iterdir()} == {"lock"}


def test_cost_does_not_grow_with_the_reservations(directory: Path) -> None:
    def calls() -> int:
        """Count what a call has the interpreter do; no more than system calls depend on files."""
        count = 0

        def counting(frame: object, event: str, arg: object) -> None:
            nonlocal count
            count += event == "c_call"

        sys.setprofile(counting)
        try:
            scans = _reserve(directory, ONE, "10.9.0.2") + _release(directory, ONE)
        finally:
            sys.setprofile(None)
        assert scans == 0
        return count

    _release(directory, TWO)  # makes the index
    few = calls()
    for number in range(5000):
        (directory / f"10.0.{number // 250}.{number % 250}").write_bytes(b"c%d\r\neth0" % number)
    _release(directory, TWO)  # takes them in

    assert calls() == few


class Mixed(RuleBasedStateMachine):
    """Calls of ours and of the Go plugin, and its crashes, in every order."""

    WHO = st.sampled_from(["a", "b", "c"])
    WHERE = st.integers(2, 7).map(lambda host: f"10.0.0.{host}")

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory(dir="/run")  # in memory
        self.path = Path(self.directory.name, "net")
        self.path.mkdir()
        self.truth: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.directory.cleanup()

    @rule(who=WHO, where=WHERE)
    def reserve(self, who: str, where: str) -> None:
        store = _call(self.path)
        with store.locked():
            got = store.reserve([IPv4Address(where)], AttachmentKey(who, "eth0"))
        assert (got is not None) == (where not in self.truth)
        self.truth.setdefault(where, f"{who}\r\neth0".encode())

    @rule(who=WHO)
    def release(self, who: str) -> None:
        _release(self.path, AttachmentKey(who, "eth0"))
        self._forget(who)

    @rule(who=WHO, where=WHERE, old=st.booleans())
    def go_reserves(self, who: str, where: str, old: bool) -> None:
        if where not in self.truth:
            self.truth[where] = who.encode() if old else f"{who}\r\neth0".encode()
            (self.path / where).write_bytes(self.truth[where])

    @rule(who=WHO)
    def go_releases(self, who: str) -> None:
        for where in self._forget(who):
            (self.path / where).unlink()

    @rule(where=WHERE)
    def go_crashes(self, where: str) -> None:
        if where not in self.truth:
            (self.path / where).touch()

    def _forget(self, who: str) -> list[str]:
        exact = [a for a, text in self.truth.items() if text == f"{who}\r\neth0".encode()]
        gone = exact or [a for a, text in self.truth.items() if text == who.encode()]
        for where in gone:
            del self.truth[where]
        return gone

    @invariant()
    def files_are_the_truth(self) -> None:
        files = {p.name: p.read_bytes() for p in self.path.iterdir() if p.name != "lock"}
        assert {name: text for name, text in files.items() if text} == self.truth

    @rule(who=WHO)
    def look(self, who: str) -> None:
        store = _call(self.path)
        with store.locked():
            owned = {str(address) for address in store.owned(AttachmentKey(who, "eth0"))}
        texts = (who.encode(), f"{who}\r\neth0".encode())
        assert owned == {a for a, text in self.truth.items() if text in texts}


TestMixed = Mixed.TestCase
TestMixed.settings = settings(max_examples=60, deadline=None)
