"""Whatever fails, the person is told what to do next."""

import re
from pathlib import Path

import pytest

from cnisdk import errors
from cnisdk.console.advice import Situation, explain, next_step
from cnisdk.console.choice import NoConfigError
from cnisdk.console.netns import EngineError, GoneError
from cnisdk.console.subject import Subject
from cnisdk.errors import CNIError
from cnisdk.runtime.errors import AlreadyAttachedError, BrokenConfigError, NotAttachedError

CODES = [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51, 100, 99, 999]


@pytest.fixture
def situation(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Situation:
    program = tmp_path / "probe"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    subject = subject._replace(executable=str(program))
    return Situation(subject, "add", "/etc/x.conf", ("c1", "n s", "--ifname", "e1"), "/r")


@pytest.mark.parametrize("verb", ["add", "check", "del", "gc", "status"])
@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_next_step(situation: Situation, code: int, verb: str) -> None:
    step = next_step(CNIError.of(code, "m"), situation._replace(verb=verb))

    assert step
    assert "{" not in step


@pytest.mark.parametrize(
    ("err", "words"),
    [
        (AlreadyAttachedError("m"), "probe del c1 'n s' --ifname e1"),
        (NotAttachedError("m"), "what is attached is in /r"),
        (NoConfigError("m"), "--config FILE"),
        (BrokenConfigError("/etc/b", ["p"]), "correct /etc/b"),
        (GoneError("m"), "docker:NAME"),
        (EngineError("m", "", "docker inspect x"), "see what 'docker inspect x' says"),
        (errors.InvalidNetworkConfigError("m"), "correct /etc/x.conf; 'probe schema'"),
        (errors.InvalidEnvironmentError("failed to find plugin 'x' in CNI_PATH"), "--cni-path"),
        (errors.IOFailureError("nft: no such program in PATH"), "install nftables"),
        (errors.PluginError("no IP addresses available in range set"), "larger range"),
        (errors.PluginError("10.0.0.2 has been allocated to c1"), "first: probe del c1"),
        (errors.IOFailureError("write /x: No space left on device"), "make room"),
    ],
)
def test_the_step_is_about_the_failure(situation: Situation, err: CNIError, words: str) -> None:
    assert words in next_step(err, situation)


def test_what_the_kernel_refuses_is_a_matter_of_privileges(
    situation: Situation, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = errors.IOFailureError("add link x: Operation not permitted")

    assert "CAP_NET_ADMIN" in next_step(refused, situation)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "sudo" in next_step(refused, situation)


def test_a_failed_check_is_mended_by_making_it_anew(situation: Situation) -> None:
    step = next_step(errors.PluginError("not as it was"), situation._replace(verb="check"))

    assert "probe del c1 'n s' --ifname e1, then 'probe add'" in step


def test_an_error_is_explained_with_its_details_and_code(situation: Situation) -> None:
    text = explain(errors.TryAgainLaterError("busy", "one\ntwo"), situation)

    assert text.splitlines() == [
        "Error: busy (code 11)",
        "  one",
        "  two",
        "Next: run it again in a moment",
    ]


def test_all_problems_of_a_file_are_shown(situation: Situation) -> None:
    text = explain(BrokenConfigError("/etc/b", ["one", "two"]), situation)

    assert text.splitlines()[1:3] == ["  one", "  two"]


def test_a_step_names_no_other_program_of_the_name(
    situation: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """iproute2 has a bridge too."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "probe").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{other}:{tmp_path}")

    step = next_step(AlreadyAttachedError("m"), situation)

    assert f"detach it first: {tmp_path}/probe del c1" in step


def test_a_python_file_is_typed_with_its_interpreter(situation: Situation, tmp_path: Path) -> None:
    (tmp_path / "probe").chmod(0o644)

    step = next_step(AlreadyAttachedError("m"), situation)

    assert re.search(rf"detach it first: python[0-9.]* {tmp_path}/probe del c1", step)
