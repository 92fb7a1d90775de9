"""What happened in a guest is what is reported here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host import ROOT
from tests.vm import reports, uml
from tests.vm.kernel import can_filter_vlans
from tests.vm.reports import read

OUTCOMES = """
import pytest

def test_good():
    print("said in the guest")

def test_bad():
    assert 1 == 2

def test_skipped():
    pytest.skip("no reason")

@pytest.fixture
def broken():
    yield
    raise OSError("left something")

def test_with_a_broken_fixture(broken):
    pass
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The reports of a session like that of a guest."""
    (tmp_path / "test_it.py").write_text(OUTCOMES)
    path = tmp_path / "reports"
    argv = [sys.executable, "-m", "pytest", "--rootdir=.", "-p", "tests.vm.reports", "test_it.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CNISDK_VM_REPORTS": str(path)}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == 1, done.stdout
    return path


def _outcomes(config: pytest.Config, written: Path, test: str) -> list[tuple[str | None, str]]:
    found = read(config, written, f"test_it.py::{test}")
    return [(report.when, report.outcome) for report in found]


def test_each_outcome_is_carried_over(pytestconfig: pytest.Config, written: Path) -> None:
    good = [("setup", "passed"), ("call", "passed"), ("teardown", "passed")]
    assert _outcomes(pytestconfig, written, "test_good") == good
    assert _outcomes(pytestconfig, written, "test_bad")[1] == ("call", "failed")
    assert _outcomes(pytestconfig, written, "test_skipped")[1] == ("call", "skipped")
    assert _outcomes(pytestconfig, written, "test_with_a_broken_fixture")[2][1] == "failed"


def test_what_was_said_is_carried_over(pytestconfig: pytest.Config, written: Path) -> None:
    *_, teardown = read(pytestconfig, written, "test_it.py::test_good")
    _, bad, _ = read(pytestconfig, written, "test_it.py::test_bad")

    assert "said in the guest" in teardown.capstdout
    assert "assert 1 == 2" in str(bad.longrepr)


def test_why_a_test_was_skipped_is_carried_over_as_pytest_has_it(
    pytestconfig: pytest.Config, written: Path
) -> None:
    _, skipped, _ = read(pytestconfig, written, "test_it.py::test_skipped")

    assert isinstance(skipped.longrepr, tuple)  # pytest's summary insists
    assert skipped.longrepr[2] == "Skipped: no reason"


@pytest.mark.vm
def test_this_runs_on_a_kernel_that_filters_vlans() -> None:
    assert can_filter_vlans()
    assert os.geteuid() == 0


def test_a_guest_that_does_not_come_up_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "linux.uml"
    kernel.write_text("#!/bin/sh\necho panic: no memory\n")
    kernel.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    done = uml.run(["true"], directory=tmp_path / "vm", cwd=tmp_path, env={})

    assert done == (None, "panic: no memory\n")


def test_a_test_that_did_not_end_in_the_guest_failed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_PRIVATE", tmp_path)
    (tmp_path / "ended").write_text("exit status None\npanic: no memory")
    shared = tmp_path / "shared"
    shared.mkdir()
    whole = pytest.TestReport(request.node.nodeid, ("", 0, ""), {}, "passed", None, "setup")
    hook = request.config.hook.pytest_report_to_serializable
    wire = hook(config=request.config, report=whole)
    (shared / "reports").write_text(json.dumps(wire) + "\n")

    setup, call = reports.of(request.node)

    assert setup.passed
    assert call.failed
    assert "panic: no memory" in str(call.longrepr)
