"""``cnisdk conformance`` and its reports."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conformance.mutants import source
from tests.conformance.mutants.table import MUTANTS
from tests.host import ROOT

CHECKS = ("errors/version", "add/succeeds", "ipam/gives-address")


def cnisdk(*argv: str | Path, check: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as one who is not in a private host yet."""
    done = subprocess.run(
        [sys.executable, "-c", "from cnisdk.cli import main; main()", "conformance", *argv],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CNISDK_OUTSIDE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return source.write("ipam", tmp_path / "good")


@pytest.fixture
def bad(good: Path) -> Path:
    """A plugin whose errors have no version."""
    mutant = MUTANTS["errors/version"]
    path = good.with_name("bad")
    path.write_text(good.read_text().replace(mutant.old, mutant.new))
    path.chmod(0o755)
    return path


def options(*checks: str) -> list[str]:
    return ["--kind", "ipam", *(word for check in checks for word in ("--check", check))]


def test_a_good_plugin_ends_with_status_0(good: Path) -> None:
    done = cnisdk(good, *options(*CHECKS), check=0)

    assert done.stdout.splitlines()[-1].startswith("3 passed, 0 failed, 0 skipped in ")
    assert done.stderr == ""


def test_a_failure_ends_with_status_1_and_shows_sentence_and_call(bad: Path) -> None:
    done = cnisdk(bad, *options(*CHECKS), check=1)

    assert "FAIL  SHOULD  errors/version" in done.stdout
    assert "! $.cniVersion is None instead of '1.1.0'" in done.stdout
    assert 'SPEC, 5, Error: "Plugins should output a JSON object' in done.stdout
    assert "CNI_COMMAND=ADD" in done.stdout
    assert '> stdout: {"code": 7' in done.stdout


def test_a_failed_should_is_no_failure_for_who_wants_must_alone(bad: Path) -> None:
    cnisdk(bad, *options(*CHECKS), "--must", check=0)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "Missing argument 'EXECUTABLE'"),
        (["/nowhere/plugin"], "/nowhere/plugin is no executable file"),
        (["/bin/true", "--check", "no/such"], "No check no/such"),
        (["/bin/true", "--check", "ipam/keeps"], "for interface plugins"),
    ],
)
def test_what_cannot_be_tested_ends_with_status_2(argv: list[str], said: str) -> None:
    assert said in cnisdk(*argv, check=2).stderr


def test_a_program_that_is_no_plugin_fails() -> None:
    done = cnisdk("/bin/true", "--check", "version/answer", check=1)

    assert "stdout is not one JSON object" in done.stdout


def test_the_configuration_of_a_network_is_taken(good: Path, tmp_path: Path) -> None:
    ipam = {"type": "good", "subnet": "10.44.0.0/24", "dataDir": str(tmp_path / "data")}
    config = tmp_path / "net.conflist"
    config.write_text(json.dumps({"name": "mine", "plugins": [{"type": "good", "ipam": ipam}]}))

    done = cnisdk(good, "--config", config, "--check", "add/succeeds", "-v", check=0)

    assert "ipam plugin" in done.stdout
    assert list(tmp_path.glob("data/mine-*/10.44.0.2"))


def test_the_reports_agree(bad: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("report.json", "report.xml", "report.html")]
    flags = zip(("--json", "--junit", "--html"), files, strict=True)

    cnisdk(bad, *options(*CHECKS), *(word for pair in flags for word in pair), check=1)

    told = json.loads(files[0].read_text())
    assert (told["passed"], told["failed"], told["skipped"]) == (2, 1, 0)
    (failed,) = (v for v in told["verdicts"] if v["outcome"] == "fail")
    assert failed["id"] == "errors/version"
    assert failed["calls"][0]["environ"]["CNI_COMMAND"] == "ADD"
    suite = ElementTree.parse(files[1]).getroot()[0]  # noqa: S314 - our own
    assert {suite.attrib[key] for key in ("tests", "failures", "skipped")} == {"3", "1", "0"}
    page = Page()
    page.feed(files[2].read_text())
    assert page.outcomes == {"errors/version": "fail", **dict.fromkeys(CHECKS[1:], "pass")}


class Page(HTMLParser):
    """Reads the verdicts out of the report, and whether it needs anything from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str | None, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert tag not in ("link", "img", "iframe")
        assert "src" not in found
        if "data-outcome" in found:
            self.outcomes[found["id"]] = found["data-outcome"]


def test_the_list_has_every_check() -> None:
    listed = [line.split()[0] for line in cnisdk("--list", check=0).stdout.splitlines()]

    assert set(listed) == set(MUTANTS)


def test_the_document_names_checks_that_exist() -> None:
    document = (ROOT / "docs" / "conformance.md").read_text()

    named = re.findall(r"`([a-z]+/[a-z-]+)`", document)

    assert named
    assert set(named) - set(MUTANTS) - {"tests/conformance"} == set()
