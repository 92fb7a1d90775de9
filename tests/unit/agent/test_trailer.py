"""What a build appends to a launcher; that the launchers read it, tests/netns/agent shows."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from cnisdk.agent import trailer
from cnisdk.agent.trailer import Trailer, TrailerError

values = st.text(st.characters(codec="utf-8", min_codepoint=0x20), max_size=60).filter(
    lambda text: "\x7f" not in text
)
settings = st.lists(st.tuples(st.sampled_from(["name", "later"]), values)).map(tuple)


@given(st.binary(max_size=300), settings, st.binary(max_size=300))
def test_what_is_appended_is_read_back(
    launcher: bytes, settings: trailer.Settings, payload: bytes
) -> None:
    data = trailer.append(launcher, settings, payload)
    found = trailer.decode(data[-trailer.MAX_SETTINGS :], len(data))

    assert found == Trailer(settings, len(launcher), len(payload))
    assert data[found.payload_offset :][: found.payload_length] == payload


def test_a_file_without_a_trailer_has_none(tmp_path: Path) -> None:
    path = tmp_path / "launcher"
    path.write_bytes(b"\x7fELF" + bytes(10000))

    assert trailer.read(str(path)) is None


def test_a_large_payload_is_found(tmp_path: Path) -> None:
    path = tmp_path / "launcher"
    path.write_bytes(trailer.append(b"launcher", [("mode", "none")], bytes(20000)))

    assert trailer.read(str(path)) == Trailer((("mode", "none"),), 8, 20000)


@pytest.mark.parametrize("cut", [1, 30, 79, 100])
def test_a_truncated_trailer_is_none(cut: int) -> None:
    data = trailer.append(b"launcher", [("mode", "none")])[:-cut]

    assert trailer.decode(data, len(data)) is None


@pytest.mark.parametrize("field", range(4))
def test_a_trailer_that_points_elsewhere_is_none(field: int) -> None:
    data = trailer.append(b"launcher", [("mode", "none")])
    at = len(data) - 79 + (19, 36, 45, 62)[field]
    data = data[:at] + b"7" + data[at + 1 :]

    assert trailer.decode(data, len(data)) is None


def test_a_python_script_stays_one() -> None:
    data = trailer.append(b"x = 1\n", [("mode", "exec"), ("exec", "/bin/true")])

    compile(data, "launcher", "exec")


def test_a_second_trailer_is_refused() -> None:
    with pytest.raises(TrailerError, match="already"):
        trailer.append(trailer.append(b"launcher", []), [])


def test_the_last_value_counts_and_args_are_all_kept() -> None:
    found = Trailer((("arg", "a"), ("mode", "none"), ("arg", "b"), ("mode", "exec")), 0, 0)

    assert found.value("mode") == "exec"
    assert found.values("arg") == ("a", "b")
    assert found.value("socket", "/s") == "/s"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mode", "maybe"),
        ("on-del", "later"),
        ("patience-ms", "soon"),
        ("patience-ms", "-1"),
        ("limit-ms", "9999999999"),
        ("versions", ""),
        ("versions", '1.0.0",'),
        ("exec", "%x/python"),
        ("arg", "two\nlines"),
        ("UPPER", "case"),
        ("socket", "relative"),
    ],
)
def test_a_setting_no_launcher_understands_is_refused(key: str, value: str) -> None:
    with pytest.raises(TrailerError, match=key):
        trailer.append(b"", [(key, value)])


def test_exec_without_a_program_is_refused() -> None:
    with pytest.raises(TrailerError, match="exec="):
        trailer.append(b"", [("mode", "exec")])


def test_settings_that_are_too_large_are_refused() -> None:
    with pytest.raises(TrailerError, match="too large"):
        trailer.append(b"", [("arg", "x" * trailer.MAX_SETTINGS)])


def test_too_many_arguments_are_refused() -> None:
    with pytest.raises(TrailerError, match="arguments"):
        trailer.append(b"", [("arg", "x")] * 65)
