import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from cni_host_local.store import Store
from cnisdk import AttachmentKey, ValidAttachments

ONE = AttachmentKey("one", "eth0")
TWO = AttachmentKey("two", "eth0")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "net"


class Calls:
    """A store as a sequence of calls sees it: each opens it, locks it and does one thing."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    @contextmanager
    def call(self) -> Iterator[Store]:
        store = Store(str(self.data_dir), "net")
        with store.locked():
            yield store

    def reserve(self, address: str, owner: AttachmentKey) -> bool:
        with self.call() as store:
            return store.reserve([ip_address(address)], owner) is not None

    def release(self, owner: AttachmentKey) -> None:
        with self.call() as store:
            store.release(owner)

    def owned(self, owner: AttachmentKey) -> set[str]:
        with self.call() as store:
            return {str(address) for address in store.owned(owner)}

    def keep_only(self, *valid: AttachmentKey) -> list[OSError]:
        with self.call() as store:
            return store.keep_only(ValidAttachments("net", valid))


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    (tmp_path / "net").mkdir()
    return Calls(tmp_path)


def _names(directory: Path) -> set[str]:
    return {p.name for p in directory.iterdir()} - {"lock"}


def test_a_reservation_is_the_go_plugins_file(calls: Calls, directory: Path) -> None:
    assert calls.reserve("10.1.2.3", ONE)
    assert calls.reserve("fd09::2", ONE)

    assert (directory / "10.1.2.3").read_bytes() == b"one\r\neth0"
    assert (directory / "fd09::2").read_bytes() == b"one\r\neth0"
    assert (directory / "10.1.2.3").stat().st_mode & 0o777 == 0o600
    assert _names(directory) == {"10.1.2.3", "fd09::2"}


def test_an_address_has_one_owner(calls: Calls, directory: Path) -> None:
    calls.reserve("10.1.2.3", ONE)

    assert not calls.reserve("10.1.2.3", TWO)
    assert (directory / "10.1.2.3").read_bytes() == b"one\r\neth0"


def test_the_first_free_candidate_is_taken(calls: Calls) -> None:
    calls.reserve("10.1.2.3", ONE)

    with calls.call() as store:
        taken = store.reserve(map(IPv4Address, ["10.1.2.3", "10.1.2.4", "10.1.2.5"]), TWO)

    assert taken == IPv4Address("10.1.2.4")


def test_all_addresses_of_an_owner_are_released(calls: Calls, directory: Path) -> None:
    calls.reserve("10.1.2.3", ONE)
    calls.reserve("fd09::2", ONE)
    calls.reserve("10.1.2.4", TWO)

    calls.release(ONE)
    calls.release(ONE)

    assert _names(directory) == {"10.1.2.4"}


def test_an_old_file_is_released_when_no_new_one_is_there(calls: Calls, directory: Path) -> None:
    (directory / "10.1.2.3").write_bytes(b"one")
    calls.reserve("10.1.2.4", ONE)

    calls.release(ONE)
    assert _names(directory) == {"10.1.2.3"}

    calls.release(ONE)
    assert _names(directory) == set()


def test_white_space_around_an_owner_does_not_matter(calls: Calls, directory: Path) -> None:
    (directory / "10.1.2.3").write_bytes(b" one\r\neth0\n")

    calls.release(ONE)

    assert _names(directory) == set()


def test_another_interface_is_another_owner(calls: Calls, directory: Path) -> None:
    calls.reserve("10.1.2.3", AttachmentKey("one", "eth1"))

    calls.release(ONE)

    assert _names(directory) == {"10.1.2.3"}


def test_an_owner_knows_its_addresses_old_files_included(calls: Calls, directory: Path) -> None:
    calls.reserve("10.1.2.3", ONE)
    calls.reserve("10.1.2.5", TWO)
    (directory / "10.1.2.4").write_bytes(b"one\n")

    assert calls.owned(ONE) == {"10.1.2.3", "10.1.2.4"}


@pytest.mark.parametrize("remainder", [b"", b"\0\0\0\0\0", b"\n"])
def test_the_remainder_of_a_crash_is_taken_back(
    calls: Calls, directory: Path, remainder: bytes
) -> None:
    (directory / "10.1.2.3").write_bytes(remainder)

    assert calls.reserve("10.1.2.3", ONE)


def test_the_draft_of_a_killed_call_harms_nobody(calls: Calls, directory: Path) -> None:
    # Killed between link(2) and unlink(2): the draft is the reservation of another.
    calls.reserve("10.1.2.3", ONE)
    os.link(directory / "10.1.2.3", directory / ".reservation")

    assert calls.reserve("10.1.2.4", TWO)

    assert (directory / "10.1.2.3").read_bytes() == b"one\r\neth0"
    assert _names(directory) == {"10.1.2.3", "10.1.2.4"}


def test_only_the_owner_is_rolled_back(calls: Calls, directory: Path) -> None:
    calls.reserve("10.1.2.3", ONE)

    with calls.call() as store:
        store.release_address(IPv4Address("10.1.2.3"), TWO)
    assert _names(directory) == {"10.1.2.3"}

    with calls.call() as store:
        store.release_address(IPv4Address("10.1.2.3"), ONE)
        store.release_address(IPv4Address("10.1.2.3"), ONE)
    assert _names(directory) == set()


def test_the_last_address_is_the_go_plugins_file(calls: Calls, directory: Path) -> None:
    with calls.call() as store:
        store.set_last_reserved(1, IPv6Address("fd09::2"))

    assert (directory / "last_reserved_ip.1").read_bytes() == b"fd09::2"
    assert (directory / "last_reserved_ip.1").stat().st_mode & 0o777 == 0o600
    with calls.call() as store:
        assert store.last_reserved(1) == IPv6Address("fd09::2")
        assert store.last_reserved(0) is None
    assert _names(directory) == {"last_reserved_ip.1"}


@pytest.mark.parametrize("nonsense", [b"", b"foo", b"\xff"])
def test_a_last_address_that_is_none_is_forgotten(
    calls: Calls, directory: Path, nonsense: bytes
) -> None:
    (directory / "last_reserved_ip.0").write_bytes(nonsense)

    with calls.call() as store:
        assert store.last_reserved(0) is None


def test_gc_releases_what_no_valid_attachment_owns(calls: Calls, directory: Path) -> None:
    for address, text in {
        "10.1.2.2": b"one\r\neth0",
        "10.1.2.3": b"one\r\neth1",
        "10.1.2.4": b"two\r\neth0",
        "10.1.2.5": b"one",
        "10.1.2.6": b"two",
        "10.1.2.7": b"",
        "last_reserved_ip.0": b"10.1.2.7",
        "notes": b"two",
    }.items():
        (directory / address).write_bytes(text)

    failures = calls.keep_only(ONE)

    assert failures == []
    kept = {"10.1.2.2", "10.1.2.5", "10.1.2.6"}
    assert _names(directory) == {*kept, "last_reserved_ip.0", "notes"}
    assert (directory / "lock").exists()


def test_gc_with_nothing_valid_releases_everything(calls: Calls, directory: Path) -> None:
    calls.reserve("10.1.2.3", ONE)
    (directory / "last_reserved_ip.0").write_bytes(b"10.1.2.3")

    calls.keep_only()

    assert _names(directory) == {"last_reserved_ip.0"}
