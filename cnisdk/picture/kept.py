"""What the doctor finds in what is kept for containers, put into the picture."""

from typing import TYPE_CHECKING

from cnisdk.node.doctor import state
from cnisdk.node.doctor.finding import Check, Report
from cnisdk.picture.model import End, Picture, Unseen

if TYPE_CHECKING:
    from cnisdk.node.doctor.node import Node


def findings(node: "Node", picture: Picture) -> None:
    """Note what is stale or broken, each with the end that it is about."""
    report = Report()
    state.check(node, report)
    for finding in report.findings:
        end = _end(node, picture, finding.subject) if _is_attachment(finding.check) else None
        picture.blame(end, finding.check, finding.subject, finding.text, finding.mend)
    for unseen in report.unseen:
        if all(one.what != unseen.what for one in picture.unseen):
            picture.unseen.append(Unseen(what=unseen.what, why=unseen.why))


def _is_attachment(check: Check) -> bool:
    return check is Check.ATTACHMENT_STALE


def _end(node: "Node", picture: Picture, path: str) -> End | None:
    attachment = next((one for one in node.attachments if one.path == path), None)
    if attachment is None:
        return None
    key = (attachment.network, *attachment.key)
    return next(
        (end for end in picture.ends if (end.network, end.container, end.ifname) == key), None
    )
