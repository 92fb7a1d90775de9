"""What the picture shows of networks that do not fit their containers, for the doctor."""

import sys

from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node
from cnisdk.picture.survey import networks


def check(node: Node, report: Report) -> None:
    """Look for what containers have left in the kernel, and for what they have lost."""
    if not node.root.is_ours or sys.platform != "linux":
        report.not_seen(
            "links and rules of containers",
            "their namespaces are not in reach from here; run it on the node itself",
        )
        return
    picture = networks(node)
    for wrong in picture.wrong:
        lost = wrong.kind in (Check.LOST_INTERFACE, Check.LOST_ADDRESS)
        note = report.problem if lost else report.warning
        note(wrong.kind, wrong.subject, wrong.text, wrong.mend)
    for unseen in picture.unseen:
        report.not_seen(unseen.what, unseen.why)
