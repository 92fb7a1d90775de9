"""What was public stays public; docs/stability.md is the promise."""

import importlib
import inspect

import cnisdk
from tests.house.tree import ROOT

RECORD = ROOT / "tests" / "house" / "public.txt"

MODULES = [
    "cnisdk",
    "cnisdk.cancel",
    "cnisdk.ipam",
    "cnisdk.names",
    "cnisdk.runtime",
    "cnisdk.versions",
    *(
        f"cnisdk.net.{path.stem}"
        for path in sorted(ROOT.glob("cnisdk/net/*.py"))
        if not path.stem.startswith("_")
    ),
]


def public() -> set[str]:
    """Return every public name, with the names of a function's parameters and a class's members."""
    found: set[str] = set()
    for name in MODULES:
        module = importlib.import_module(name)
        for attribute in getattr(module, "__all__", None) or vars(module):
            value = getattr(module, attribute)
            if not attribute.startswith("_") and _is_own(name, value):
                found |= _described(f"{name}.{attribute}", value)
    return found


def _is_own(module: str, value: object) -> bool:
    """Say whether a name is a module's own, or exported by it, and not just imported there."""
    home = getattr(value, "__module__", module)
    return module in ("cnisdk", "cnisdk.runtime") or (
        home == module and not inspect.ismodule(value)
    )


def _described(name: str, value: object) -> set[str]:
    if inspect.isclass(value):
        found = {name, *(f"{name}.{field}" for field in getattr(value, "__wire__", ()))}
        for base in value.__mro__:
            if base.__module__.partition(".")[0] == "cnisdk":
                for member, one in vars(base).items():
                    if not member.startswith("_"):
                        found |= _described(f"{name}.{member}", getattr(one, "__func__", one))
        return found
    if inspect.isfunction(value):
        parameters = set(inspect.signature(value).parameters)
        return {name, *(f"{name}({one})" for one in parameters - {"self", "cls"})}
    return {name}


def test_what_was_public_is_still_there() -> None:
    """Deprecate it first."""
    recorded = set(RECORD.read_text().split("\n")) - {""}

    assert sorted(recorded - public()) == []


def test_what_authors_import_is_recorded() -> None:
    """Made by ``python -m tests.house.test_stability``."""
    recorded = set(RECORD.read_text().split("\n"))

    assert [name for name in cnisdk.__all__ if f"cnisdk.{name}" not in recorded] == []


if __name__ == "__main__":
    RECORD.write_text("".join(f"{line}\n" for line in sorted(public())))
