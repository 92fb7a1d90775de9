"""Our plugins pass every MUST and SHOULD at every version of the specification."""

import pytest

from cnisdk import versions
from cnisdk.conformance.check import Kind
from cnisdk.conformance.checks import REGISTRY
from cnisdk.conformance.runner import Outcome, Report, run
from cnisdk.conformance.subject import Subject
from tests.conformance.mutants.zygote import Zygote
from tests.host import OURS

MODULES = {"bridge": ("cni_bridge", "Bridge"), "host-local": ("cni_host_local", "HostLocal")}
KINDS = {"bridge": Kind.INTERFACE, "host-local": Kind.IPAM}

# What depends on how the process starts, and not only on what it does then.
OF_THE_PROCESS = ("version/", "errors/", "surroundings/", "kill/at-a-write", "delegation/environ")


def wrong(report: Report) -> dict[str, str]:
    """Return what did not pass, but for checks of what the version does not have."""
    return {
        verdict.check.id: f"{verdict.outcome}: {verdict.reason}"
        for verdict in report.verdicts
        if verdict.outcome != Outcome.PASS
        and not (verdict.outcome == Outcome.SKIP and _is_too_new(verdict.check.since, report))
    }


def _is_too_new(since: str, report: Report) -> bool:
    version = report.subject.cni_version or versions.CURRENT
    return not versions.at_least(version, since)


@pytest.mark.parametrize("version", versions.SUPPORTED)
@pytest.mark.parametrize("name", MODULES)
def test_our_plugin_passes_every_check(name: str, version: str, our_zygote: Zygote) -> None:
    module, attr = MODULES[name]
    text = f"from cnisdk.runner import main\nfrom {module} import {attr}\nmain({attr})\n"
    subject = Subject(
        executable=f"{OURS}/{name}",
        kind=KINDS[name],
        cni_version=version,
        spawn=our_zygote.spawning(text),
    )
    report = run(subject)

    assert wrong(report) == {}


@pytest.mark.parametrize("name", MODULES)
def test_our_executable_passes_what_is_about_a_process(name: str) -> None:
    subject = Subject(executable=f"{OURS}/{name}", kind=KINDS[name])
    only = [identifier for identifier in REGISTRY if identifier.startswith(OF_THE_PROCESS)]

    report = run(subject, only=only)

    assert wrong(report) == {}
