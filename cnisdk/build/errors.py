"""What keeps a project from being built."""


class BuildError(Exception):
    """A build that cannot go on; ``step`` is what a person can do about it."""

    def __init__(self, message: str, step: str = "") -> None:
        super().__init__(message)
        self.step = step
