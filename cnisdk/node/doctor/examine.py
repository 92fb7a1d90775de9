"""All checks, one after the other; what one of them cannot look at keeps no other from looking."""

from collections.abc import Callable, Mapping

from cnisdk.errors import CNIError
from cnisdk.node.doctor import agent, configs, kernel, plugins, state, writable
from cnisdk.node.doctor.finding import Report
from cnisdk.node.doctor.node import Node

Examination = Callable[[Node, Report], object]

CHECKS: Mapping[str, Examination] = {
    "configurations": configs.check,
    "plugins": plugins.check,
    "who can write what": writable.check,
    "the kernel": kernel.check,
    "what is kept for containers": state.check,
    "the agent": agent.check,
}


def examine(node: Node, more: Mapping[str, Examination]) -> Report:
    """Return all that is wrong with a node, and what could not be looked at.

    ``more`` are the checks of who knows more than what a node's files are, by what they look at.
    """
    report = Report()
    for what, check in {**CHECKS, **more}.items():
        try:
            check(node, report)
        except CNIError as err:
            report.not_seen(what, str(err))
        except OSError as err:
            where = f"{what}: {err.filename}" if err.filename else what
            report.not_seen(where, err.strerror or str(err))
    return report
