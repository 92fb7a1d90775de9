"""What must not be in the tree: traces of the machine or the registry that it was made with."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.tree import PROJECTS, ROOT, files

# Written so that this file does not match itself.
TRACES = re.compile(
    r"""
      /(?:work|root)/[\w.]              # somebody's checkout or home
    | \b(?:index|extra-index)-url\s*=   # a registry, in a configuration
    | \b(?:pypi\.[o]rg|python[h]osted\.org|npm[j]s\.org|proxy\.[g]olang\.org)\b
    """,
    re.VERBOSE,
)
LOCKS = ("*.lock", "*.lock.json", "package-lock.json", "pylock*.toml", "requirements*.txt")


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    found = {}
    for path in files():
        text = path.read_bytes().decode("utf-8", "replace")
        if match := TRACES.search(text):
            found[path.relative_to(ROOT).as_posix()] = match.group()
    assert found == {}


def test_no_lock_file_is_in_the_tree() -> None:
    """Lock files name registries; the stamps of the Makefile need none."""
    assert files(*LOCKS) == []


def test_every_plugin_is_a_complete_project() -> None:
    assert [path.name for path in PROJECTS] == ["bridge", "host_local"]
    for project in PROJECTS:
        assert (project / "README.md").is_file()
        assert list(project.glob("tests/test_*.py"))
        assert (project / f"cni_{project.name}" / "py.typed").is_file()


@pytest.mark.parametrize("project", [ROOT, *PROJECTS], ids=lambda project: project.name)
def test_plain_make_lists_every_target(project: Path) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    declared = re.search(r"^\.PHONY: (.*)$", (project / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None

    listed = subprocess.run(
        [make, "-C", project, "--no-print-directory"], capture_output=True, text=True, check=True
    )

    shown = [line.split()[1] for line in listed.stdout.splitlines()]
    assert shown == [target for target in declared.group(1).split() if target != "help"]
