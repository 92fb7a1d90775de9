import os
from pathlib import Path

import pytest

from cnisdk.node.root import Root


def opened(root: Root, path: str, *, create: bool = False) -> str:
    fd = root.open_directory(path, create=create)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


LINKS = {
    "absolute": "/real",
    "up": "../../../../../../real",
    "dotted": "./././real/../real",
    "chain": "/absolute",
    "through": "absolute/../up",
    "slashes": "//real//",
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_is_followed_as_the_node_would(node: Path, name: str) -> None:
    (node / "real").mkdir()
    for link, target in LINKS.items():
        (node / link).symlink_to(target)

    assert opened(Root(str(node)), f"/{name}") == str(node / "real")
    assert Root(str(node)).locate(f"/{name}/file") == str(node / "real/file")


def test_a_loop_of_links_ends(node: Path) -> None:
    (node / "a").symlink_to("b")
    (node / "b").symlink_to("a")

    with pytest.raises(OSError, match="Too many levels"):
        Root(str(node)).open_directory("/a")


def test_what_is_missing_is_made_within_the_root(node: Path) -> None:
    (node / "var").symlink_to("/data/var")
    umask = os.umask(0o077)
    try:
        made = opened(Root(str(node)), "/var/lib/x", create=True)
    finally:
        os.umask(umask)

    assert made == str(node / "data/var/lib/x")
    assert (node / "data/var/lib/x").stat().st_mode & 0o777 == 0o755


def test_nothing_is_made_on_the_way_out_of_what_is_missing(node: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Root(str(node)).open_directory("/missing/../../../x", create=True)
    with pytest.raises(FileNotFoundError):
        Root(str(node)).locate("/missing/../../../etc/passwd")


def test_a_file_on_the_way_is_no_directory(node: Path) -> None:
    (node / "file").touch()

    with pytest.raises(OSError, match="/file/x"):
        Root(str(node)).open_directory("/file/x", create=True)


def test_descriptors_are_given_back(node: Path) -> None:
    (node / "real").mkdir()
    (node / "link").symlink_to("/real/../real")
    before = len(os.listdir("/proc/self/fd"))

    Root(str(node)).locate("/link/x")
    opened(Root(str(node)), "/link")

    assert len(os.listdir("/proc/self/fd")) == before
