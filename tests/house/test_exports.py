"""What a package exports on first use is what it tells type checkers."""

import ast
import importlib
import json

import pytest

from tests.house.tree import ROOT, python

LAZY = [
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in sorted(ROOT.glob("cnisdk/**/__init__.py"))
    if "_EXPORTS" in path.read_text()
]


def told_to_type_checkers(package: str) -> dict[str, str]:
    """Return each re-exported name and the module that it comes from."""
    source = ROOT.joinpath(*package.split("."), "__init__.py").read_text()
    told = {}
    for branch in ast.parse(source).body:
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING":
            for statement in branch.body:
                assert isinstance(statement, ast.ImportFrom), ast.unparse(statement)
                for alias in statement.names:
                    assert alias.asname == alias.name, f"not re-exported: {alias.name}"
                    told[alias.name] = str(statement.module)
    return told


def test_the_lazy_packages_are_found() -> None:
    assert {"cnisdk", "cnisdk.runtime"} <= set(LAZY)


@pytest.mark.parametrize("package", LAZY)
def test_every_exported_name_resolves_to_what_type_checkers_see(package: str) -> None:
    module = importlib.import_module(package)
    told = told_to_type_checkers(package)

    assert sorted(module.__all__) == sorted(told)
    for name, home in told.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)


def test_modules_are_there_without_importing_them() -> None:
    code = """
import cnisdk, sys
assert not [name for name in sys.modules if name.startswith("cnisdk.")]
assert cnisdk.ipam.configure and cnisdk.names.ifname_problem and cnisdk.versions.SUPPORTED
assert cnisdk.net and cnisdk.cancel.checkpoint
"""
    python(code)


@pytest.mark.parametrize("package", LAZY)
def test_nothing_else_is_public(package: str) -> None:
    code = f"""
import importlib, json
package = importlib.import_module({package!r})
for name in package.__all__:
    getattr(package, name)
print(json.dumps([
    name for name, value in vars(package).items()
    if not name.startswith("_")
    and (type(value).__name__ != "module" or name in package.__all__)
]))
"""
    public = set(json.loads(python(code))) - {"TYPE_CHECKING"}

    assert public == set(told_to_type_checkers(package))


@pytest.mark.parametrize("package", LAZY)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = importlib.import_module(package).nonsense
