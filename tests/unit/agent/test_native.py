"""Compiling the launcher, and its Python twin as a file."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from cnisdk import versions
from cnisdk.agent import launcher, native, protocol, queue, trailer
from tests.netns.agent.launchers import require

WERROR = "-Wall -Wextra -Werror"


COMPILERS = [cc for cc in ("cc", "gcc", "clang", "musl-gcc") if shutil.which(cc)] or ["cc"]


@pytest.mark.parametrize("cc", COMPILERS)
def test_it_compiles_without_a_warning(cc: str, tmp_path: Path) -> None:
    require(shutil.which(cc), cc)
    problems: list[str] = []
    output = native.compile_launcher(
        str(tmp_path / "launcher"), cc=f"{cc} {WERROR}", report=problems.append
    )

    assert problems == []
    assert output is not None
    assert os.access(output, os.X_OK)
    assert os.listdir(tmp_path) == ["launcher"]


@pytest.mark.parametrize("flags", [(), ("-fanalyzer", "-Wno-analyzer-malloc-leak")])
def test_two_compilations_give_the_same_bytes(flags: tuple[str, ...], tmp_path: Path) -> None:
    require(shutil.which("gcc"), "gcc")
    for name in ("a", "b"):
        native.compile_launcher(str(tmp_path / name), cc=["gcc", *WERROR.split(), *flags])

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_a_compiler_there_is_no_launcher(tmp_path: Path) -> None:
    problems: list[str] = []
    output = native.compile_launcher(
        str(tmp_path / "launcher"), cc="/nonexistent/cc", report=problems.append
    )

    assert output is None
    assert problems == ["/nonexistent/cc: No such file or directory"]


def test_a_compiler_that_fails_leaves_nothing(tmp_path: Path) -> None:
    problems: list[str] = []
    output = native.compile_launcher(str(tmp_path / "launcher"), cc="false", report=problems.append)

    assert (output, problems) == (None, ["false: "])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("asked", ["x86_64", "amd64", "arm64", None])
def test_a_prebuilt_launcher_is_found_if_the_package_has_one(asked: str | None) -> None:
    path = native.prebuilt(asked)
    expected = Path(native.HERE, "bin", f"launcher-{native.machine(asked)}")

    assert path == (str(expected) if expected.exists() else None)


def test_the_python_launcher_imports_nothing_of_ours_and_little_else() -> None:
    source = native.HERE / "launcher.py"
    code = (
        "import os, sys; before = set(sys.modules)\n"
        f"exec(open({str(source)!r}).read(), {{'__name__': ''}})\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-ISE", "-c", code], capture_output=True, text=True, check=True
    )

    assert set(done.stdout.split()) <= {"_socket", "select", "time"}


json_like = st.lists(
    st.sampled_from(
        [
            *(bytes([char]) for char in b'{}[]:,"\\ \n\0\xff'),
            *(b"null", b'"cniVersion"', b'"0.4.0"', b'"1.0.0"', b'"a":', b'{"a":1}'),
        ]
    )
).map(b"".join)


@pytest.fixture(scope="module")
def stated_version(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], tuple[str, bool]]:
    """The function of json.c, called in this process."""
    require(shutil.which("gcc"), "gcc")
    library = str(tmp_path_factory.mktemp("json") / "json.so")
    sources = [str(native.HERE / name) for name in native.SOURCES[:5]]
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, *sources], check=True)
    function = ctypes.CDLL(library).stated_version
    function.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p)
    function.restype = ctypes.c_bool

    def call(data: bytes) -> tuple[str, bool]:
        version = ctypes.create_string_buffer(65)
        complete = function(data, len(data), version)
        return version.value.decode(), complete

    return call


@given(json_like.map(lambda text: b"{" + text) | st.binary())
def test_both_launchers_find_the_same_version(
    stated_version: Callable[[bytes], tuple[str, bool]], data: bytes
) -> None:
    assert stated_version(data) == launcher.stated_version(data)


configurations = st.dictionaries(
    st.sampled_from(["cniVersion", "name", 'a"', "\\"]),
    st.recursive(
        st.none() | st.floats() | st.sampled_from(["0.4.0", "1.0.0", '"', "\\", "{"]), st.lists
    ),
)


@given(configurations, st.sampled_from([None, 2]))
def test_the_version_found_is_that_of_the_json(
    configuration: dict[str, object], indent: int | None
) -> None:
    data = json.dumps(configuration, indent=indent).encode()
    stated = configuration.get("cniVersion")
    expected = stated if stated in ("0.4.0", "1.0.0") else ""

    assert launcher.stated_version(data) == (expected, True)


def test_the_constants_of_both_launchers_are_those_of_the_modules() -> None:
    c = "".join(Path(native.HERE, name).read_text() for name in ("launcher.h", *native.SOURCES[:5]))

    assert launcher.MAX_PAYLOAD == protocol.MAX_PAYLOAD
    assert launcher.PROTOCOL_VERSION == protocol.VERSION
    assert (launcher.MAX_ENTRIES, launcher.MAX_SIZE) == (queue.MAX_ENTRIES, queue.MAX_SIZE)
    assert launcher._DEFAULTS["socket"] == protocol.SOCKET
    assert launcher._DEFAULTS["queue-dir"] == queue.DIRECTORY
    assert launcher._DEFAULTS["versions"] == ",".join(versions.SUPPORTED)
    for value in launcher._DEFAULTS.values():
        assert value in {"none", "queue"} or value in c
    assert f"#define MAX_ARGS {trailer.MAX_ARGS}\t" in c
    assert f"#define MAX_SETTINGS {trailer.MAX_SETTINGS}\n" in c
    assert f"#define MAX_ENTRIES {queue.MAX_ENTRIES}\n" in c
    assert f"#define PROTOCOL_VERSION {protocol.VERSION}\n" in c
