"""The scripts of a recorder: what stands in a plugin's place, and what that runs."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pprint import pformat
from typing import Any

from cnisdk.node.errors import NodeError
from cnisdk.recorder.flight import MARKER

# What the kernel reads of a first line, its end not included (BINPRM_BUF_SIZE), before and since
# Linux 5.1.  Unlike in a shell, all behind the interpreter is one argument.
_FIRST_MAX = (127, 255)
_WIDER = (5, 1)

# What is in a plugin's place.  The kernel has the first line executed, with the path that was
# called behind it, and nobody reads the rest: between the call and the moment in which an
# interpreter opens a script, another file may have come to be there.  The rest is for the
# interpreter of a plugin that is a script itself, called just before the recorder came: for a
# shell, and for Python.
_PLACE = """\
#!{python} {code}
{marker}{name}
'''exec' {quoted} "$@"
' '''
import posix, sys
posix.execv({run!r}, sys.argv)
"""

_CODE = "-ISBcimport sys;sys.path[:0]=[{store}];import main"

_MAIN = """\
import sys

SETTINGS = {settings}

sys.argv = sys.argv[1:]
try:
    from flight import main
    from log import Log
except Exception:  # half of it is gone: the plugin all the same
    import posix

    posix.execv(SETTINGS["run"] + "/" + SETTINGS["name"], sys.argv)
del sys.path[0]
main(SETTINGS, Log)
"""


def place(path: str, store: str, run: str) -> bytes:
    """Return what goes to ``path``, where ``store`` has the recorder and ``run`` is the plugin."""
    # Nothing of a virtual environment is needed, and it may go.
    python = str(getattr(sys, "_base_executable", "") or sys.executable)
    text = _PLACE.format(
        python=python,
        code=code(store),
        marker=MARKER.decode(),
        name=os.path.basename(path),
        quoted=shlex.quote(run),
        run=run,
    )
    first = text.partition("\n")[0]
    most = _FIRST_MAX[_kernel() >= _WIDER]
    if len(os.fsencode(first)) > most or " " in python or "\n" in path:
        raise NodeError(
            f"the kernel does not execute a script that begins with {first}",
            f"it takes {most} bytes: the paths of the plugin and of Python have to be shorter",
        )
    return os.fsencode(text)


def code(store: str) -> str:
    """Return what Python is started with in a plugin's place."""
    return _CODE.format(store=ascii(store))


def main(settings: Mapping[str, Any]) -> bytes:
    """Return what `code` imports."""
    return _MAIN.format(settings=pformat(dict(settings), sort_dicts=False)).encode()


def _kernel() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
