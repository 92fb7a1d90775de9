"""A check: one sentence of the specification, and a function that sees whether it is kept.

The function is given a `World` and returns if all is well, raises `Violation` with what is
wrong, or `Inapplicable` with why there is nothing to see.  Where something else has to work
first and does not, that is for another check to tell: `Inapplicable` too.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnisdk.conformance.world import World

    Function = Callable[[World], None]


class Level(StrEnum):
    """How binding the sentence is (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Kind(StrEnum):
    """What a plugin is for."""

    INTERFACE = "interface"
    """It makes the interface CNI_IFNAME."""
    CHAINED = "chained"
    """It adjusts what another plugin made."""
    IPAM = "ipam"
    """It is delegated to, and gives addresses."""


ALL = (Kind.INTERFACE, Kind.CHAINED, Kind.IPAM)
ATTACHING = (Kind.INTERFACE, Kind.CHAINED)


class Violation(Exception):  # noqa: N818 - a verdict, no error
    """The sentence is not kept; says what is wrong."""


class Inapplicable(Exception):  # noqa: N818 - a verdict, no error
    """The sentence says nothing about this plugin, or it cannot be seen; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One sentence of the specification, and how to see whether a plugin keeps it."""

    id: str
    level: Level
    kinds: tuple[Kind, ...]
    section: str
    """Where in SPEC.md of 1.1.0 the sentence stands."""
    quote: str
    since: str
    """The first version of the specification that has it; the plugin has to claim one as new."""
    function: "Function"

    @property
    def title(self) -> str:
        """What is done and expected."""
        return (self.function.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " ")

    @property
    def family(self) -> str:
        """The first part of the ID; checks of a family run one after the other in one world."""
        return self.id.partition("/")[0]


REGISTRY: dict[str, Check] = {}
"""All checks by ID, in the order in which they run."""


def check(
    id: str,
    level: Level,
    *kinds: Kind,
    section: str,
    quote: str,
    since: str = "0.1.0",
) -> "Callable[[Function], Function]":
    """Make a function a check."""

    def register(function: "Function") -> "Function":
        if id in REGISTRY:
            raise ValueError(f"two checks have the ID {id}")
        REGISTRY[id] = Check(
            id=id,
            level=level,
            kinds=kinds or ALL,
            section=section,
            quote=quote,
            since=since,
            function=function,
        )
        return function

    return register


def expect(condition: object, problem: str) -> None:
    """Raise `Violation` unless ``condition`` holds."""
    if not condition:
        raise Violation(problem)


def expect_none(problems: list[str]) -> None:
    """Raise `Violation` with all ``problems`` if there are any."""
    if problems:
        raise Violation("\n".join(problems))
