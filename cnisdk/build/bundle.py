r"""Compile modules into one file; executed by the interpreter that will run them.

    python -I -S -X no_debug_ranges bundle.py < work.json

One file for all modules spares each import the search for its own, and a node the writing of
.pyc::

    cnisdk-modules\n
    <length of the index, 8 hexadecimal digits>\n
    marshal(index)
    marshal(code) ...

The index has for each module ``(offset, size, is a package)``, ``(0, 0, True)`` for a package
without code, or for an extension module the path of its file below ``site``.  The same sources
give the same bytes: nothing of time, place or order of hashes is in them.

stdin has a `Work` as JSON.  A line for each module goes to stdout, as progress.
"""

import importlib.util
import json
import marshal
import sys
from types import CodeType
from typing import TypedDict

MAGIC = b"cnisdk-modules\n"


class Work(TypedDict):
    """What there is to compile, and where to."""

    output: str
    modules: list[tuple[str, bool, str, str]]
    """Name, is it a package, what tracebacks call its file, source."""
    others: dict[str, str | tuple[int, int, bool]]
    """Entries of the index that have no code."""
    files: list[tuple[str, str, str]]
    """.pyc files of their own: what tracebacks call it, source, output."""


def bundle(work: Work) -> bytes:
    """Return the file for the modules of ``work``; SyntaxError if one cannot be compiled."""
    index: dict[str, str | tuple[int, int, bool]] = {}
    codes = bytearray()
    for name, is_package, shown, source in work["modules"]:
        code = marshal.dumps(compiled(shown, source))
        index[name] = (len(codes), len(code), is_package)
        codes += code
        sys.stdout.write(f"{name}\n")
    for name, other in work["others"].items():
        index[name] = other if isinstance(other, str) else (0, 0, True)
    head = marshal.dumps(index)
    return b"".join((MAGIC, f"{len(head):08x}\n".encode(), head, codes))


def pyc(shown: str, source: str) -> bytes:
    """Return a .pyc file that is not checked against any source (PEP 552)."""
    with open(source, "rb") as file:
        digest = importlib.util.source_hash(file.read())
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + digest
    return head + marshal.dumps(compiled(shown, source))


def compiled(shown: str, source: str) -> CodeType:
    """Return the code of a file that tracebacks call ``shown``."""
    with open(source, "rb") as file:
        return compile(file.read(), shown, "exec", dont_inherit=True)


def main() -> None:
    """Do the work that stdin has."""
    work: Work = json.load(sys.stdin)
    with open(work["output"], "wb") as output:
        output.write(bundle(work))
    for shown, source, path in work["files"]:
        with open(path, "wb") as output:
            output.write(pyc(shown, source))


if __name__ == "__main__":
    main()
