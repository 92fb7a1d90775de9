"""Versions of the CNI specification: parse, order, what is supported.

SPEC numbers its versions by semver; CNI itself never used a pre-release, so three integers are
enough.  Imports nothing: the runner compares versions before it knows what else a call needs.
"""

SUPPORTED: tuple[str, ...] = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""Every version of the specification, oldest first; all of them are spoken here."""

CURRENT = SUPPORTED[-1]
"""The newest version."""

UNSTATED = "0.1.0"
"""What a configuration or result without ``cniVersion`` means (as the Go library has it)."""

CHECK_SINCE = "0.4.0"
GC_SINCE = STATUS_SINCE = "1.1.0"


def parse(version: str) -> tuple[int, int, int]:
    """Return ``version`` as three integers that compare; ``""`` is `UNSTATED`.

    One to three dotted decimal numbers are taken, missing ones are 0 (as the Go library does).
    Raises ValueError for anything else.
    """
    parts = (version or UNSTATED).split(".")
    if len(parts) > 3 or not all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts):
        raise ValueError(f"invalid CNI version {version!r}")
    numbers = [int(p) for p in parts] + [0, 0]
    return (numbers[0], numbers[1], numbers[2])


def at_least(version: str, minimum: str) -> bool:
    """Say whether ``version`` is ``minimum`` or newer; ValueError if either does not parse."""
    return parse(version) >= parse(minimum)


def select(
    cni_version: str, cni_versions: list[str], supported: tuple[str, ...] = SUPPORTED
) -> str:
    """Return the version a runtime uses for a configuration; SPEC section 1, ``cniVersions``.

    That is the newest of ``cni_version`` and ``cni_versions`` that ``supported`` reaches; with
    no ``cniVersions``, or none low enough, ``cni_version`` as it stands.  Raises ValueError for
    an entry that does not parse.
    """
    if not cni_versions:
        return cni_version
    newest = max(parse(s) for s in supported)
    candidates = [v for v in cni_versions if parse(v) <= newest]
    if cni_version and parse(cni_version) <= newest:
        candidates.append(cni_version)
    return max(candidates, key=parse, default=cni_version)
