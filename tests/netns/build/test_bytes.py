"""What is in built executables, byte by byte."""

import os
import sys
from pathlib import Path

import pytest

from cnisdk.agent import trailer
from cnisdk.build import executable
from cnisdk.build.executable import Options
from tests.host import ROOT
from tests.netns.build.conftest import PLUGINS, UNPACKED


def modules(path: Path) -> bytes:
    """Return the compiled modules of an executable, which end before a page's rest of zeros."""
    data = path.read_bytes()
    start = data.index(b"cnisdk-modules\n")
    size = int(data[start + 15 : start + 23], 16)
    index = data[start + 24 : start + 24 + size]
    assert index
    return data[start : data.index(bytes(64), start + 24 + size)]


@pytest.mark.parametrize("kind", ["built", "standalone"])
def test_two_builds_give_the_same_bytes(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first: Path = request.getfixturevalue(kind)
    options = Options(standalone=kind == "standalone", unpack_dirs=(str(UNPACKED),))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.chdir(PLUGINS[0])

    executable.build([Path(), *PLUGINS[1:]], tmp_path / "second", options)

    assert (first / "bridge").read_bytes() == (tmp_path / "second" / "bridge").read_bytes()


@pytest.mark.parametrize("kind", ["built", "standalone"])
def test_nothing_that_is_compiled_names_a_directory_of_this_machine(
    kind: str, request: pytest.FixtureRequest
) -> None:
    directory: Path = request.getfixturevalue(kind)
    compiled = modules(directory / "bridge")

    assert len(compiled) > 2_000_000
    for path in (ROOT, sys.prefix, sys.base_prefix, os.path.expanduser("~")):
        assert os.fsencode(str(path)) + b"/" not in compiled, path


def test_payloads_begin_on_a_page(built: Path, standalone: Path) -> None:
    for directory in (built, standalone):
        found = trailer.read(str(directory / "bridge"))
        assert found is not None
        assert found.payload_offset % 4096 == 0
