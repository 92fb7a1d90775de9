"""Which system calls change something, on each machine that the tracer knows."""

import os
import re
from pathlib import Path

import pytest

from cnisdk.conformance import ptrace
from cnisdk.conformance.changes import CALLS

# What the kernel's own headers say; every other machine but x86-64 has the generic numbers.
HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


@pytest.mark.parametrize("machine", ptrace.MACHINES)
def test_system_calls_have_the_numbers_of_the_kernels_headers(machine: str) -> None:
    header = Path(HEADERS[machine])
    if not header.exists():
        if "CI" in os.environ:
            pytest.fail(f"{header} is not there: install linux-libc-dev")
        pytest.skip(f"{header} is not there")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text(), re.M)
    numbers = {name: int(number) for name, number in found}
    column = ptrace.MACHINES.index(machine)

    known = {name: row[column] for name, row in CALLS.items()}

    assert known == {name: numbers.get(name) for name in CALLS}


def test_a_machine_that_is_not_known_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    with pytest.raises(ptrace.UnsupportedError, match="x86_64 and aarch64, not of riscv64"):
        ptrace.machine()
