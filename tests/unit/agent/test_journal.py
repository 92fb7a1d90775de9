"""The log: whole lines, and never a reason to wait."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.host import ROOT

WRITE = """
import sys
from cnisdk.agent import journal
for number in range(int(sys.argv[1])):
    journal.write("info", sys.argv[2], number=number)
sys.stdout.write("done")
sys.stdout.flush()
sys.stdin.read(1)
journal.write("info", "last")
"""


def start(count: int, event: str, stderr: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, str(count), event],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def drain(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    try:
        while chunk := os.read(fd, 1 << 16):
            data += chunk
    except BlockingIOError:
        pass
    return data


def test_a_log_that_nobody_reads_holds_up_nothing() -> None:
    read, write = os.pipe()
    process = start(5000, "x" * 100, write)
    assert process.stdout is not None
    assert process.stdout.read(4) == b"done"
    first = lines(drain(read))
    process.communicate(b"x")
    last = lines(drain(read))
    os.close(read)
    os.close(write)

    assert [line["number"] for line in first] == list(range(len(first)))
    assert len(first) < 5000
    assert [(line["event"], line["lines_dropped"]) for line in last] == [
        ("last", 5000 - len(first))
    ]


def test_the_other_writers_of_the_pipe_are_not_made_to_not_wait() -> None:
    read, write = os.pipe()
    process = start(1, "x", write)
    process.communicate(b"x")

    assert os.get_blocking(write)
    os.close(read)
    os.close(write)


def test_a_long_text_is_cut_so_that_lines_do_not_mix() -> None:
    read, write = os.pipe()
    process = start(1, f"begin {'é' * 50_000} end", write)
    process.communicate(b"x")
    os.close(write)
    data = drain(read)
    os.close(read)
    (first, _) = lines(data)

    assert len(data.splitlines()[0]) < 4096
    assert first["event"].startswith("begin é")
    assert first["event"].endswith("é end")


def test_what_is_no_text_can_be_logged() -> None:
    read, write = os.pipe()
    process = start(1, os.fsdecode(b"\xff\n\0"[:2]), write)
    process.communicate(b"x")
    os.close(write)

    assert len(lines(drain(read))) == 2
    os.close(read)


def test_a_log_whose_reader_has_gone_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    process = start(100, "x", write)
    process.communicate(b"x")
    os.close(write)

    assert process.returncode == 0
