"""What all tests share, those of the plugins included."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.host import REFERENCE, Host
from tests.runtimes import elsewhere, tally
from tests.vm import reports
from tests.vm.kernel import can_filter_vlans


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Yield a private host: a network namespace, containers on demand, a state directory."""
    state = tmp_path / "state"
    state.mkdir()
    host = Host(state)
    try:
        yield host
    finally:
        host.close()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Report what was run in a guest, or by real root, as if it had been run here."""
    if reports.elsewhere(item):
        reports_of = reports.of
    elif elsewhere.elsewhere(item):
        reports_of = elsewhere.of
    else:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports_of(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # What was set up for the test before this one, pytest kept in case that this one needs it.
    item.session._setupstate.teardown_exact(nextitem)
    return True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the Go reference plugins, or another kernel, where there is none."""
    if item.get_closest_marker(reports.MARKER) and not can_filter_vlans():
        pytest.skip("no User-mode Linux, and bridges of this kernel cannot filter VLANs")
    if item.get_closest_marker("reference") and not os.access(f"{REFERENCE}/bridge", os.X_OK):
        pytest.skip(f"no Go reference plugins in {REFERENCE} (set CNI_REFERENCE)")
    if reason := elsewhere.impossible(item):
        pytest.skip(reason)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start a worker more than there are processors: at any time one waits, for a boot or a leak.

    A runtime's session, a guest, a namespace that the kernel is still taking away: in all, tests
    wait for some minutes in which they need no processor.
    """
    return len(os.sched_getaffinity(0)) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the containers that runtimes have started."""
    for line in tally.lines(terminalreporter):
        terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skip a failure in CI."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Make a skip a failure in CI."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # What is skipped in CI is tested nowhere.
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure when CI is set: {report.longrepr}"
