"""The state machine, over our plugins, and over one that leaks."""

import subprocess
from pathlib import Path

import pytest

from cnisdk.conformance.check import Kind
from cnisdk.conformance.machine import tell
from cnisdk.conformance.subject import Subject
from tests.host import OURS

# Gives addresses by counting, and keeps a file for each; DEL needs the namespace to clean up.
LEAKING = """#!/bin/sh
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}'; exit ;;
esac
d=$(sed 's/.*"dir": "\\([^"]*\\)".*/\\1/')
mkdir -p "${d:?nothing came on stdin}" || exit
case $CNI_COMMAND in
ADD)
    read -r last 2>/dev/null <"$d/last"
    echo $((last + 1)) >"$d/last"
    echo "$CNI_CONTAINERID" >"$d/$((last + 1))"
    echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.'$((last + 1))'/24"}]}' ;;
DEL)
    [ -z "$CNI_NETNS" ] || for f in "$d"/*; do
        [ "$(cat "$f" 2>/dev/null)" != "$CNI_CONTAINERID" ] || rm "$f"
    done ;;
esac
"""


@pytest.fixture
def leaking(tmp_path: Path) -> Subject:
    path = tmp_path / "leaking"
    path.write_text(LEAKING)
    path.chmod(0o755)
    config = {"name": "n", "type": "leaking", "ipam": {"type": "leaking", "dir": "$STATE/kept"}}
    return Subject(executable=str(path), kind=Kind.IPAM, config=config)


def test_our_bridge_with_host_local_lives_through_every_story() -> None:
    subject = Subject(executable=f"{OURS}/bridge", kind=Kind.INTERFACE)
    tell(subject, 2, steps=6, derandomize=True)


def test_host_local_lives_through_every_story() -> None:
    subject = Subject(executable=f"{OURS}/host-local", kind=Kind.IPAM)
    tell(subject, 4, steps=6, derandomize=True)


def test_a_leak_is_found_and_told_as_a_short_script_that_shows_it(
    leaking: Subject, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="left: file") as failure:
        tell(leaking, 20, steps=6, derandomize=True)
    script = str(failure.value).partition("\n\n")[2]
    assert script.count("\ncall ") <= 2
    assert "CNI_NETNS" in script
    path = tmp_path / "story.sh"
    path.write_text(script)
    done = subprocess.run(
        ["unshare", "-Urnm", "sh", path], capture_output=True, text=True, check=True
    )
    left = [line for line in done.stdout.splitlines() if line.startswith("/run/story/")]
    assert "/run/story/kept/1" in left
