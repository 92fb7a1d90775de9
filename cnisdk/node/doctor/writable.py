"""Directories and files that others can write to: what is in them is executed as root."""

from cnisdk.node.doctor.finding import Check, Report
from cnisdk.node.doctor.node import Node


def check(node: Node, report: Report) -> None:
    """Look at everything that decides what a runtime executes, and at what plugins believe."""
    for path in (*node.files(), node.cache_dir):
        if found := node.distrust(path):
            subject, who = found
            report.problem(
                Check.WRITABLE,
                subject,
                f"can be written to by {who}, who so decides what root does here",
                f"chown root:root {subject} && chmod go-w {subject}, "
                "once you have looked at what is in it",
            )
