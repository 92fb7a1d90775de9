"""``cnisdk replay``: run a recorded call again, out of harm's way."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnisdk.cli.options import json_option
from cnisdk.cli.subject import enter
from cnisdk.recorder.wrapping import CALLS
from cnisdk.types import _json

if TYPE_CHECKING:
    from cnisdk.recorder.call import Call
    from cnisdk.recorder.replay import Outcome, Replay


class _Refusal(click.ClickException):
    """Nothing was compared."""

    exit_code = 2


@click.command()
@click.argument("call")
@click.option(
    "--calls", "directory", metavar="DIR", default=CALLS, show_default=True, help="Where calls are."
)
@click.option(
    "--cni-path",
    metavar="DIRS",
    default="",
    help="Directories of plugins.  [default: the recorded CNI_PATH]",
)
@click.option("--alone", is_flag=True, help="Without the calls that its attachment had before.")
@click.option("--trace", metavar="FILE", help="Write its system calls to FILE, with strace.")
@json_option
def replay(
    call: str, directory: str, cni_path: str, trace: str | None, *, alone: bool, as_json: bool
) -> None:
    """Run a recorded CALL again on a private host, and say whether its outcome is the same.

    CALL is a number of `cnisdk calls`, or a file.  The calls that its attachment had before go
    first: for DEL the ADD, for a plugin of a chain those in front of it.  Nothing of this machine
    is changed.  Exit status 0 if the outcome is the same, 1 if not, 2 if it cannot be run.
    """
    wanted, before = _calls(call, directory, alone=alone)
    prefix = _strace(trace) if trace else ()
    enter("A replay")
    from cnisdk.recorder.replay import NotReplayableError, replay as run

    state = Path(tempfile.mkdtemp(prefix="replay-", dir="/run"))
    try:
        done = run(wanted, before, state=state, cni_path=cni_path, prefix=prefix)
    except (NotReplayableError, OSError) as err:
        raise _refusal(str(err)) from err
    finally:
        shutil.rmtree(state, ignore_errors=True)
    if as_json:
        click.echo(_json.dumps(_object(done), indent=2))
    else:
        click.echo(_text(done))
    if not done.outcome.same:
        raise click.exceptions.Exit(1)


def _calls(name: str, directory: str, *, alone: bool) -> "tuple[Call, list[Call]]":
    """Read the calls, while they can be seen: a private host has none."""
    from cnisdk.recorder.call import UnreadableError, calls, find
    from cnisdk.recorder.chain import history

    try:
        call = find(name, directory)
        is_file = call.id != name or not name.removeprefix("v").isdigit()
        before = [] if alone or is_file else history(call, calls(directory))
    except UnreadableError as err:
        raise _refusal(str(err)) from err
    except OSError as err:
        raise _refusal(f"{err.filename}: {err.strerror}") from err
    return call, before


def _strace(path: str) -> Sequence[str]:
    program = shutil.which("strace")
    if program is None:
        raise _refusal("--trace needs the program strace")
    return (program, "-f", "-y", "-s", "512", "-o", path)


def _refusal(text: str) -> _Refusal:
    from cnisdk.recorder.page import plain

    return _Refusal(plain(text))


def _text(done: "Replay") -> str:
    from cnisdk.recorder.page import plain, title

    lines = []
    for one in done.before:
        same = "as recorded" if one.same else "not as recorded"
        lines.append(f"before it: {title(one.call)}  (call {plain(one.call.id)}): {same}")
        lines += [f"  {plain(str(difference))}" for difference in one.differences]
    outcome = done.outcome
    lines.append(f"recorded: {title(outcome.call)}  (call {plain(outcome.call.id)})")
    lines.append(f"replayed: {plain(outcome.executable)}, exit status {outcome.status}")
    if outcome.stderr:
        lines += [f"  stderr: {plain(line)}" for line in outcome.stderr.splitlines()]
    if outcome.same:
        lines.append("the outcome is the same")
    else:
        lines.append("the outcome is different:")
        lines += [f"  {plain(str(difference))}" for difference in outcome.differences]
    return "\n".join(lines)


def _object(done: "Replay") -> dict[str, object]:
    return {**_outcome(done.outcome), "before": [_outcome(one) for one in done.before]}


def _outcome(one: "Outcome") -> dict[str, object]:
    return {
        "call": one.call.id,
        "plugin": one.call.plugin,
        "command": one.call.command,
        "executable": one.executable,
        "same": one.same,
        "exit_status": one.status,
        "stdout": one.stdout,
        "stderr": one.stderr,
        "differences": [difference._asdict() for difference in one.differences],
    }
