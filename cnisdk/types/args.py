"""CNI_ARGS: "extra arguments passed in by the user at invocation time"; SPEC section 2.

"Alphanumeric key-value pairs separated by semicolons; for example, FOO=BAR;ABC=123".
"""

from cnisdk.errors import InvalidEnvironmentError


def parse(text: str) -> dict[str, str]:
    """Return the pairs of CNI_ARGS.

    A value may contain ``=`` and empty segments are skipped; of a key given twice the last
    counts.  No key is unknown: runtimes pass arguments that are meant for other plugins of a
    chain, with or without IgnoreUnknown.  Raises InvalidEnvironmentError for a segment that is
    no pair.
    """
    pairs: dict[str, str] = {}
    for segment in text.split(";"):
        key, equals, value = segment.partition("=")
        if not segment.strip():
            continue
        if not equals or not key:
            raise InvalidEnvironmentError(
                "invalid env variables [CNI_ARGS]", f"CNI_ARGS={text!r}: {segment!r} is no pair"
            )
        pairs[key] = value
    return pairs
