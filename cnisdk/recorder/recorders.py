"""Recorders that stand in plugins' places, for the doctor: somebody may have forgotten one."""

import os

from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node
from cnisdk.recorder.wrapping import State, recorded

_LEFT = "is not recorded any more, and what recording it needed is still there"
_TEXT = {
    State.RECORDED: "its calls are recorded, with what is secret in their configurations",
    State.REPLACED: _LEFT,
    State.REMOVED: _LEFT,
    State.UNTOUCHED: "was about to be recorded, and what that needs is still there",
}


def check(node: Node, report: Report) -> None:
    """Look for recorders wherever plugins are."""
    for directory in node.places.bin_dirs:
        for path, state in recorded(directory, node.root):
            plugin = f"{directory}/{os.path.basename(path)}"
            if state is State.LOST:
                report.problem(
                    Check.RECORDER_LOST,
                    plugin,
                    "is a recorder whose plugin is gone: every call fails",
                    "install the plugin again",
                )
            else:
                report.warning(
                    Check.RECORDED,
                    plugin,
                    _TEXT[state],
                    f"cnisdk record --stop {plugin}, unless it is meant",
                )
