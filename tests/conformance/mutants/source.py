"""A tiny plugin as one text: to change, and to write as an executable."""

import re
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_SHARED = re.compile(r"^from tests\.conformance.*?(?:\n\)|import [^(\n]+)\n", re.M | re.S)


def source(kind: str) -> str:
    """Return the text of the tiny plugin of a kind, which needs nothing else."""
    own = _SHARED.sub("", (_HERE / f"{kind}.py").read_text())
    return (_HERE / "protocol.py").read_text() + own


def write(kind: str, path: Path) -> Path:
    """Write it as an executable."""
    path.write_text(f"#!{sys.executable} -IS\n{source(kind)}")
    path.chmod(0o755)
    return path
