"""What becomes of reservations that a reboot leaves.

To an index, a boot is a directory named by the boot's ID.  So the machine reboots here by giving
that directory another name.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cni_host_local import boot
from cni_host_local.index import Index
from cni_host_local.store import Store
from cnisdk import AttachmentKey
from tests.host import Container

from .conftest import Call, ips, reservations, with_ipam
from .mounts import covered, mounted
from .test_hooks import BY_HAND


def _reboot(directory: Path) -> None:
    index = Path(Index(str(directory)).path)
    if index.exists():
        index.rename(index.with_name(os.urandom(8).hex()))


def _add(call: Call, network: dict[str, Any], who: str, container: Container, **rest: Any) -> str:
    (address,) = ips(call("ADD", network, container, container_id=who, **rest))
    return address


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a directory in memory: on a disk there might be any file system."""
    with TemporaryDirectory(dir="/run") as path:
        yield Path(path)


@pytest.fixture
def boots(container: Container, directory: Path) -> Container:
    """Return a container on a machine whose files can tell one boot from another."""
    assert boot.is_certain(str(directory.parents[1]))
    return container


# -- reclaimed ------------------------------------------------------------------------------


def test_the_first_add_of_a_boot_releases_what_is_older(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    for who in ("a", "b"):
        _add(call, network, who, boots)
    _reboot(directory)

    done = call("ADD", network, boots, container_id="c")

    assert ips(done) == ["10.1.2.4/24"]
    assert set(reservations(directory)) == {"10.1.2.4"}
    assert "free again, reserved before the reboot: 10.1.2.2, 10.1.2.3" in done.stderr


def test_what_is_of_this_boot_stays(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    _add(call, network, "old", boots)
    _reboot(directory)
    _add(call, network, "a", boots)

    done = call("ADD", network, boots, container_id="b")

    assert set(reservations(directory)) == {"10.1.2.3", "10.1.2.4"}
    assert done.stderr == ""


def test_a_container_that_comes_back_gets_the_address_it_asks_for(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    address = _add(call, network, "a", boots, args="IP=10.1.2.77")
    _reboot(directory)

    assert _add(call, network, "a", boots, args="IP=10.1.2.77") == address


def test_calls_before_the_first_add_neither_release_nor_forget(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    for who in ("a", "b"):
        _add(call, network, who, boots)
    _reboot(directory)

    for verb, who in (("DEL", "c"), ("CHECK", "a"), ("DEL", "a")):
        assert call(verb, network, boots, container_id=who).status == 0
    assert call("STATUS", network).status == 0
    assert set(reservations(directory)) == {"10.1.2.3"}

    _add(call, network, "d", boots)
    assert set(reservations(directory)) == {"10.1.2.4"}


def test_gc_before_the_first_add_keeps_what_it_is_told_to(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    _add(call, network, "a", boots)
    _reboot(directory)
    valid = [{"containerID": "a", "ifname": "eth0"}]

    assert call("GC", {**network, "cni.dev/valid-attachments": valid}).status == 0

    assert set(reservations(directory)) == {"10.1.2.2"}


def test_status_counts_what_the_next_add_takes_back(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    """Nobody would call ADD after a STATUS that says 50."""
    config = with_ipam(network, ranges=[[{"subnet": "10.1.2.0/30"}]])
    _add(call, config, "a", boots)
    assert call("STATUS", config).json["code"] == 50
    _reboot(directory)

    assert call("STATUS", config).status == 0


def test_what_the_go_plugin_reserved_in_sight_goes_after_a_reboot(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    _add(call, network, "a", boots)
    (directory / "10.1.2.50").write_bytes(b"seen\r\neth0")
    _add(call, network, "b", boots)
    (directory / "10.1.2.51").write_bytes(b"unseen\r\neth0")
    _reboot(directory)

    _add(call, network, "c", boots)
    assert set(reservations(directory)) == {"10.1.2.4", "10.1.2.51"}

    _reboot(directory)
    _add(call, network, "d", boots)
    assert set(reservations(directory)) == {"10.1.2.5"}


def test_an_address_that_the_go_plugin_gave_anew_after_the_reboot_stays(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    """The same address, the same container, the same size: another file."""
    _add(call, network, "a", boots)
    _reboot(directory)
    times = (directory / "10.1.2.2").stat()
    text = (directory / "10.1.2.2").read_bytes()
    (directory / "10.1.2.2").unlink()
    (directory / "10.1.2.2").write_bytes(text)
    os.utime(directory / "10.1.2.2", ns=(times.st_atime_ns, times.st_mtime_ns))

    _add(call, network, "b", boots)

    assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.3"}


@pytest.mark.parametrize("seconds", [-(10**9), -1, 1, 10**9])
def test_a_clock_that_jumps_frees_nothing(
    call: Call, network: dict[str, Any], boots: Container, directory: Path, seconds: int
) -> None:
    _add(call, network, "a", boots)
    (directory / "10.1.2.9").write_bytes(b"go\r\neth0")
    for path in (*directory.iterdir(), directory):
        now = path.stat().st_mtime_ns
        os.utime(path, ns=(now + seconds * 10**9, now + seconds * 10**9))

    _add(call, network, "b", boots)

    assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.3", "10.1.2.9"}


def test_a_directory_that_was_copied_is_not_of_an_earlier_boot(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    _add(call, network, "a", boots)
    _reboot(directory)
    shutil.copytree(directory, directory.with_name("copy"))
    shutil.rmtree(directory)
    directory.with_name("copy").rename(directory)

    _add(call, network, "b", boots)

    assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.3"}


def test_a_network_is_not_touched_by_another_ones_reboot(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    other = {**network, "name": "other"}
    _add(call, network, "a", boots)
    _add(call, other, "a", boots)
    _reboot(directory)

    _add(call, other, "b", boots)
    _add(call, network, "b", boots)

    assert set(reservations(directory)) == {"10.1.2.3"}
    assert set(reservations(directory.parent / "other")) == {"10.1.2.2", "10.1.2.3"}


def test_only_addresses_are_released(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    directory.mkdir(parents=True)
    (directory / "notes").write_bytes(b"one")
    _add(call, network, "a", boots)
    _reboot(directory)

    _add(call, network, "b", boots)

    assert set(reservations(directory)) == {"10.1.2.3", "notes"}


@pytest.mark.parametrize("text", BY_HAND.values())
def test_a_file_that_names_no_interface_outlives_reboots(
    call: Call, network: dict[str, Any], boots: Container, directory: Path, text: bytes
) -> None:
    directory.mkdir(parents=True)
    (directory / "10.1.2.3").write_bytes(text)
    for who in ("a", "b"):
        _add(call, network, who, boots)
        _reboot(directory)

    done = call("ADD", network, boots, container_id="c")

    assert set(reservations(directory)) == {"10.1.2.3", "10.1.2.5"}
    assert "free again, reserved before the reboot: 10.1.2.4\n" in done.stderr


def test_an_old_index_is_gone_after_the_first_add_whatever_is_in_it(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    _add(call, network, "a", boots)
    root = Path(Index(str(directory)).root)
    _reboot(directory)
    (next(root.iterdir()) / "files" / "directory" / "more").mkdir(parents=True)
    (root / "file").touch()
    (root / "link").symlink_to("/etc")

    _add(call, network, "b", boots)

    assert [path.name for path in root.iterdir()] == [boot.current()]
    assert Path("/etc").is_dir()


# -- not reclaimed --------------------------------------------------------------------------


def test_it_can_be_switched_off(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    off = with_ipam(network, reclaimAfterReboot=False)
    _add(call, off, "a", boots)
    _reboot(directory)

    _add(call, off, "b", boots)
    _add(call, network, "c", boots)  # too late for this boot: who decided was the first

    assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.3", "10.1.2.4"}
    assert len(list(Path(Index(str(directory)).root).iterdir())) == 1


@pytest.mark.parametrize("value", ["false", 0, None])
def test_what_is_no_boolean_switches_nothing(
    call: Call, network: dict[str, Any], boots: Container, directory: Path, value: object
) -> None:
    done = call("ADD", with_ipam(network, reclaimAfterReboot=value), boots)

    if value is None:  # as Go takes null: as if it was not there
        assert done.status == 0
    else:
        assert done.json["code"] == 7
        assert "reclaimAfterReboot" in done.json["details"]


@contextmanager
def _another_boot_id(tmp_path: Path) -> Iterator[None]:
    """Give whoever asks another boot ID, as systemd-nspawn and LXC do for their containers."""
    path = tmp_path / "boot_id"
    path.write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    with covered(Path("/proc/sys/kernel/random/boot_id"), path):
        boot.current.cache_clear()
        try:
            yield
        finally:
            boot.current.cache_clear()


@pytest.fixture
def masked(tmp_path: Path) -> Iterator[None]:
    with _another_boot_id(tmp_path):
        yield


@pytest.mark.usefixtures("masked")
def test_a_boot_id_that_is_not_the_kernels_proves_nothing(
    call: Call, network: dict[str, Any], container: Container, directory: Path
) -> None:
    _add(call, network, "a", container)
    _reboot(directory)

    _add(call, network, "b", container)

    assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.3"}


def test_nobody_reclaims_where_somebody_could_not_know_the_boot(
    call: Call, network: dict[str, Any], boots: Container, directory: Path, tmp_path: Path
) -> None:
    """One in a container with a boot ID of its own, one on the host, by turns."""
    added = set()
    for turn in range(4):
        with _another_boot_id(tmp_path) if turn % 2 else nullcontext():
            added.add(_add(call, network, f"c{turn}", boots).removesuffix("/24"))
            assert set(reservations(directory)) == added


def test_a_file_system_that_is_not_known_to_be_of_one_kernel_proves_nothing(
    call: Call, network: dict[str, Any], boots: Container, directory: Path
) -> None:
    data_dir = directory.parent
    data_dir.mkdir()
    with mounted(data_dir, "ramfs"):
        _add(call, network, "a", boots)
        _reboot(directory)

        _add(call, network, "b", boots)

        assert set(reservations(directory)) == {"10.1.2.2", "10.1.2.3"}


# -- in every order -------------------------------------------------------------------------


class Boots(RuleBasedStateMachine):
    """Calls of ours and of the Go plugin in boot after boot, and a model that knows who lives."""

    WHO = st.sampled_from(["a", "b", "c"])
    WHERE = st.integers(2, 7).map(lambda host: f"10.0.0.{host}")

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory(dir="/run")  # in memory
        self.path = Path(self.directory.name, "net")
        self.path.mkdir()
        self.alive: dict[str, bytes] = {}
        self.lost: set[str] = set()
        """Reserved in an earlier boot, and seen there."""
        self.unsure: set[str] = set()
        """Reserved by the Go plugin and not seen since."""

    def teardown(self) -> None:
        self.directory.cleanup()

    def _files(self) -> set[str]:
        return {path.name for path in self.path.iterdir()} - {"lock"}

    @rule(who=WHO, where=WHERE)
    def add(self, who: str, where: str) -> None:
        store = Store(self.directory.name, "net")
        there = self._files() - self.lost
        with store.locked(reclaim=True) as reclaimed:
            got = store.reserve([IPv4Address(where)], AttachmentKey(who, "eth0"))
        assert set(reclaimed) == self.lost
        assert (got is not None) == (where not in there)
        self.lost = set()
        self.unsure = set()
        if got:
            self.alive[where] = f"{who}\r\neth0".encode()
        assert self._files() == there | {where}

    @rule(who=WHO)
    def delete(self, who: str) -> None:
        store = Store(self.directory.name, "net")
        with store.locked():
            store.release(AttachmentKey(who, "eth0"))
        self.unsure = set()
        self._gone()

    @rule(who=WHO, where=WHERE)
    def go_adds(self, who: str, where: str) -> None:
        path = self.path / where
        if not path.exists():
            path.write_bytes(f"{who}\r\neth0".encode())
            self.alive[where] = path.read_bytes()
            self.unsure.add(where)
            self.lost.discard(where)

    @rule(where=WHERE)
    def go_deletes(self, where: str) -> None:
        (self.path / where).unlink(missing_ok=True)
        self._gone()

    @rule()
    def reboot(self) -> None:
        _reboot(self.path)
        self.lost |= self._files() - self.unsure
        self.unsure = self.unsure & self._files()
        self.alive = {}

    def _gone(self) -> None:
        files = self._files()
        self.lost &= files
        self.unsure &= files
        self.alive = {where: text for where, text in self.alive.items() if where in files}

    @invariant()
    def whoever_lives_has_his_address(self) -> None:
        for where, text in self.alive.items():
            assert (self.path / where).read_bytes() == text


TestBoots = Boots.TestCase
TestBoots.settings = settings(max_examples=60, deadline=None)
