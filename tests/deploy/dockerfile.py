"""A Dockerfile, read as far as ours go."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

KNOWN = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "CMD", "ENTRYPOINT"}


class Instruction(NamedTuple):
    """One instruction, without its continuation marks."""

    word: str
    text: str

    @property
    def options(self) -> dict[str, str]:
        """What begins with two hyphens, before anything else."""
        found = re.match(r"(?:--[a-z]+=\S+\s+)*", self.text)
        assert found
        pairs = [word[2:].partition("=") for word in found.group().split()]
        return {name: value for name, _, value in pairs}

    @property
    def rest(self) -> str:
        return re.sub(r"^(?:--[a-z]+=\S+\s+)*", "", self.text)


class Stage(NamedTuple):
    name: str
    base: str
    instructions: list[Instruction]


def read(path: Path) -> list[Stage]:
    """Return the stages; fails on what it does not know."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        assert word in KNOWN, line
        if word == "ARG" and not stages:
            name, _, value = rest.partition("=")
            arguments[f"${{{name}}}"] = value
        elif word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name, arguments.get(base, base), []))
        else:
            stages[-1].instructions.append(Instruction(word, rest.strip()))
    return stages


def copied(instruction: Instruction) -> tuple[list[str], str]:
    """Return the sources and the target of a COPY."""
    *sources, target = shlex.split(instruction.rest)
    return sources, target


def only_fetches(instruction: Instruction) -> bool:
    """Say whether a RUN asks a package index, and does nothing besides."""
    return instruction.rest.startswith("apt-get update")
