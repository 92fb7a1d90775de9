"""Payloads, and the index of modules in them."""

import subprocess
import sys
from pathlib import Path

from cnisdk.build import archive, bundle


def tree(directory: Path) -> Path:
    (directory / "b" / "empty").mkdir(parents=True)
    (directory / "b" / "x").write_bytes(b"executable")
    (directory / "b" / "x").chmod(0o700)
    (directory / "a b").write_bytes(b"*" * 5000)
    (directory / "c").write_bytes(b"")
    return directory


def test_the_index_says_where_everything_is(tmp_path: Path) -> None:
    packed = archive.pack(tree(tmp_path))

    head, _, rest = packed.partition(b"\n")
    magic, version, size = head.split()
    assert (magic, version) == (b"cnisdk-payload", b"1")
    entries = [line.split(b" ", 4) for line in rest[: int(size, 16)].splitlines()]
    assert [(kind, mode, path) for kind, mode, _, _, path in entries] == [
        (b"f", b"644", b"a b"),
        (b"d", b"755", b"b"),
        (b"d", b"755", b"b/empty"),
        (b"f", b"755", b"b/x"),
        (b"f", b"644", b"c"),
    ]
    content = {
        path: packed[int(at, 16) : int(at, 16) + int(length, 16)]
        for kind, _, at, length, path in entries
        if kind == b"f"
    }
    assert content == {b"a b": b"*" * 5000, b"b/x": b"executable", b"c": b""}
    assert all(int(at, 16) % archive.PAGE == 0 for _, _, at, _, _ in entries)


def test_the_same_tree_has_the_same_identity(tmp_path: Path) -> None:
    first = archive.pack(tree(tmp_path / "1"))
    second = archive.pack(tree(tmp_path / "2"))

    assert first == second
    assert archive.identity(first) == archive.identity(second)


def test_a_changed_file_gives_another_identity(tmp_path: Path) -> None:
    before = archive.identity(archive.pack(tree(tmp_path)))
    (tmp_path / "c").write_text("!")

    assert archive.identity(archive.pack(tmp_path)) != before


def test_a_pyc_file_is_checked_against_no_source(tmp_path: Path) -> None:
    source = tmp_path / "main.py"
    source.write_text("print(__file__, (lambda: 0).__code__.co_filename)")
    made = tmp_path / "main.pyc"
    made.write_bytes(bundle.pyc("main.py", str(source)))
    source.unlink()

    done = subprocess.run([sys.executable, made], capture_output=True, text=True, check=True)

    assert done.stdout.split() == [str(made), "main.py"]
