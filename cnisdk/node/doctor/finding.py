"""What is found on a node, and what could not be looked at."""

from enum import StrEnum
from typing import NamedTuple


class Check(StrEnum):
    """What is looked for; docs/install.md has a line for each."""

    NO_NETWORK = "no-network"
    CONFIG_BROKEN = "config-broken"
    CONFIG_VERSION = "config-version"
    CONFIG_SHADOWED = "config-shadowed"
    CONFIG_UNUSED = "config-unused"
    PLUGIN_MISSING = "plugin-missing"
    PLUGIN_NOT_EXECUTABLE = "plugin-not-executable"
    PLUGIN_INTERPRETER = "plugin-interpreter"
    PLUGIN_PAYLOAD = "plugin-payload"
    PLUGIN_FAILS = "plugin-fails"
    PLUGIN_VERSION = "plugin-version"
    INSTALL_UNFINISHED = "install-unfinished"
    WRITABLE = "writable"
    FORWARDING = "forwarding"
    FORWARD_POLICY = "forward-policy"
    NO_FIREWALL = "no-firewall"
    CACHE_BROKEN = "cache-broken"
    ATTACHMENT_STALE = "attachment-stale"
    RESERVATION_STALE = "reservation-stale"
    QUEUE_WAITING = "queue-waiting"
    LEAKED_LINK = "leaked-link"
    LEAKED_RULE = "leaked-rule"
    LOST_INTERFACE = "lost-interface"
    LOST_ADDRESS = "lost-address"
    RECORDED = "recorded"
    RECORDER_LOST = "recorder-lost"
    AGENT_DEAD = "agent-dead"
    AGENT_SILENT = "agent-silent"
    AGENT_VERSION = "agent-version"


class Level(StrEnum):
    """How bad it is."""

    PROBLEM = "problem"
    """Containers are not attached or detached as they should be, or somebody else may interfere."""
    WARNING = "warning"
    """All works for now, perhaps not as it was meant."""


class Finding(NamedTuple):
    """One thing that is wrong."""

    check: Check
    level: Level
    subject: str
    """The file, network, container, link or rule that it is about."""
    text: str
    mend: str
    """What to do about it."""


class Unseen(NamedTuple):
    """What could not be looked at, and why."""

    what: str
    why: str


class Report:
    """Collects what the checks find, each thing once."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.unseen: list[Unseen] = []

    @property
    def has_problems(self) -> bool:
        """Whether anything is worse than a warning."""
        return any(finding.level is Level.PROBLEM for finding in self.findings)

    def problem(self, check: Check, subject: str, text: str, mend: str) -> None:
        """Note what does not work."""
        self._add(Finding(check, Level.PROBLEM, subject, text, mend))

    def warning(self, check: Check, subject: str, text: str, mend: str) -> None:
        """Note what may not be as it was meant."""
        self._add(Finding(check, Level.WARNING, subject, text, mend))

    def not_seen(self, what: str, why: str) -> None:
        """Note what could not be looked at."""
        if (unseen := Unseen(what, why)) not in self.unseen:
            self.unseen.append(unseen)

    def _add(self, finding: Finding) -> None:
        if finding not in self.findings:
            self.findings.append(finding)
