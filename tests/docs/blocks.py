"""The fenced blocks of the documents, and what the comments before a block say about it.

A block is run, read or compared with a file, as its language and the comments right before it say:

- ``<!-- not run: REASON -->``: it is only looked at.  With ``not run: `COMMAND`: REASON`` that is
  so for its commands that begin like this one.
- ``<!-- fails: `COMMAND` -->``: a command that begins like this one has to fail.
- ``<!-- first: COMMAND -->``: what a reader has done by now, and the page does not show.
- ``<!-- file: PATH -->``: the block is written to this file.
- ``<!-- in: PATH -->``: the block is a part of this file.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

from tests.house.tree import ROOT, files

DOCUMENTS = sorted(path for path in files("*.md") if "cookiecutter" not in path.parts)

_COMMENT = re.compile(r"<!--\s*(not run|fails|first|file|in):\s*(.*?)\s*-->", re.DOTALL)
_OF_COMMAND = re.compile(r"`([^`]+)`(?::\s*(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command of a ``console`` block, and the output that is shown below it."""

    line: int
    text: str
    shown: str


@dataclass
class Block:
    """A fenced block."""

    document: Path
    line: int
    language: str
    text: str
    reason: str = ""
    """Why it is not run; empty if it is."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why commands that begin with a key are not run."""
    fails: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    file: str = ""
    part_of: str = ""

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    def note(self, kind: str, text: str) -> None:
        """Take what a comment before the block says."""
        command = _OF_COMMAND.fullmatch(text)
        if kind == "first":
            self.first.append(text)
        elif kind == "file":
            self.file = text
        elif kind == "in":
            self.part_of = text
        elif kind == "fails" and command:
            self.fails.append(command[1])
        elif kind == "not run" and command and command[2]:
            self.reasons[command[1]] = command[2]
        else:
            self.reason = text

    def commands(self) -> list[Command]:
        """Return the commands of a ``console`` block; lines after ``> `` go on with one."""
        found: list[tuple[int, list[str], list[str]]] = []
        for number, line in enumerate(self.text.splitlines(), self.line + 1):
            if line.startswith(("$ ", "# ")):
                found.append((number, [line[2:]], []))
            elif not found:
                raise ValueError(f"{self}: output before any command")
            elif line.startswith("> ") and not found[-1][2]:
                found[-1][1].append(line[2:])
            elif found[-1][1][-1].endswith("\\") and not found[-1][2]:
                found[-1][1].append(line)
            else:
                found[-1][2].append(line)
        return [Command(n, "\n".join(text), "\n".join(shown)) for n, text, shown in found]

    def reason_of(self, command: Command) -> str:
        """Return why ``command`` is not run, ``""`` if it is."""
        return self.reason or next(
            (why for start, why in self.reasons.items() if command.text.startswith(start)), ""
        )


def blocks_of(document: Path) -> list[Block]:
    """Return the code blocks of a document, indented ones too: these have no language."""
    found: list[Block] = []
    comments: list[tuple[str, str]] = []
    for token in MarkdownIt().parse(document.read_text()):
        if token.type == "html_block":
            comments += _COMMENT.findall(token.content)
            continue
        if token.type in ("fence", "code_block"):
            line = (token.map or [0])[0] + 1
            block = Block(document, line, token.info.strip(), token.content)
            for kind, text in comments:
                block.note(kind, " ".join(text.split()) if kind != "first" else text)
            found.append(block)
        comments = []
    return found


def matches(shown: str, seen: str) -> bool:
    """Say whether output is as shown: ``...`` stands for anything, how many blanks is no matter."""
    pattern = re.escape(_plain(shown))
    pattern = re.sub(r"(^|\\\n)\\\.\\\.\\\.(\\\n|$)", _lines, pattern)
    pattern = re.sub(r"\\ \\\.\\\.\\\.(?=\\[ \n]|$)", "(?: .*)?", pattern)
    pattern = pattern.replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, _plain(seen), re.DOTALL) is not None


def _lines(match: re.Match[str]) -> str:
    """Return the pattern of a line ``...``: any lines, or none."""
    if match[1] and match[2]:
        return r"\n(?:.*\n)?"
    return r"(?:.*\n)?" if match[2] else r"(?:\n.*)?" if match[1] else ".*"


def _plain(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def write(document: str, file: str) -> None:
    """Write the block that a document shows as ``file``."""
    (block,) = [block for block in blocks_of(ROOT / document) if block.file == file]
    Path(file).write_text(block.text)


if __name__ == "__main__":
    write(*sys.argv[1:])
