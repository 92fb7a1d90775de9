"""What the picture shows of networks that do not fit their containers, for the doctor.

Calls go on while it looks: half-way through an ADD there is a link that nobody remembers yet,
half-way through a DEL an attachment without one.  So what is wrong at first sight is looked at once
more, and told if it is still the same.
"""

import sys
import time
from collections.abc import Callable

from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node
from cnisdk.picture.model import Wrong
from cnisdk.picture.survey import networks

_PAUSE = 1.0  # seconds, longer than most calls


def _pause() -> None:
    time.sleep(_PAUSE)


def check(node: Node, report: Report, pause: Callable[[], object] = _pause) -> None:
    """Look for what containers have left in the kernel, and for what they have lost."""
    if not node.root.is_ours or sys.platform != "linux":
        report.not_seen(
            "links and rules of containers",
            "their namespaces are not in reach from here; run it on the node itself",
        )
        return
    # What was remembered when other checks looked may be seconds old.
    picture = networks(node.anew())
    if picture.wrong:
        pause()
        before = set(map(_said, picture.wrong))
        picture = networks(node.anew())
        picture.wrong = [wrong for wrong in picture.wrong if _said(wrong) in before]
    for wrong in picture.wrong:
        lost = wrong.kind in (Check.LOST_INTERFACE, Check.LOST_ADDRESS)
        note = report.problem if lost else report.warning
        note(wrong.kind, wrong.subject, wrong.text, wrong.mend)
    for unseen in picture.unseen:
        report.not_seen(unseen.what, unseen.why)


def _said(wrong: Wrong) -> tuple[Check, str, str]:
    return wrong.kind, wrong.subject, wrong.text
