"""CNI_ARGS: ``K=V;K2=V2``; SPEC section 2, "Parameters"."""

from cnisdk.errors import InvalidEnvironmentError


def parse(text: str) -> dict[str, str]:
    """Return the pairs of CNI_ARGS; of a key given twice the last one counts.

    A value may contain ``=``; empty segments say nothing.  A segment without ``=`` or without a
    key is refused: whoever wrote it meant something.
    """
    pairs: dict[str, str] = {}
    for segment in text.split(";"):
        key, equals, value = segment.partition("=")
        if key and equals:
            pairs[key] = value
        elif segment:
            raise InvalidEnvironmentError(
                "invalid env variables [CNI_ARGS]", f"CNI_ARGS: invalid pair {segment!r}"
            )
    return pairs
