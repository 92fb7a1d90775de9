"""Which installed distributions a project requires, theirs included."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import TYPE_CHECKING, NamedTuple

from cnisdk.build.errors import BuildError

if TYPE_CHECKING:
    from packaging.requirements import Requirement


class _Wanted(NamedTuple):
    requirement: "Requirement"
    by: str


def closure(requirements: Iterable[tuple[str, str]]) -> dict[str, Distribution]:
    """Return the distributions behind ``requirements``, pairs of a requirement and who has it.

    Markers are honoured for this interpreter, extras followed.  BuildError for what is not
    installed, or not in a version that was asked for.
    """
    try:
        from packaging.requirements import InvalidRequirement, Requirement
        from packaging.utils import canonicalize_name
    except ImportError as err:
        raise BuildError(
            "a build needs the package packaging", "pip install 'cnisdk[build]'"
        ) from err
    found: dict[str, Distribution] = {}
    followed: set[tuple[str, str]] = set()
    todo: list[_Wanted] = []
    for text, by in requirements:
        try:
            todo.append(_Wanted(Requirement(text), by))
        except InvalidRequirement as err:
            raise BuildError(f"{by} requires {text!r}: {err}") from err
    todo = [wanted for wanted in todo if _applies(wanted.requirement, "")]
    while todo:
        requirement, by = todo.pop()
        name = canonicalize_name(requirement.name)
        if name not in found:
            found[name] = _installed(requirement, by)
        _check_version(found[name], requirement, by)
        for extra in sorted({"", *requirement.extras} - {e for n, e in followed if n == name}):
            followed.add((name, extra))
            for text in found[name].requires or ():
                needed = Requirement(text)
                if _applies(needed, extra):
                    todo.append(_Wanted(needed, name))
    return found


def _applies(requirement: "Requirement", extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _installed(requirement: "Requirement", by: str) -> Distribution:
    try:
        return distribution(requirement.name)
    except PackageNotFoundError as err:
        raise BuildError(
            f"{by} requires {requirement}, which is not installed",
            f"pip install '{requirement}'",
        ) from err


def _check_version(installed: Distribution, requirement: "Requirement", by: str) -> None:
    if not requirement.specifier.contains(installed.version, prereleases=True):
        raise BuildError(
            f"{by} requires {requirement}, but {installed.version} is installed",
            f"pip install '{requirement}'",
        )
