import os
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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path), "net")
    with made.locked():
        pass
    return made


def _reserve(store: Store, address: str, owner: AttachmentKey) -> bool:
    return store.reserve([ip_address(address)], owner) is not None


def _names(directory: Path) -> set[str]:
    return {p.name for p in directory.iterdir()} - {"lock"}


def test_a_reservation_is_the_go_plugins_file(store: Store, directory: Path) -> None:
    assert _reserve(store, "10.1.2.3", ONE)
    assert _reserve(store, "fd09::2", ONE)

    assert (directory / "10.1.2.3").read_bytes() == b"one\r\neth0"
    assert (directory / "fd09::2").read_bytes() == b"one\r\neth0"
    assert (directory / "10.1.2.3").stat().st_mode & 0o777 == 0o600
    assert (directory / "10.1.2.3").stat().st_nlink == 1
    assert _names(directory) == {"10.1.2.3", "fd09::2"}


def test_an_address_has_one_owner(store: Store, directory: Path) -> None:
    _reserve(store, "10.1.2.3", ONE)

    assert not _reserve(store, "10.1.2.3", TWO)
    assert (directory / "10.1.2.3").read_bytes() == b"one\r\neth0"


def test_the_first_free_candidate_is_taken(store: Store) -> None:
    _reserve(store, "10.1.2.3", ONE)

    taken = store.reserve(map(IPv4Address, ["10.1.2.3", "10.1.2.4", "10.1.2.5"]), TWO)

    assert taken == IPv4Address("10.1.2.4")


def test_all_addresses_of_an_owner_are_released(store: Store, directory: Path) -> None:
    _reserve(store, "10.1.2.3", ONE)
    _reserve(store, "fd09::2", ONE)
    _reserve(store, "10.1.2.4", TWO)

    store.release(ONE)
    store.release(ONE)

    assert _names(directory) == {"10.1.2.4"}


def test_an_old_file_is_released_when_no_new_one_is_there(store: Store, directory: Path) -> None:
    (directory / "10.1.2.3").write_bytes(b"one")
    _reserve(store, "10.1.2.4", ONE)

    store.release(ONE)
    assert _names(directory) == {"10.1.2.3"}

    store.release(ONE)
    assert _names(directory) == set()


def test_white_space_around_an_owner_does_not_matter(store: Store, directory: Path) -> None:
    (directory / "10.1.2.3").write_bytes(b" one\r\neth0\n")

    store.release(ONE)

    assert _names(directory) == set()


def test_another_interface_is_another_owner(store: Store, directory: Path) -> None:
    _reserve(store, "10.1.2.3", AttachmentKey("one", "eth1"))

    store.release(ONE)

    assert _names(directory) == {"10.1.2.3"}


def test_an_owner_knows_its_addresses_old_files_included(store: Store, directory: Path) -> None:
    _reserve(store, "10.1.2.3", ONE)
    _reserve(store, "10.1.2.5", TWO)
    (directory / "10.1.2.4").write_bytes(b"one\n")

    assert set(store.owned(ONE)) == {IPv4Address("10.1.2.3"), IPv4Address("10.1.2.4")}


@pytest.mark.parametrize("remainder", [b"", b"\0\0\0\0\0", b"\n"])
def test_the_remainder_of_a_crash_is_taken_back(
    store: Store, directory: Path, remainder: bytes
) -> None:
    (directory / "10.1.2.3").write_bytes(remainder)

    store.owned(ONE)

    assert _reserve(store, "10.1.2.3", ONE)


def test_the_draft_of_a_killed_call_harms_nobody(store: Store, directory: Path) -> None:
    # Killed between link(2) and unlink(2): the draft is the reservation of another.
    _reserve(store, "10.1.2.3", ONE)
    os.link(directory / "10.1.2.3", directory / ".reservation")

    assert _reserve(store, "10.1.2.4", TWO)

    assert (directory / "10.1.2.3").read_bytes() == b"one\r\neth0"
    assert _names(directory) == {"10.1.2.3", "10.1.2.4"}


def test_only_the_owner_is_rolled_back(store: Store, directory: Path) -> None:
    _reserve(store, "10.1.2.3", ONE)

    store.release_address(IPv4Address("10.1.2.3"), TWO)
    assert _names(directory) == {"10.1.2.3"}

    store.release_address(IPv4Address("10.1.2.3"), ONE)
    store.release_address(IPv4Address("10.1.2.3"), ONE)
    assert _names(directory) == set()


def test_the_last_address_is_the_go_plugins_file(store: Store, directory: Path) -> None:
    store.set_last_reserved(1, IPv6Address("fd09::2"))

    assert (directory / "last_reserved_ip.1").read_bytes() == b"fd09::2"
    assert (directory / "last_reserved_ip.1").stat().st_mode & 0o777 == 0o600
    assert store.last_reserved(1) == IPv6Address("fd09::2")
    assert store.last_reserved(0) is None
    assert _names(directory) == {"last_reserved_ip.1"}


@pytest.mark.parametrize("nonsense", [b"", b"foo", b"\xff"])
def test_a_last_address_that_is_none_is_forgotten(
    store: Store, directory: Path, nonsense: bytes
) -> None:
    (directory / "last_reserved_ip.0").write_bytes(nonsense)

    assert store.last_reserved(0) is None


def test_gc_releases_what_no_valid_attachment_owns(store: Store, directory: Path) -> None:
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

    failures = store.keep_only(ValidAttachments("net", [ONE]))

    assert failures == []
    assert _names(directory) == {"10.1.2.2", "10.1.2.5", "last_reserved_ip.0", "notes"}
    assert (directory / "lock").exists()


def test_gc_with_nothing_valid_releases_everything(store: Store, directory: Path) -> None:
    _reserve(store, "10.1.2.3", ONE)
    store.set_last_reserved(0, IPv4Address("10.1.2.3"))

    store.keep_only(ValidAttachments("net", []))

    assert _names(directory) == {"last_reserved_ip.0"}
