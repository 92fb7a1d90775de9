"""What the docstrings below the fields of a class say; for schemas, on no call's path.

Python forgets them as it compiles, so they are read from the source.  `cnisdk.build` keeps them in
a file for an executable, which has no sources.
"""

import ast
import inspect
import json
import os
import sys
from collections.abc import Mapping
from functools import cache

Written = dict[str, dict[str, str]]
"""Qualified name of a class: its fields' docstrings."""

KEPT = "descriptions.json"
"""A file beside this one, in executables only."""


@cache
def descriptions(cls: type) -> Mapping[str, str]:
    """Return the docstrings below the fields of ``cls`` and of its bases, as far as known."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _of_module(base.__module__).get(base.__qualname__, {})
    return found


@cache
def _of_module(name: str) -> Written:
    if name == "builtins" or name not in sys.modules:
        return {}
    try:
        return written_in(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError, SyntaxError, ValueError):
        return _kept().get(name, {})


@cache
def _kept() -> Mapping[str, Written]:
    """Return what `cnisdk.build` kept in an executable, which has no sources, by module."""
    try:
        with open(os.path.join(os.path.dirname(__file__), KEPT), encoding="utf-8") as file:
            kept: dict[str, Written] = json.load(file)
    except FileNotFoundError:
        return {}
    return kept


def written_in(source: str | bytes) -> Written:
    """Return the docstrings below the fields of all classes in a module, by qualified name.

    Raises SyntaxError or ValueError for what is no Python.
    """
    found: Written = {}

    def look(body: list[ast.stmt], prefix: str) -> None:
        for part in body:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                look(part.body, f"{prefix}{part.name}.<locals>.")
            elif isinstance(part, ast.ClassDef):
                name = f"{prefix}{part.name}"
                if fields := _fields(part):
                    found[name] = fields
                look(part.body, f"{name}.")

    look(ast.parse(source).body, "")
    return found


def _fields(cls: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    field = ""
    for part in cls.body:
        said = part.value if isinstance(part, ast.Expr) else None
        if field and isinstance(said, ast.Constant) and isinstance(said.value, str):
            found[field] = plain(said.value)
        target = part.target if isinstance(part, ast.AnnAssign) else None
        field = target.id if isinstance(target, ast.Name) else ""
    return found


def plain(docstring: str) -> str:
    """Return a docstring as text for people, whose markup is at most Markdown's."""
    return inspect.cleandoc(docstring).replace("``", "`")
