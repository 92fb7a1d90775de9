"""The key ``vlanTrunk``: which VLANs a container takes part in with tags."""

from collections.abc import Iterable, Iterator

from cnisdk import Field, InvalidNetworkConfigError, WireModel

MAX_VID = 4094


class Trunk(WireModel):
    """One VLAN, a range of them, or both."""

    id: int | None = None
    min_id: int | None = Field(default=None, alias="minID")
    max_id: int | None = Field(default=None, alias="maxID")


def vids(trunk: Iterable[Trunk]) -> tuple[int, ...]:
    """Return the VLANs of a trunk, sorted, each once.

    Raises InvalidNetworkConfigError, in the reference plugin's words, for what is no trunk.
    """
    found = {vid for number, entry in enumerate(trunk) for vid in _vids(entry, number)}
    return tuple(sorted(found))


def _vids(entry: Trunk, number: int) -> Iterator[int]:
    path = f"$.vlanTrunk[{number}]"
    if entry.min_id is not None and entry.max_id is not None:
        _check(entry.min_id, "minID", path)
        _check(entry.max_id, "maxID", path)
        if entry.max_id < entry.min_id:
            raise InvalidNetworkConfigError(
                "minID is greater than maxID in trunk parameter",
                f"{path}.minID: {entry.min_id}, and {path}.maxID: {entry.max_id}",
            )
        yield from range(entry.min_id, entry.max_id + 1)
    elif entry.min_id is not None or entry.max_id is not None:
        missing, there = ("minID", "maxID") if entry.min_id is None else ("maxID", "minID")
        raise InvalidNetworkConfigError(
            f"minID and maxID should be configured simultaneously, {missing} is missing",
            f"{path}.{there}: {entry.max_id if entry.min_id is None else entry.min_id}",
        )
    if entry.id is not None:
        _check(entry.id, "id", path)
        yield entry.id


def _check(vid: int, key: str, path: str) -> None:
    if not 0 < vid <= MAX_VID:
        raise InvalidNetworkConfigError(
            f"incorrect trunk {key} parameter",
            f"{path}.{key}: {vid} is not between 1 and {MAX_VID}",
        )
