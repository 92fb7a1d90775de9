"""Disks that are full or read-only: what is said, and that nothing is lost."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cnisdk.net import libc
from tests.host import Container

from .conftest import Call, ips, reservations
from .mounts import mounted

MS_RDONLY = 0x1
MS_REMOUNT = 0x20


@pytest.fixture
def disk(network: dict[str, Any]) -> Iterator[Path]:
    """Mount a small disk where reservations are kept."""
    path = Path(network["ipam"]["dataDir"])
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", path], check=True)
    yield path
    libc.umount2(str(path))


@pytest.fixture
def read_only(disk: Path) -> Callable[[], None]:
    return lambda: libc.mount("none", str(disk), "", MS_REMOUNT | MS_RDONLY)


@pytest.fixture
def fill(disk: Path) -> Iterator[Callable[[], None]]:
    """Fill the disk; there is room again at the end of the test."""
    with ExitStack() as stack:

        def until_full() -> None:
            fd = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
            stack.callback(os.close, fd)
            stack.callback(os.unlink, disk / "ballast")
            room = os.statvfs(disk)
            os.posix_fallocate(fd, 0, room.f_bfree * room.f_bsize)

        yield until_full


@pytest.fixture
def attached(call: Call, network: dict[str, Any], container: Container, disk: Path) -> list[str]:
    """Attach one container before anything is wrong."""
    assert disk.is_mount()
    return ips(call("ADD", network, container, container_id="first"))


def test_an_add_to_a_full_disk_says_so_and_leaves_nothing(
    call: Call,
    network: dict[str, Any],
    container: Container,
    directory: Path,
    attached: list[str],
    fill: Callable[[], None],
) -> None:
    before = reservations(directory)
    fill()

    done = call("ADD", network, container)

    assert attached == ["10.1.2.2/24"]
    assert done.json["code"] == 5
    assert done.json["msg"] == f"{directory}/.reservation: No space left on device"
    assert reservations(directory) == before


def test_check_and_delete_need_no_room(
    call: Call,
    network: dict[str, Any],
    container: Container,
    directory: Path,
    attached: list[str],
    fill: Callable[[], None],
) -> None:
    assert attached
    fill()

    assert call("CHECK", network, container, container_id="first") == (0, "", "")
    assert call("DEL", network, container, container_id="first") == (0, "", "")
    assert reservations(directory) == {}


def test_status_of_a_full_disk_is_50(
    call: Call, network: dict[str, Any], attached: list[str], fill: Callable[[], None]
) -> None:
    assert attached
    fill()

    done = call("STATUS", network)

    assert done.json["code"] == 50
    assert "No space left on device" in done.json["details"]


def test_a_disk_with_room_again_takes_reservations_again(
    call: Call,
    network: dict[str, Any],
    container: Container,
    disk: Path,
    directory: Path,
    attached: list[str],
    fill: Callable[[], None],
) -> None:
    assert attached
    fill()
    call("ADD", network, container)
    os.truncate(disk / "ballast", 0)

    assert call("STATUS", network).status == 0
    assert ips(call("ADD", network, container)) == ["10.1.2.3/24"]
    assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.3"}


def test_a_read_only_disk_is_named_by_every_verb_that_would_write(
    call: Call,
    network: dict[str, Any],
    container: Container,
    directory: Path,
    attached: list[str],
    read_only: Callable[[], None],
) -> None:
    assert attached
    before = reservations(directory)
    read_only()

    add = call("ADD", network, container)
    delete = call("DEL", network, container, container_id="first")
    gc = call("GC", {**network, "cni.dev/valid-attachments": []})
    status = call("STATUS", network)

    for done, code in ((add, 5), (delete, 5), (gc, 5), (status, 50)):
        assert done.json["code"] == code
        said = done.json["msg"] + done.json.get("details", "")
        assert "Read-only file system" in said
        assert str(directory) in said
    assert call("CHECK", network, container, container_id="first") == (0, "", "")
    assert call("DEL", network, container, container_id="never") == (0, "", "")
    assert reservations(directory) == before


def test_a_network_that_is_a_disk_of_its_own_is_served_without_an_index(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    directory.mkdir(parents=True)
    with mounted(directory, "tmpfs"):
        for number in range(5):
            ips(call("ADD", network, container, container_id=f"c{number}"))
        (directory / "10.1.2.77").write_bytes(b"go\r\neth0")
        for who in ("c1", "go"):
            assert call("CHECK", network, container, container_id=who).status == 0
            assert call("DEL", network, container, container_id=who).status == 0

        assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.4", "10.1.2.5", "10.1.2.6"}
