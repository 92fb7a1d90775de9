"""A call that goes through the recorder: all of it arrives, and is kept."""

import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from tests.netns.recorder.conftest import CAT, PYTHON, Recorder

ENV = shutil.which("env") or ""

OPEN_STREAMS = """\
import posix
found = ""
for fd in range(3):
    try:
        posix.fstat(fd)
        found += str(fd)
    except OSError:
        pass
posix.write(int(posix.environ[b"PIPE"]), found.encode())
"""


class Started:
    """A recorded plugin that runs, with pipes for its streams."""

    def __init__(self, recorder: Recorder, name: str, **options: object) -> None:
        variables = {"CNI_COMMAND": "ADD", "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            [recorder.bin / name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables,
            **options,  # type: ignore[call-overload]
        )
        streams = (self.process.stdin, self.process.stdout, self.process.stderr)
        self.stdin, self.stdout, self.stderr = (cast("BinaryIO", one) for one in streams)

    def close(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


# -- what arrives --------------------------------------------------------------------------------


def test_the_environment_arrives_as_it_was_made(recorder: Recorder) -> None:
    """The interpreter sets LC_CTYPE where there is no locale, and a shell sets PWD."""
    recorder.copy(ENV, "plugin")
    recorder.record("plugin")

    done = subprocess.run(
        [recorder.bin / "plugin"],
        env={"Z": "", "CNI_COMMAND": "ADD", "ODD": "a=b\n\udcff"},
        capture_output=True,
        check=True,
    )

    assert done.stdout == b"Z=\nCNI_COMMAND=ADD\nODD=a=b\n\xff\n"


def test_any_bytes_pass_both_ways(recorder: Recorder) -> None:
    recorder.copy(CAT, "plugin")
    recorder.record("plugin")
    data = bytes(range(256)) * 4000

    done = recorder.run("plugin", stdin=data)

    assert done.stdout == data
    call = recorder.call
    assert call.cut == {"stdin": len(data), "stdout": len(data)}
    assert call.stdin == call.stdout == data[: 256 << 10]


def test_stderr_passes_and_is_no_stdout(recorder: Recorder) -> None:
    recorder.script("plugin", "echo out; echo err >&2")
    recorder.record("plugin")

    done = recorder.run("plugin")

    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert (recorder.call.stdout, recorder.call.stderr) == (b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("end", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -15), ("kill -KILL $$", -9)],
)
def test_the_end_is_that_of_the_plugin(recorder: Recorder, end: str, status: int) -> None:
    recorder.script("plugin", end)
    recorder.record("plugin")

    assert recorder.run("plugin").returncode == status
    assert recorder.call.status == status


def test_a_plugin_that_does_not_read_stdin_answers_while_it_is_open(recorder: Recorder) -> None:
    recorder.script("plugin", "echo answer")
    recorder.record("plugin")

    started = Started(recorder, "plugin")

    assert started.stdout.read() == b"answer\n"
    assert started.process.wait() == 0
    started.close()
    assert recorder.call.status == 0


def test_a_closed_stream_stays_closed(recorder: Recorder) -> None:
    path = recorder.script("plugin", "")
    path.write_text(f"#!{PYTHON} -ISB\n{OPEN_STREAMS}")
    streams: list[str] = []
    for closing in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        for recording in (False, True):
            if recording:
                recorder.record("plugin")
            reading, writing = os.pipe()
            environ = {"CNI_COMMAND": "ADD", "PIPE": str(writing)}
            command = ["/bin/sh", "-c", f'exec "$0" {closing}', str(path)]
            subprocess.run(command, env=environ, pass_fds=(writing,), check=True)
            os.close(writing)
            streams.append(os.read(reading, 100).decode())
            os.close(reading)
        recorder.stop("plugin")

    assert streams == ["12", "12", "02", "02", "01", "01", "", ""]


def test_a_plugin_meets_a_stdout_that_nobody_reads(recorder: Recorder) -> None:
    """As without a recorder: an ADD that cannot deliver its answer takes everything back."""
    recorder.script("plugin", "exec yes")
    recorder.record("plugin")

    started = Started(recorder, "plugin")
    started.stdin.close()
    assert started.stdout.read(2) == b"y\n"
    started.stdout.close()

    assert started.process.wait() == -signal.SIGPIPE
    started.close()
    assert recorder.call.status == -signal.SIGPIPE


def test_a_plugin_meets_a_stdout_that_was_given_up_before_it_wrote(recorder: Recorder) -> None:
    recorder.script("plugin", "echo ready >&2; read -r _; trap '' PIPE; echo x 2>&- || exit 9")
    recorder.record("plugin")

    started = Started(recorder, "plugin")
    assert started.stderr.readline() == b"ready\n"
    started.stdout.close()
    started.stdin.write(b"go\n")
    started.stdin.close()

    assert started.process.wait() == 9
    started.close()


def test_an_answer_that_cannot_be_delivered_is_a_failure(recorder: Recorder) -> None:
    recorder.script("plugin", "echo answer")
    recorder.record("plugin")

    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [recorder.bin / "plugin"],
            env={"CNI_COMMAND": "ADD"},
            stdin=subprocess.DEVNULL,
            stdout=full,
            check=False,
        )

    assert done.returncode == 1
    assert recorder.call.fields["undelivered"] != 0


def test_what_a_child_of_the_plugin_still_writes_arrives(
    recorder: Recorder, tmp_path: Path
) -> None:
    """The runtime learns of the plugin's end at its end, whoever has its stdout by then."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    recorder.script("plugin", f"(read -r line <{fifo}; echo $line) 2>&- & echo first")
    recorder.record("plugin")

    started = Started(recorder, "plugin")
    started.stdin.close()
    assert started.process.wait() == 0
    assert recorder.call.stdout == b"first\n"
    fifo.write_text("second\n")

    assert started.stdout.read() == b"first\nsecond\n"
    assert started.stderr.read() == b""
    started.close()


# -- signals -------------------------------------------------------------------------------------


def test_a_signal_reaches_the_plugin(recorder: Recorder) -> None:
    recorder.script(
        "plugin", "trap 'echo stopped; exit 3' TERM; echo ready >&2; while :; do read -r _; done"
    )
    recorder.record("plugin")

    started = Started(recorder, "plugin")
    assert started.stderr.readline() == b"ready\n"
    started.process.terminate()
    started.stdin.write(b"\n")
    started.stdin.flush()

    assert started.process.wait() == 3
    assert started.stdout.read() == b"stopped\n"
    started.close()
    assert recorder.call.status == 3


def test_a_killed_recorder_takes_the_plugin_along_and_leaves_the_call(recorder: Recorder) -> None:
    """A runtime that kills an ADD must not find it at work during the DEL."""
    recorder.script("plugin", "cat >/dev/null; echo ready >&2; exec sleep 1000")
    recorder.record("plugin")
    reading, writing = os.pipe()

    started = Started(recorder, "plugin", pass_fds=(writing,))
    os.close(writing)
    started.stdin.write(b'{"name": "n"}')
    started.stdin.close()
    assert started.stderr.readline() == b"ready\n"
    started.process.kill()
    started.process.wait()

    assert os.read(reading, 1) == b""  # nobody has the other end any more
    os.close(reading)
    started.close()
    call = recorder.call
    assert (call.status, call.outcome, call.network) == (None, "did not end", "n")


# -- what is kept --------------------------------------------------------------------------------


def test_only_known_variables_are_kept_with_their_values(recorder: Recorder) -> None:
    recorder.script("plugin", "exit 0")
    recorder.record("plugin")

    recorder.run("plugin", env={"TOKEN": "s3cret", "CNI_ARGS": "A=b", "TRACEPARENT": "00-1"})

    call = recorder.call
    assert (call.env["CNI_ARGS"], call.env["TRACEPARENT"]) == ("A=b", "00-1")
    assert call.fields["left_out"] == ["TOKEN"]
    for path in recorder.directory.rglob("*.json"):
        assert b"s3cret" not in path.read_bytes()


def test_nobody_else_can_read_calls(recorder: Recorder) -> None:
    recorder.script("plugin", "exit 0")
    recorder.record("plugin")
    for command in ("ADD", "VERSION"):
        recorder.run("plugin", command=command)

    modes = {stat.filemode(path.stat().st_mode) for path in recorder.directory.rglob("*")}

    assert stat.S_IMODE(recorder.directory.stat().st_mode) == 0o700
    assert modes == {"-rw-------", "drwx------"}


def test_the_oldest_calls_are_dropped_and_those_of_version_by_themselves(
    recorder: Recorder,
) -> None:
    recorder.script("plugin", "exit 0")
    recorder.record("plugin", calls=3, versions=2)
    for command in ("ADD", "ADD", "VERSION", "VERSION", "VERSION", "DEL", "ADD", "DEL"):
        recorder.run("plugin", command=command)

    assert sorted(call.id for call in recorder.calls) == ["3", "4", "5", "v2", "v3"]


def test_calls_take_no_more_than_so_many_bytes(recorder: Recorder) -> None:
    """Counted at every 16th call."""
    recorder.copy(CAT, "plugin")
    recorder.record("plugin", bytes=100_000)
    for _ in range(32):
        recorder.run("plugin", stdin=b"x" * 10_000)

    size = sum(path.stat().st_size for path in recorder.directory.glob("*.json"))
    assert 100_000 - 21_000 < size < 100_000 + 21_000
    assert recorder.calls[-1].id == "32"


def test_calls_at_once_are_all_kept(recorder: Recorder) -> None:
    recorder.copy(CAT, "plugin")
    recorder.record("plugin")
    with ThreadPoolExecutor(8) as pool:
        sent = [str(number).encode() for number in range(24)]
        done = list(pool.map(lambda data: recorder.run("plugin", stdin=data), sent))

    assert [one.stdout for one in done] == sent
    assert sorted(call.stdin for call in recorder.calls) == sorted(sent)
    assert len({call.id for call in recorder.calls}) == len(sent)


def test_what_a_person_types_is_not_recorded(recorder: Recorder) -> None:
    """Nor the daemon of dhcp, which runs for ever."""
    recorder.script("plugin", 'echo "$# $1"')
    recorder.record("plugin")

    assert recorder.run("plugin", "daemon").stdout == b"1 daemon\n"
    assert recorder.run("plugin", command="").stdout == b"0 \n"
    assert recorder.calls == []


def test_the_recorder_loads_next_to_nothing(recorder: Recorder) -> None:
    """A runtime waits for it at each call."""
    path = recorder.script("plugin", "exit 0")
    recorder.record("plugin")
    bare = loaded(["-c", "0"])
    _, option = path.read_text().split("\n")[0].split(" ", 1)
    recorded = loaded([option, str(path)])
    expected = {"main", "flight", "log", "select", "_json", "_ctypes"}

    assert recorder.call.status == 0
    assert recorded - bare <= expected


def loaded(argv: list[str]) -> set[str]:
    done = subprocess.run(
        [PYTHON, "-ISB", "-X", "importtime", *argv],
        env={"CNI_COMMAND": "ADD"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


# -- where calls cannot be kept ------------------------------------------------------------------


@pytest.fixture
def small(recorder: Recorder) -> Iterator[Recorder]:
    """A recorder whose calls are on a file system of 64 KiB."""
    recorder.copy(CAT, "plugin")
    recorder.record("plugin")
    mount("-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(recorder.directory))
    try:
        yield recorder
    finally:
        subprocess.run(["umount", recorder.directory], check=True)


def mount(*argv: str) -> None:
    subprocess.run(["mount", *argv], check=True)


def test_a_full_disk_does_not_touch_the_call(small: Recorder) -> None:
    filler = small.directory / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * (65 << 10))

    done = small.run("plugin", stdin=b"data")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"data", b"")
    assert [path.name for path in small.directory.iterdir()] == ["filler"]


def test_a_disk_that_becomes_full_leaves_no_half_call(small: Recorder) -> None:
    for _ in range(12):
        done = small.run("plugin", stdin=b"x" * 8000)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"x" * 8000, b"")

    assert 0 < len(small.calls) < 12
    assert [path for path in small.directory.iterdir() if path.name.startswith(".")] == []


def test_a_read_only_disk_does_not_touch_the_call(small: Recorder) -> None:
    mount("-o", "remount,ro", str(small.directory))

    done = small.run("plugin", stdin=b"data")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"data", b"")
    assert small.calls == []


def test_a_directory_that_is_gone_is_made_anew(recorder: Recorder) -> None:
    recorder.copy(CAT, "plugin")
    recorder.record("plugin")
    recorder.directory.rmdir()

    assert recorder.run("plugin", stdin=b"data").stdout == b"data"
    assert recorder.call.stdout == b"data"


def test_a_directory_that_cannot_be_made_does_not_touch_the_call(recorder: Recorder) -> None:
    recorder.copy(CAT, "plugin")
    recorder.record("plugin")
    recorder.directory.rmdir()
    recorder.directory.write_text("a file")

    done = recorder.run("plugin", stdin=b"data")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"data", b"")


def test_nothing_is_kept_where_others_could_read_it(recorder: Recorder) -> None:
    recorder.copy(CAT, "plugin")
    recorder.record("plugin")
    recorder.directory.chmod(0o755)

    assert recorder.run("plugin", stdin=b"data").stdout == b"data"
    assert recorder.calls == []


def test_a_lost_plugin_is_an_error_that_a_runtime_can_read(recorder: Recorder) -> None:
    recorder.script("plugin", "exit 0")
    recorder.record("plugin")
    shutil.rmtree(recorder.bin / ".cnisdk-recorded" / "plugin" / "run")

    done = recorder.run("plugin")

    assert done.returncode == 1
    error = json.loads(done.stdout)
    assert (error["code"], error["msg"]) == (5, "cannot execute the recorded plugin")
    assert recorder.call.status == 1
