"""The undo stack of an ADD."""

from collections.abc import Callable
from typing import Any

from cnisdk import cancel


class Undo:
    """What would take back the steps done so far, newest first.

    Push the way back right after each step.  The runner unwinds the stack when the hook raises,
    when its answer cannot be delivered, or when the call is terminated; after a success it is
    dropped.  A way back must cope with finding its work already undone.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []

    def push(self, action: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        """Call ``action(*args, **kwargs)`` should this ADD not succeed."""
        self._steps.append((action, args, kwargs))

    def unwind(self) -> list[Exception]:
        """Take everything back, whatever fails on the way; return what failed."""
        failures: list[Exception] = []
        with cancel.shielded():
            while self._steps:
                action, args, kwargs = self._steps.pop()
                try:
                    action(*args, **kwargs)
                except Exception as err:  # noqa: BLE001 - the next step back must still be taken
                    failures.append(err)
        return failures
