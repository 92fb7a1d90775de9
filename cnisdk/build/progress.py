"""Say how far a build is; who shows it is somebody else's business."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Advance = Callable[[], object]
"""Called once for each piece of a step that is done."""

Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Begins a step: what is done, and in how many pieces."""


def silent(step: str, pieces: int) -> AbstractContextManager[Advance]:
    """Show nothing."""
    return nullcontext(lambda: None)
