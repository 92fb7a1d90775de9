import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnisdk.console.choice import NoConfigError, choose
from cnisdk.console.subject import Subject
from cnisdk.errors import InvalidNetworkConfigError, IOFailureError
from cnisdk.runtime.errors import BrokenConfigError
from tests.unit.console.conftest import network

PROBE = {"type": "probe", "mine": 1}
OTHER = {"type": "other"}


def test_the_first_network_that_uses_the_plugin_is_taken(subject: Subject, net_d: Path) -> None:
    (net_d / "05-other.conflist").write_text(json.dumps(network("a", OTHER)))
    (net_d / "10-first.conflist").write_text(json.dumps(network("b", PROBE)))
    (net_d / "20-second.conflist").write_text(json.dumps(network("c", PROBE)))
    said: list[str] = []

    choice = choose(subject, "", str(net_d), said.append)

    assert choice.network.name == "b"
    assert choice.network.cni_version == "1.0.0"
    assert said == [f"configuration: network 'b', {net_d}/10-first.conflist"]


def test_of_a_chain_only_the_part_of_the_plugin_is_taken(subject: Subject, net_d: Path) -> None:
    (net_d / "a.conflist").write_text(json.dumps(network("a", OTHER, PROBE, {"type": "last"})))
    said: list[str] = []

    choice = choose(subject, "", str(net_d), said.append)

    assert [part.raw for part in choice.network.plugins] == [PROBE]
    assert json.loads(choice.network.dumps())["plugins"] == [PROBE]
    assert said[1:] == ["network 'a' has other plugins too, which are not called: other, last"]


def test_a_plugin_that_another_delegates_to_gets_its_configuration(
    subject: Subject, net_d: Path
) -> None:
    delegating = {"type": "other", "mtu": 1400, "ipam": {"type": "probe", "x": 1}}
    (net_d / "a.conflist").write_text(json.dumps(network("a", delegating)))
    said: list[str] = []

    choice = choose(subject, "", str(net_d), said.append)

    assert choice.part.raw == {**delegating, "type": "probe"}
    assert said[1:] == ["network 'a' has other plugins too, which are not called: other"]


def test_a_file_that_cannot_be_read_is_told_and_passed_over(subject: Subject, net_d: Path) -> None:
    (net_d / "00-broken.conflist").write_text("{")
    (net_d / "10-good.conf").write_text(json.dumps({"name": "good", **PROBE}))
    said: list[str] = []

    choice = choose(subject, "", str(net_d), said.append)

    assert choice.network.name == "good"
    assert said[0].startswith("passed over: ")
    assert "00-broken.conflist" in said[0]


def test_without_a_network_the_default_is_taken(subject: Subject, net_d: Path) -> None:
    (net_d / "a.conflist").write_text(json.dumps(network("a", OTHER)))
    said: list[str] = []

    choice = choose(subject, "", str(net_d), said.append)

    assert choice.part.raw == {
        "cniVersion": "1.1.0",
        "name": "cnisdk-probe",
        "type": "probe",
        "here": True,
    }
    assert said == [
        f"no network of {net_d} uses probe",
        "configuration: network 'cnisdk-probe', the default of probe",
    ]


def test_without_a_default_there_is_no_configuration(bare: Subject, net_d: Path) -> None:
    with pytest.raises(NoConfigError, match="no configuration for bare"):
        choose(bare, "", str(net_d / "missing"), str)


def test_a_file_is_taken_before_everything_else(subject: Subject, net_d: Path) -> None:
    (net_d / "a.conflist").write_text(json.dumps(network("a", PROBE)))
    file = net_d.parent / "mine.json"
    file.write_text(json.dumps(network("b", OTHER, PROBE)))

    assert choose(subject, str(file), str(net_d), str).network.name == "b"


def test_a_plugin_configuration_needs_nothing_of_its_network(subject: Subject, net_d: Path) -> None:
    file = net_d.parent / "mine.json"
    file.write_text('{"mine": 2}')

    choice = choose(subject, str(file), str(net_d), str)

    assert (choice.network.name, choice.part.type, choice.part.raw["mine"]) == (
        "cnisdk-probe",
        "probe",
        2,
    )


def test_a_conflist_brings_its_drop_ins(subject: Subject, net_d: Path) -> None:
    (net_d / "a.conflist").write_text(json.dumps(network("a", OTHER)))
    (net_d / "a").mkdir()
    (net_d / "a" / "more.conf").write_text(json.dumps(PROBE))

    choice = choose(subject, str(net_d / "a.conflist"), "/nowhere", str)

    assert choice.part.raw == PROBE


def test_a_dash_is_stdin(subject: Subject, net_d: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(json.dumps(network("x", PROBE)).encode()))
    monkeypatch.setattr("sys.stdin", stdin)

    choice = choose(subject, "-", str(net_d), str)

    assert (choice.network.name, choice.where) == ("x", "stdin")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", BrokenConfigError, "invalid network configuration"),
        ("[]", BrokenConfigError, "not an object"),
        ('{"plugins": [{"type": "probe"}]}', BrokenConfigError, r"\$.name: missing"),
        (json.dumps(network("a", OTHER)), InvalidNetworkConfigError, "no configuration for probe"),
        (json.dumps(OTHER), InvalidNetworkConfigError, "it is for other"),
    ],
)
def test_a_file_that_is_of_no_use_is_refused(
    subject: Subject, net_d: Path, text: str, error: type[Exception], words: str
) -> None:
    file = net_d.parent / "mine"
    file.write_text(text)

    with pytest.raises(error, match=words):
        choose(subject, str(file), str(net_d), str)


def test_a_file_that_is_not_there_is_an_error(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(IOFailureError, match="No such file"):
        choose(subject, str(tmp_path / "missing"), str(tmp_path), str)
