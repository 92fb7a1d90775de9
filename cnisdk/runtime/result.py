"""Results on their way from one plugin to the next, and to and from the cache.

A result stays the JSON object that the plugin printed: keys that this version of the SDK does
not know reach the next plugin and the runtime.  It is read as a `Result` to know that it is
one, and converted only where a plugin answered in a version other than the network's.
"""

from collections.abc import Mapping
from typing import Any

from cnisdk.errors import DecodingError
from cnisdk.types import _json
from cnisdk.types.convert import from_wire, to_wire


def read(stdout: bytes, version: str) -> dict[str, Any]:
    """Return the result that a plugin printed, in ``version``; raise DecodingError for no result.

    A result that states no version is taken to be in the one that was asked for, as the Go
    library has it.
    """
    try:
        wire = _json.loads(stdout)
    except ValueError as err:
        said = stdout[:200].decode("utf-8", "replace")
        raise DecodingError(f"the result is not JSON: {err}", repr(said)) from err
    if not isinstance(wire, dict):
        raise DecodingError("the result is not a JSON object", repr(wire)[:200])
    return in_version(wire, version)


def in_version(wire: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a result as one of ``version``; the same object but for what that changes."""
    stated = {**wire, "cniVersion": wire.get("cniVersion") or version}
    result = from_wire(stated, version)
    return stated if stated["cniVersion"] == version else to_wire(result, version)
