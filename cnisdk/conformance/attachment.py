"""An attachment as the kit sees it: what its ADD was given, and what it gave."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnisdk.conformance.check import Inapplicable
from cnisdk.conformance.double import Offer
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.host import Container


@dataclass(kw_only=True)
class Attachment:
    """A container's interface, and what its ADD was given and gave."""

    container: Container
    ifname: str
    config: dict[str, Any]
    """Without ``prevResult``."""
    before: dict[str, Any] | None = None
    """``prevResult`` of the ADD."""
    offer: Offer | None = None
    environ: Mapping[str, str | None]
    added: Execution | None = None

    @property
    def version(self) -> str:
        """``cniVersion``."""
        version: str = self.config["cniVersion"]
        return version

    @property
    def answered(self) -> Execution:
        """The ADD; `Inapplicable` if there was none."""
        if self.added is None:
            raise Inapplicable("there was no ADD")
        return self.added

    @property
    def result(self) -> dict[str, Any]:
        """What the ADD answered."""
        return self.added.object() if self.added else {}
