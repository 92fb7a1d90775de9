"""What a node refuses, in words for a person."""


class NodeError(Exception):
    """Why nothing, or not everything, could be done; ``step`` is what to do next."""

    def __init__(self, message: str, step: str = "") -> None:
        super().__init__(message)
        self.step = step
