"""What the kit finds in the Go reference plugins; docs/conformance.md lists it."""

import pytest

from cnisdk.conformance.runner import Report, run
from cnisdk.conformance.subject import Subject, guess_kind
from tests.host import REFERENCE

pytestmark = pytest.mark.reference

# Known of every release up to the main branch of 2026-04.
IN_ALL = {"errors/version", "parameters/command-missing", "parameters/optional", "version/echo"}
KNOWN = {
    "bridge": {
        *IN_ALL,
        "add/retry",  # the link left by a failed ADD
        "check/without-ipam",
        "delete/without-netns-leaves-nothing",  # masquerade rules
        "delegation/add-error-undone",
    },
    "host-local": {*IN_ALL, "kill/at-a-write"},  # an empty reservation is never reclaimed
    "ptp": {*IN_ALL, "add/second-interface", "delete/without-netns-leaves-nothing"},
    "tuning": IN_ALL,
}


def judged(name: str) -> Report:
    executable = f"{REFERENCE}/{name}"
    return run(Subject(executable=executable, kind=guess_kind(executable)))


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_of_a_reference_plugin_is_found(name: str) -> None:
    report = judged(name)

    assert KNOWN[name] - set(report.failed()) == set()


@pytest.mark.parametrize("name", KNOWN)
def test_a_reference_plugin_passes_most_checks(name: str) -> None:
    """A kit that finds fault with everything would prove nothing."""
    only = {"add/succeeds", "add/one-object", "versions/result-shape", "delete/twice"}
    executable = f"{REFERENCE}/{name}"

    report = run(Subject(executable=executable, kind=guess_kind(executable)), only=only)

    assert report.failed() == []
