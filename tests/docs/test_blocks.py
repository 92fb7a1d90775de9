"""Every block of code in README and docs does what its page says."""

import ast
import json
import re
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from cnisdk.cli.group import COMMANDS
from cnisdk.types.schema import closed, conflist_schema, plugin_schema
from docs import pages
from tests.docs.blocks import DOCUMENTS, Block, blocks_of, matches
from tests.docs.session import Session
from tests.house.tree import ROOT

BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
RUN = [d for d in DOCUMENTS if any(b.language in ("console", "python") for b in blocks_of(d))]
DATA: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: [*yaml.safe_load_all(text)],
}
LANGUAGES = {"console", "python", "text", "sh", *DATA}

NOT_RUN = 30
"""How many blocks or commands may be shown without being run."""


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", RUN, ids=name_of)
def test_what_a_page_shows_is_what_happens(document: Path, tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for block in blocks_of(document):
            for command in block.first:
                done = session.run(command)
                assert done.status == 0, f"{block}: {command}\n{done.output}"
            if not block.reason:
                play(session, block)


def play(session: Session, block: Block) -> None:
    if block.file:
        path = Path(session.run("pwd").output.strip(), block.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    if block.part_of:
        text = session.run(f"cat {block.part_of}").output
        assert block.text in text, f"{block}: this is not in {block.part_of}:\n{text}"
    elif block.language == "console":
        type_in(session, block)
    elif block.language == "python":
        execute(session, block)


def type_in(session: Session, block: Block) -> None:
    for command in block.commands():
        if block.reason_of(command):
            continue
        done = session.run(command.text)
        where = f"{block.document.relative_to(ROOT)}:{command.line}: {command.text}\n{done.output}"
        fails = any(command.text.startswith(start) for start in block.fails)
        assert (done.status != 0) == fails, f"{where}exit status {done.status}"
        if command.shown:
            assert matches(command.shown, done.output), f"{where}\nshown:\n{command.shown}"


def execute(session: Session, block: Block) -> None:
    """Execute Python; tests that are a file are left to the command that the page shows."""
    if "def test_" in block.text and block.file:
        return
    path = Path(session.run("pwd").output.strip(), block.file or "test_example.py")
    path.write_text(block.text)
    if "def test_" in block.text:
        done = session.run(f"python3 -m pytest -q {path}")
    else:
        code = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='example')"
        done = session.run(f'python3 -c "{code}" {path}')
    assert done.status == 0, f"{block}:\n{done.output}"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_of_a_language_that_is_looked_at(block: Block) -> None:
    assert block.language in LANGUAGES
    if block.language == "python" and not block.part_of:
        ast.parse(block.text)
    if block.language in DATA:
        DATA[block.language](block.text)
    if block.language == "sh":
        assert block.reason, "sh is not run: use console"
    if block.language == "console":
        assert block.commands()


@cache
def schemas() -> dict[str, dict[str, Any]]:
    return {name: plugin_schema(p.config_type, name=name) for name, p in pages.plugins().items()}


def configurations() -> list[Block]:
    return [
        block
        for block in BLOCKS
        if block.language == "json" and re.search(r'"(type|plugins)"\s*:', block.text)
    ]


@pytest.mark.parametrize("block", configurations(), ids=str)
def test_a_configuration_is_one_that_validates(block: Block) -> None:
    shown = json.loads(block.text)
    if "plugins" in shown:
        jsonschema.validate(shown, conflist_schema(schemas(), strict=True))
    elif shown["type"] in schemas():
        jsonschema.validate(shown, closed(schemas()[shown["type"]]))


def test_a_configuration_with_a_key_that_there_is_not_would_be_found() -> None:
    shown = {"name": "n", "plugins": [{"type": "bridge", "isGatway": True}]}

    with pytest.raises(jsonschema.ValidationError, match="isGatway"):
        jsonschema.validate(shown, conflist_schema(schemas(), strict=True))


def test_few_commands_are_not_run_and_each_says_why() -> None:
    unrun = {
        f"{block}: {what.splitlines()[0]}": why
        for block in BLOCKS
        for what, why in [
            *([(block.text, block.reason)] if block.reason else []),
            *block.reasons.items(),
        ]
    }

    for what, why in unrun.items():
        print(f"not run: {what}\n         {why}")  # noqa: T201 - shown by pytest -s, or on failure
    assert [what for what, why in unrun.items() if len(why.split()) < 3] == []
    assert len(unrun) <= NOT_RUN


def test_commands_that_are_not_run_exist_nevertheless() -> None:
    unknown = []
    for block in BLOCKS:
        directories = (path for path in block.document.parents if (path / "Makefile").exists())
        targets = re.findall(
            r"^([a-z]+):", (next(directories) / "Makefile").read_text(), re.MULTILINE
        )
        for command in block.commands() if block.language == "console" else ():
            words = command.text.split()
            if words[0] == "make" and len(words) > 1 and words[1] not in (*targets, "#"):
                unknown.append(f"{block}: {command.text}")
            if words[0] == "cnisdk" and words[1] not in COMMANDS and words[1] != "--help":
                unknown.append(f"{block}: {command.text}")

    assert unknown == []


def test_every_comment_on_a_block_is_used() -> None:
    unused = [
        f"{block}: {start}"
        for block in BLOCKS
        for start in [*block.reasons, *block.fails]
        if not any(command.text.startswith(start) for command in block.commands())
    ]

    assert unused == []


@pytest.mark.parametrize(
    ("shown", "seen", "same"),
    [
        ("a b", "a   b\n", True),
        ("a b", "a c", False),
        ("a ... c", "a b c", True),
        ("a ... c", "a c", True),
        ("a ... c", "ac", False),
        ("a ...", "a", True),
        ("a ...\nd", "a\nd", True),
        ("a\n...\nd", "a\nd", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nb\nc\ne", False),
        ("...", "", True),
        ("...\nb", "a\nb", True),
        ("a\n...", "a", True),
        ("a", "a\nb", False),
        ("a...", "a\nb", True),
        ("", "a", False),
    ],
)
def test_output_is_compared(shown: str, seen: str, *, same: bool) -> None:
    assert matches(shown, seen) == same
