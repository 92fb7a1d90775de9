"""The same in every version of the specification that the plugin claims; SPEC section 5."""

from dataclasses import dataclass

from cnisdk import versions as spec
from cnisdk.conformance import result as results
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Inapplicable, Kind, Level, check, expect_none
from cnisdk.conformance.checks.common import first, is_ipam, needs_check, needs_delete
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.world import World


@dataclass(frozen=True, slots=True)
class Life:
    """An attachment from ADD to DEL."""

    version: str
    attachment: Attachment
    checked: Execution | None
    deleted: Execution

    @property
    def result(self) -> dict[str, object] | None:
        """The result of the ADD, None if there is none: what others tell is not told again."""
        added = self.attachment.added
        return (added.object() or None) if added and added.ok else None


def _lives(world: World) -> list[Life]:
    def make() -> list[Life]:
        lives = []
        for version in world.versions:
            attachment = world.prepare(world.config(version))
            added = world.add(attachment)
            checked = None
            if added.ok and spec.at_least(version, spec.CHECK_SINCE):
                checked = world.check(attachment)
            lives.append(Life(version, attachment, checked, world.delete(attachment)))
        return lives

    return world.once("lives", make)


@check(
    "versions/add",
    Level.MUST,
    section="5, Version",
    quote="supportedVersions: A list of supported specification versions",
)
def add(world: World) -> None:
    """ADD works in every version that the plugin claims."""
    if not first(world).answered.ok:
        raise Inapplicable("ADD fails in any version, see add/succeeds")
    problems = []
    for life in _lives(world):
        done = life.attachment.added
        if done is not None and not done.ok:
            problems.append(f"{life.version}: {done.ending()}, {done.object().get('msg')}")
    expect_none(problems)


@check(
    "versions/result-version",
    Level.MUST,
    section="5, ADD Success",
    quote="cniVersion: The same version supplied on input",
)
def result_version(world: World) -> None:
    """In every version ``cniVersion`` of the result is that of the configuration."""
    expect_none(
        [
            f"{life.version}: $.cniVersion is {result.get('cniVersion')!r}"
            for life in _lives(world)
            if (result := life.result) is not None and result.get("cniVersion") != life.version
        ]
    )


@check(
    "versions/result-shape",
    Level.MUST,
    section="5, ADD Success, of each version",
    quote="Plugins must output a JSON object with the following keys upon a successful ADD "
    "operation",
)
def result_shape(world: World) -> None:
    """In every version the result has the keys and types of that version."""
    expect_none(
        [
            f"{life.version}: {problem}"
            for life in _lives(world)
            if life.result is not None
            for problem in results.problems(life.result, life.version)
            if not (is_ipam(world) and problem.startswith("$.interfaces"))
        ]
    )


@check(
    "versions/check",
    Level.MUST,
    section="2, CHECK",
    quote="The plugin must handle CHECK being called immediately after an ADD",
    since="0.4.0",
)
def check_(world: World) -> None:
    """In every version that has it, CHECK right after ADD passes."""
    needs_check(world)
    expect_none(
        [
            f"{life.version}: {life.checked.ending()}, {life.checked.object().get('msg')}"
            for life in _lives(world)
            if life.checked is not None and not life.checked.ok
        ]
    )


@check(
    "versions/delete",
    Level.SHOULD,
    Kind.INTERFACE,
    Kind.CHAINED,
    Kind.IPAM,
    section="2, DEL",
    quote="plugins should always complete a DEL action without error to the fullest extent "
    "possible, even if some resources or state are missing",
)
def delete(world: World) -> None:
    """In every version DEL works."""
    needs_delete(world)
    expect_none(
        [
            f"{life.version}: {life.deleted.ending()}, {life.deleted.object().get('msg')}"
            for life in _lives(world)
            if not life.deleted.ok
        ]
    )
