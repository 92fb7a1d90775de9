"""The private host that the whole session lives in."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnisdk.conformance import cover
from cnisdk.conformance.private import STATE
from cnisdk.net.libc import umount2
from cnisdk.runtime.defaults import NETNS_DIR
from tests.host import Host

MNT_DETACH = 2


def mounts() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as mountinfo:
        return [line.split()[4] for line in mountinfo]


def test_a_namespace_can_be_deleted_after_the_first_ip_netns_add(host: Host) -> None:
    before = host.container()
    subprocess.run(["ip", "netns", "add", f"{host.name}-ip"], check=True)
    subprocess.run(["ip", "netns", "delete", f"{host.name}-ip"], check=True)

    before.close()

    assert mounts().count(NETNS_DIR) == 1
    assert before.path not in mounts()


@pytest.mark.parametrize("path", STATE)
def test_what_plugins_keep_below_var_lib_is_the_sessions_own(path: str) -> None:
    assert path in mounts()
    assert os.stat(path).st_dev != os.stat("/usr").st_dev
    Path(path, "probe").write_text("of the session")
    Path(path, "probe").unlink()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    """A directory as /var/lib is: with all that a directory may have, but ``cnisdk``."""
    path = tmp_path / "lib"
    (path / "apt" / "lists").mkdir(parents=True)
    (path / "apt" / "lists" / "one").write_text("a list")
    (path / "shells.state").write_text("a file")
    (path / "app-info").symlink_to("swcatalog")
    os.mkfifo(path / "fifo")
    yield path
    umount2(str(path), MNT_DETACH)


def test_a_directory_that_the_machine_lacks_is_made_without_changing_it(library: Path) -> None:
    entries = set(os.listdir(library))
    with os.scandir(library) as below:  # opened before: what the machine has
        cover.add(str(library / "cnisdk"))
        (library / "cnisdk" / "payload").mkdir()

        assert set(os.listdir(library)) == entries | {"cnisdk"}
        assert {entry.name for entry in below} == entries
    assert (library / "apt" / "lists" / "one").read_text() == "a list"
    assert (library / "shells.state").read_text() == "a file"
    assert os.readlink(library / "app-info") == "swcatalog"
    assert not [name for name in os.listdir("/run") if name.startswith("cover-")]


def test_a_directory_that_the_machine_has_is_empty(library: Path) -> None:
    cover.add(str(library / "apt"))
    try:
        assert os.listdir(library / "apt") == []
    finally:
        umount2(str(library / "apt"), MNT_DETACH)
        cover.add(str(library / "other"))  # for the fixture to take away
