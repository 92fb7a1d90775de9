"""The plugins of the checkout have the shape of the template, and neither drifts away."""

import ast
import difflib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import blocks_of
from tests.template import shape
from tests.template.shape import CHECKOUT, PLUGINS, Plugin, declared, files


@pytest.fixture(params=PLUGINS, ids=lambda plugin: plugin.name)
def plugin(request: pytest.FixtureRequest) -> Plugin:
    given: Plugin = request.param
    return given


@pytest.fixture
def made(plugin: Plugin, tmp_path: Path) -> Path:
    """Return what the template makes of the plugin's name."""
    return shape.rendered(plugin, tmp_path)


def test_no_file_of_the_template_is_missing(plugin: Plugin, made: Path) -> None:
    assert files(made) - files(plugin.directory) == plugin.instead
    assert shape.besides(plugin, made) == set()


def test_files_are_those_of_the_template(plugin: Plugin, made: Path) -> None:
    wanted = shape.equal(plugin, made)

    assert {"Makefile", "Dockerfile", "kubernetes/daemonset.yaml"} < wanted.keys()
    differences = (
        difference(
            path, text, ours.read_text() if (ours := plugin.directory / path).exists() else ""
        )
        for path, text in wanted.items()
    )
    assert "".join(differences) == "", "`python -m tests.template.shape` writes them anew"


def difference(path: str, theirs: str, ours: str) -> str:
    before, after = (text.splitlines(keepends=True) for text in (theirs, ours))
    return "".join(difflib.unified_diff(before, after, f"template/{path}", path))


def test_its_declaration_differs_in_what_the_checkout_has_for_all(
    plugin: Plugin, made: Path
) -> None:
    theirs, ours = declared(made), declared(plugin.directory)
    (entry,) = theirs["project"]["entry-points"]["cnisdk.plugins"].items()
    tools = theirs["tool"]
    theirs["project"]["license"] = "Apache-2.0"
    theirs["project"]["optional-dependencies"]["dev"].remove(f"cni-{plugin.name}")
    del tools["pytest"]
    tools["ruff"] = {"extend": f"{CHECKOUT}/pyproject.toml"}
    tools["mypy"] |= {"mypy_path": CHECKOUT, "explicit_package_bases": True}

    assert ours == theirs
    assert entry == (plugin.name, f"{plugin.package}:{class_of(plugin)}")
    assert {"pytest", "ruff"} <= declared(plugin.directory / CHECKOUT)["tool"].keys()


def class_of(plugin: Plugin) -> str:
    return plugin.name.title().replace("-", "")


def test_its_network_is_that_of_the_template(plugin: Plugin, made: Path) -> None:
    """But that a bridge is a gateway, and hides addresses, only where it is told to."""
    theirs, ours = (network(directory, plugin) for directory in (made, plugin.directory))
    if plugin.name == "bridge":
        theirs["plugins"][0] |= {"isDefaultGateway": True, "ipMasq": True}

    assert ours == theirs


def network(directory: Path, plugin: Plugin) -> Any:
    return json.loads((directory / f"10-{plugin.name}.conflist").read_bytes())


def test_its_tests_are_given_what_those_of_the_template_are(plugin: Plugin, made: Path) -> None:
    path = "tests/conftest.py"
    theirs = definitions(shape.wanted(plugin, path, (made / path).read_text()))
    ours = definitions((plugin.directory / path).read_text())

    assert {"built", "conflist", "subject", "PROJECT", "NAME"} == theirs.keys()
    assert {name: ours.get(name) for name in theirs} == theirs


def definitions(source: str) -> dict[str, str]:
    """Return functions and variables by name, however they are laid out."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ast.unparse(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = ast.unparse(node)
    return found


def test_its_readme_has_every_heading_and_command_of_the_template(
    plugin: Plugin, made: Path
) -> None:
    theirs, ours = (headings(directory) for directory in (made, plugin.directory))
    assert [heading for heading in ours if heading in theirs] == theirs

    commands, known = (consoles(directory) for directory in (made, plugin.directory))
    assert commands
    assert [command for command in commands if command not in known] == []


def headings(directory: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", (directory / "README.md").read_text(), flags=re.M | re.S)
    return re.findall(r"^#+ .*$", text, re.MULTILINE)


def consoles(directory: Path) -> list[str]:
    found = (block for block in blocks_of(directory / "README.md") if block.language == "console")
    return [
        command.text.partition("  #")[0].strip() for block in found for command in block.commands()
    ]


def test_its_package_exports_the_class_and_says_that_it_is_typed(plugin: Plugin) -> None:
    package = plugin.directory / plugin.package

    exported = definitions((package / "__init__.py").read_text())["__all__"]
    assert class_of(plugin) in ast.literal_eval(exported.removeprefix("__all__ = "))
    assert (package / "py.typed").read_bytes() == b""


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("Makefile", "--unpack-dir /run", "--unpack-dir /tmp"),
        ("kubernetes/daemonset.yaml", "drop: [ALL]", "drop: []"),
        (".github/workflows/ci.yml", "make demo", "make"),
        ("tests/test_conformance.py", "3)", "1)"),
    ],
)
def test_a_file_that_drifts_is_found(
    path: str, old: str, new: str, plugin: Plugin, made: Path
) -> None:
    drifted = made / path
    drifted.write_text(drifted.read_text().replace(old, new))

    wanted = shape.equal(plugin, made)[path]

    assert difference(path, wanted, (plugin.directory / path).read_text())
