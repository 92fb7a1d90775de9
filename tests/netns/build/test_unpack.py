"""Unpacking: once, all or nothing, into directories that nobody else can write to."""

import json
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from cnisdk.agent import trailer
from cnisdk.build import archive

DAY = 24 * 60 * 60


class Executable(NamedTuple):
    """An executable whose payload has a script that says ``run NAME`` and what there is."""

    path: Path
    base: Path
    identity: str

    @property
    def directory(self) -> Path:
        return self.base / self.identity

    def run(self, *wrapper: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*wrapper, str(self.path)],
            env={"CNI_COMMAND": "ADD", "PATH": os.environ["PATH"]},
            input='{"cniVersion": "1.0.0"}',
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def works(self) -> bool:
        done = self.run()
        return done.returncode == 0 and done.stdout == "run bridge\n"

    def problem(self) -> str:
        """Return ``details`` of the error it answers with."""
        done = self.run()
        assert done.returncode != 0
        answer = json.loads(done.stdout)
        assert (answer["cniVersion"], answer["code"]) == ("1.0.0", 5)
        return str(answer["details"])


Make = Callable[..., Executable]


@pytest.fixture
def make(launcher: bytes, tmp_path: Path, base: Path) -> Make:
    def make(content: str = "", *, bases: tuple[Path, ...] = ()) -> Executable:
        tree = tmp_path / f"tree-{content}"
        (tree / "deep" / "er").mkdir(parents=True)
        (tree / "deep" / "er" / "data").write_bytes(b"*" * 100_000)
        for name in ("main.pyc", "plugins", "modules"):  # as each that was built has them
            (tree / name).write_text(name)
        (tree / "script").write_text(f'echo run "$1"; : {content}')
        payload = archive.pack(tree)
        identity = archive.identity(payload)
        settings = [
            ("socket", str(tmp_path / "no.sock")),
            ("mode", "exec"),
            ("exec", "/bin/sh"),
            ("arg", "%d/script"),
            ("arg", "%n"),
            ("payload-id", identity),
            *(("unpack-dir", str(path)) for path in bases or (base,)),
        ]
        path = tmp_path / f"bin{content}" / "bridge"
        path.parent.mkdir()
        path.write_bytes(trailer.append(launcher, settings, payload))
        path.chmod(0o755)
        return Executable(path, base, identity)

    return make


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(directory)): (
            path.stat().st_mode & 0o7777,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(directory.rglob("*"))
    }


# -- as it should be -------------------------------------------------------------------------


def test_the_tree_comes_out_as_it_was_packed(make: Make, tmp_path: Path) -> None:
    executable = make()
    (tmp_path / "tree-" / "script").chmod(0o644)

    assert executable.works()
    assert contents(executable.directory) == contents(tmp_path / "tree-")
    assert os.listdir(executable.base) == [executable.identity]
    assert executable.base.stat().st_mode & 0o777 == 0o755


def test_the_umask_of_a_runtime_does_not_matter(make: Make) -> None:
    executable = make()
    done = executable.run("sh", "-c", 'umask 077; exec "$0"')

    assert done.returncode == 0
    assert executable.directory.stat().st_mode & 0o777 == 0o755
    assert (executable.directory / "script").stat().st_mode & 0o777 == 0o644


def test_a_later_call_writes_nothing(make: Make, tmp_path: Path) -> None:
    executable = make()
    assert executable.works()
    log = tmp_path / "trace"

    calls = "mkdir,mkdirat,rename,renameat,unlinkat,flock,fsync,utimensat,copy_file_range"
    done = executable.run("strace", "-qq", "-o", str(log), "-e", f"trace={calls}")

    assert (done.returncode, log.read_text()) == (0, "")


def test_two_first_calls_at_once_unpack_once(make: Make) -> None:
    executable = make()

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: executable.works(), range(8)))

    assert all(done)
    assert os.listdir(executable.base) == [executable.identity]


def test_the_first_directory_that_can_be_used_is_used(make: Make, base: Path) -> None:
    first, second = base / "first", base / "second"
    base.mkdir()
    first.write_text("no directory")
    executable = make(bases=(first, second))

    assert executable.works()
    assert os.listdir(second) == [executable.identity]


def test_a_payload_in_a_later_directory_is_found_there(make: Make, base: Path) -> None:
    first, second = base / "first", base / "second"
    base.mkdir()
    first.write_text("no directory")
    executable = make(bases=(first, second))
    assert executable.works()
    first.unlink()

    assert executable.works()
    assert not first.exists()


# -- directories that must not be used ---------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_directory_that_others_can_write_to_is_not_used(
    make: Make, base: Path, mode: int
) -> None:
    executable = make()
    base.mkdir()
    base.chmod(mode)

    assert executable.problem() == f"{base}: can be written to by others"
    assert os.listdir(base) == []


def test_what_lies_in_a_directory_that_others_can_write_to_is_not_run(
    make: Make, base: Path
) -> None:
    executable = make()
    assert executable.works()
    base.chmod(0o777)

    assert "can be written to by others" in executable.problem()


def test_a_directory_below_one_that_others_can_write_to_is_not_used(make: Make, base: Path) -> None:
    executable = make()
    base.parent.chmod(0o777)

    assert "is in a directory that can be written to by others" in executable.problem()


@pytest.mark.parametrize("relative", [False, True])
def test_a_link_above_is_trusted_as_what_it_leads_to(
    make: Make, base: Path, *, relative: bool
) -> None:
    link, target = base.parent / "link", base.parent / "far" / "target"
    target.mkdir(parents=True)
    link.symlink_to("far/target" if relative else target)
    executable = make(bases=(link / "payload",))
    assert executable.works()
    target.parent.chmod(0o777)

    problem = executable.problem()

    assert problem == f"{link}/payload: is in a directory that can be written to by others"


def test_nothing_is_made_where_others_could_have_it_made_elsewhere(make: Make, base: Path) -> None:
    executable = make(bases=(base / "deep" / "er",))
    base.parent.chmod(0o777)

    assert executable.run().returncode != 0
    assert not base.exists()


def test_a_link_is_not_followed_to_a_directory(make: Make, base: Path, tmp_path: Path) -> None:
    executable = make()
    base.symlink_to(tmp_path)

    assert executable.problem() == f"{base}: is no directory"


def test_a_directory_for_temporary_files_is_never_used(make: Make) -> None:
    path = Path(f"/tmp/cnisdk-test-{os.getpid()}")
    try:
        assert make(bases=(path,)).problem() == f"{path}: is temporary"
    finally:
        shutil.rmtree(path, ignore_errors=True)


def test_nothing_is_unpacked_where_nothing_can_be_executed(make: Make, base: Path) -> None:
    executable = make()
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "tmpfs", base], check=True)

    assert executable.problem() == f"{base}: is mounted noexec"


def test_a_read_only_file_system_is_named(make: Make, base: Path) -> None:
    executable = make()
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,mode=755", "tmpfs", base], check=True)

    assert executable.problem() == f"{base}: Read-only file system"


@pytest.mark.parametrize("limit", ["size=64k", "nr_inodes=4"])
def test_a_full_disk_is_named_and_nothing_is_left(make: Make, base: Path, limit: str) -> None:
    executable = make()
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{limit},mode=755", "tmpfs", base], check=True)

    assert executable.problem() == f"{base}: No space left on device"
    assert os.listdir(base) == []


def test_every_directory_that_was_tried_is_named(make: Make, base: Path) -> None:
    first, second = base / "first", base / "second"
    base.mkdir()
    first.write_text("")
    second.mkdir()
    second.chmod(0o777)

    problem = make(bases=(first, second)).problem()

    assert problem == f"{first}: is no directory; {second}: can be written to by others"


def test_a_payload_that_is_damaged_is_not_unpacked(make: Make, base: Path) -> None:
    executable = make()
    found = trailer.read(str(executable.path))
    assert found is not None
    with executable.path.open("r+b") as file:
        file.seek(found.payload_offset)
        file.write(b"what is this")

    assert executable.problem() == f"{base}: Bad message"
    assert os.listdir(base) == []


# -- killed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syscall",
    ["mkdirat", "openat", "copy_file_range", "fchmod", "fsync", "rename", "renameat", "flock"],
)
def test_killed_at_a_system_call_it_leaves_nothing_for_long(make: Make, syscall: str) -> None:
    executable = make()
    when = 0
    while True:
        when += 1
        done = executable.run(
            "strace", "-o", "/dev/null", "-e", f"inject={syscall}:signal=SIGKILL:when={when}"
        )
        if done.returncode == 0:
            break  # there was no such call any more
        assert done.returncode == -9, done.stderr
        assert executable.works()
        assert os.listdir(executable.base) == [executable.identity]
        shutil.rmtree(executable.base)
    assert when > 1 or syscall in ("rename", "renameat")  # one of them is what libc uses


def test_killed_at_any_moment_it_leaves_nothing_for_long(make: Make) -> None:
    executable = make()
    chance = random.Random(7)  # noqa: S311
    left = 0
    for _ in range(40):
        process = subprocess.Popen(
            [executable.path], env={"CNI_COMMAND": "ADD"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(chance.uniform(0, 0.004))  # where it is by then is left to chance
        process.kill()
        process.wait()
        names = os.listdir(executable.base) if executable.base.exists() else []
        left = max(left, len(names))
        if executable.identity in names:
            shutil.rmtree(executable.directory)

    assert left <= 1
    assert executable.works()
    assert os.listdir(executable.base) == [executable.identity]


def test_who_waits_for_one_that_is_killed_unpacks_itself(make: Make) -> None:
    executable = make()
    stopping = ["strace", "-f", "-o", "/dev/null", "-e", "inject=fsync:delay_enter=20s:when=1"]
    first = subprocess.Popen(
        [*stopping, executable.path], env={"CNI_COMMAND": "ADD"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    unfinished = executable.base / f".unfinished-{executable.identity}"
    while not unfinished.exists():
        time.sleep(0.001)
    second = subprocess.Popen(
        [executable.path], env={"CNI_COMMAND": "ADD"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    os.killpg(first.pid, 9)
    first.wait()

    out, _ = second.communicate(timeout=20)
    assert (second.returncode, out) == (0, b"run bridge\n")
    assert os.listdir(executable.base) == [executable.identity]


# -- old ones ---------------------------------------------------------------------------------


def test_what_was_not_called_for_a_month_goes_with_the_next_version(make: Make) -> None:
    old, recent, new = make("old"), make("recent"), make("new")
    assert old.works()
    assert recent.works()
    now = time.time()
    os.utime(old.directory, (now, now - 31 * DAY))
    os.utime(recent.directory, (now, now - 29 * DAY))

    assert new.works()

    assert set(os.listdir(new.base)) == {recent.identity, new.identity}


def test_a_call_keeps_its_payload_from_growing_old(make: Make) -> None:
    executable, new = make("old"), make("new")
    assert executable.works()
    os.utime(executable.directory, (0, 0))
    assert executable.works()

    assert new.works()

    assert set(os.listdir(new.base)) == {executable.identity, new.identity}


def test_what_is_no_payload_is_left_alone(make: Make, base: Path) -> None:
    executable = make()
    base.mkdir()
    (base / "notes").write_text("an administrator's")
    (base / ".unfinished-notes").write_text("an administrator's")
    whole = ("main.pyc", "plugins", "modules")
    for name, files in (
        ("d41d8cd98f00b204e9800998ecf8427e", ()),  # a directory named by an MD5 sum
        ("d41d8cd98f00b204e9800998ecf8427f", whole[1:]),
        ("d41d8cd98f00b204e9800998ecf84270", whole[:2]),
        ("my-database-of-a-32-letters-name", whole),
    ):
        (base / name).mkdir()
        for file in ("data", *files):
            (base / name / file).write_text("an administrator's")
    (base / "d41d8cd98f00b204e9800998ecf84271").write_text("an administrator's")
    before = contents(base)
    for path in base.iterdir():
        os.utime(path, (0, 0))

    assert executable.works()
    shutil.rmtree(executable.directory)

    assert contents(base) == before


def test_each_payload_that_is_built_is_known_to_be_one(built: Path) -> None:
    """By what unpack.c looks for before it removes an old one."""
    found = trailer.read(str(built / "bridge"))
    assert found is not None
    with (built / "bridge").open("rb") as file:
        file.seek(found.payload_offset)
        head = file.read(1 << 20)

    for name in (b"main.pyc", b"plugins", b"modules"):
        assert re.search(rb"\nf 644 [0-9a-f]{16} [0-9a-f]{16} " + name + rb"\n", head)
