"""Execute programs as a container runtime does, and measure what each costs.

A sample is of a whole process: from just before posix_spawn(3) until it has ended and is reaped.
Its CPU time is its own and that of the children it waited for (wait4(2)).
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LIMIT = 60
"""Seconds after which a program hangs, and the run ends."""


class Sample(NamedTuple):
    """One execution; seconds."""

    wall: float
    cpu: float
    stdout: bytes


class Command(NamedTuple):
    """What to execute."""

    argv: Sequence[str]
    env: Mapping[str, str]
    stdin: bytes = b""


class FailedError(Exception):
    """A program that was to be measured failed."""


class _Running:
    """A program on its way, with a pipe at its stdin and stdout."""

    def __init__(self, command: Command) -> None:
        self.command = command
        stdin, feed = os.pipe2(os.O_CLOEXEC)
        self.stdout, its_stdout = os.pipe2(os.O_CLOEXEC)
        self.stderr = os.memfd_create("stderr")
        if os.write(feed, command.stdin) != len(command.stdin):
            raise FailedError("the configuration does not fit into a pipe")
        os.close(feed)
        argv, env = list(command.argv), dict(command.env)
        actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, its_stdout, 1),
            (os.POSIX_SPAWN_DUP2, self.stderr, 2),
        ]
        self.began = time.perf_counter()
        self.pid = os.posix_spawn(argv[0], argv, env, file_actions=actions)
        os.close(stdin)
        os.close(its_stdout)

    def wait(self) -> Sample:
        """Wait until it has ended; raises `FailedError` unless it succeeded."""
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except TimeoutError as err:
            os.kill(self.pid, signal.SIGKILL)
            said = os.pread(self.stderr, 4096, 0).decode("utf-8", "replace")
            raise FailedError(f"{' '.join(self.command.argv)}: does not end: {said}") from err
        wall = time.perf_counter() - self.began
        try:
            stdout = _read(self.stdout)
            if status != 0:
                stderr = os.pread(self.stderr, 4096, 0)
                said = (stdout + stderr).decode("utf-8", "replace").strip()
                code = os.waitstatus_to_exitcode(status)
                raise FailedError(f"{' '.join(self.command.argv)}: exit status {code}: {said}")
        finally:
            os.close(self.stdout)
            os.close(self.stderr)
        return Sample(wall, usage.ru_utime + usage.ru_stime, stdout)


def run(command: Command) -> Sample:
    """Execute one program."""
    signal.alarm(LIMIT)
    try:
        return _Running(command).wait()
    finally:
        signal.alarm(0)


def run_together(commands: Sequence[Command], at_once: int = 0) -> tuple[Sample, list[Sample]]:
    """Execute programs side by side, at most ``at_once``, and return the whole and each.

    The whole lasts from before the first begins until the last is reaped.
    """
    signal.alarm(LIMIT)
    waiting = list(reversed(commands))
    running: list[_Running] = []
    done: list[Sample] = []
    began = time.perf_counter()
    while waiting or running:
        while waiting and (not at_once or len(running) < at_once):
            running.append(_Running(waiting.pop()))
        # Reaped where it ended, so that another can begin; samples of the others come later.
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # noqa: S101 - without WNOHANG it is there
        (one,) = (r for r in running if r.pid == ended.si_pid)
        running.remove(one)
        done.append(one.wait())
    wall = time.perf_counter() - began
    signal.alarm(0)
    return Sample(wall, sum(sample.cpu for sample in done), b""), done


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process, and the children it waited for, have taken."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    children = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    # The clock of another process, clock_getcpuclockid(3): exact where stat counts ticks.
    return time.clock_gettime((~pid << 3) | 2) + children


def memory_of(pid: int) -> dict[str, float]:
    """Return VmRSS and VmHWM of a process in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        lines = (line.split() for line in file if line.startswith(("VmRSS", "VmHWM")))
        return {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines}


def _read(fd: int) -> bytes:
    chunks = []
    while chunk := os.read(fd, 1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)
