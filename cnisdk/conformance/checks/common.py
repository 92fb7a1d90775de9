"""What several families look at."""

from dataclasses import dataclass
from typing import Any

from cnisdk.conformance import result as results
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Inapplicable, Kind, expect
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.state import State
from cnisdk.conformance.world import World


def bystander(world: World) -> Attachment:
    """Return an attachment for calls that have to be refused before they do anything."""
    return world.once("bystander", world.prepare)


def first(world: World) -> Attachment:
    """Return the attachment of an ADD in the version to test with, whether it worked or not."""

    def make() -> Attachment:
        attachment = world.prepare()
        world.add(attachment)
        return attachment

    return world.once("first", make)


@dataclass(frozen=True, slots=True)
class Specimen:
    """An attachment after its ADD, and what there was then."""

    attachment: Attachment
    host: State
    inside: State

    @property
    def result(self) -> dict[str, Any]:
        """What the ADD answered."""
        return self.attachment.result

    def interface(self) -> dict[str, Any]:
        """Return the container's interface as the result has it; `Inapplicable` if it has not."""
        for interface in self.result.get("interfaces") or ():
            if interface.get("name") == self.attachment.ifname and interface.get("sandbox"):
                found: dict[str, Any] = interface
                return found
        raise Inapplicable("the result does not list the container's interface")


def specimen(world: World) -> Specimen:
    """Return an attachment to look at, never to change; `Inapplicable` if ADD does not work."""

    def make() -> Specimen:
        attachment = first(world)
        expect_added(attachment.added)
        if results.problems(attachment.result, attachment.version):
            raise Inapplicable("the result is not valid, see versions/result-shape")
        host, inside = world.look(attachment.container)
        return Specimen(attachment, host, inside)

    return world.once("specimen", make)


def working(world: World) -> Specimen:
    """Return `specimen`; `Inapplicable` too if its interface is not there, or down."""
    found = specimen(world)
    if world.subject.kind is not Kind.IPAM:
        link = found.inside.links.get(found.attachment.ifname)
        if link is None or "UP" not in link["flags"]:
            raise Inapplicable("no interface that is up, see add/interface-exists, -up")
    return found


def checked(world: World) -> Execution:
    """Return a CHECK right after ADD."""
    attachment = working(world).attachment
    return world.once("CHECK", lambda: world.check(attachment))


def needs_check(world: World) -> None:
    """Raise `Inapplicable` if CHECK does not pass right after ADD."""
    if not checked(world).ok:
        raise Inapplicable("CHECK fails anyway, see check/after-add")


@dataclass(frozen=True, slots=True)
class Deleted:
    """An attachment after its DEL."""

    attachment: Attachment
    done: Execution
    left: list[str]


def deleted(world: World) -> Deleted:
    """Return an attachment that was deleted as it should be, with all parameters."""

    def make() -> Deleted:
        world.warm()
        keys = world.masquerading()
        container = world.host.container()
        attachment = world.prepare(world.config(**keys), container=container)
        before = world.look(container, rules=bool(keys))
        if not world.add(attachment).ok:
            raise Inapplicable("the ADD before it failed, see add/succeeds")
        done = world.delete(attachment)
        left: list[str] = []
        if not is_ipam(world):
            left = world.left(before, container, rules=bool(keys)) + world.files_of(container)
        return Deleted(attachment, done, left)

    return world.once("deleted", make)


def needs_delete(world: World) -> None:
    """Raise `Inapplicable` if DEL does not work where nothing is the matter."""
    if not deleted(world).done.ok:
        raise Inapplicable("DEL fails anyway, see delete/succeeds")


def never_added(world: World) -> Execution:
    """Return a DEL of a container that nobody added."""
    return world.once("never added", lambda: world.delete(world.prepare(), prev=False))


def needs_delete_of_nothing(world: World) -> None:
    """Raise `Inapplicable` if DEL fails where there is nothing to delete."""
    if not never_added(world).ok:
        raise Inapplicable("DEL fails where there is nothing, see delete/never-added")


def expect_added(done: Execution | None) -> None:
    """Raise `Inapplicable` if an ADD did not give a result."""
    if done is None or not done.ok or not done.object():
        raise Inapplicable("ADD gives no result, see add/succeeds and add/one-object")


def needs_interfaces(world: World) -> None:
    """Raise `Inapplicable` where results list no interfaces."""
    if not world.at_least("0.3.0"):
        raise Inapplicable(f"results of {world.version} list no interfaces")


def error_of(done: Execution, what: str, *, told: bool = False) -> dict[str, Any]:
    """Return the error object of a call that had to fail.

    Whether there is one at all, and whether it is well formed, is for ``errors/`` to tell, and
    with ``told`` the exit status too.
    """
    refused(done, what, told=told)
    error = done.object()
    if type(error.get("code")) is not int:
        raise Inapplicable("no error object to read, see errors/object")
    return error


def refused(done: Execution, what: str, *, told: bool = False) -> None:
    """Expect that a call failed."""
    if told and done.ok and "code" in done.object():
        raise Inapplicable("an error object, and exit status 0: see errors/exit-status")
    expect(not done.timed_out, f"{what}: no answer within {done.seconds:.0f} s")
    expect(not done.ok, f"{what}: exit status 0")


def succeeded(done: Execution, what: str) -> None:
    """Expect that a call succeeded."""
    error = done.object()
    said = ": " + text_of(error) if "msg" in error else ""
    expect(done.ok, f"{what}: {done.ending()}{said}")


def text_of(error: dict[str, Any]) -> str:
    """Return what an error object says."""
    return "; ".join(str(error[key]) for key in ("msg", "details") if error.get(key))


def expect_code(error: dict[str, Any], code: int, what: str) -> None:
    """Expect the code that the specification has for something."""
    expect(error["code"] == code, f"{what}: code {error['code']} instead of {code}")


def expect_named(error: dict[str, Any], names: tuple[str, ...], what: str) -> None:
    """Expect an error's message, or its details, to contain each of ``names``."""
    said = text_of(error)
    lacking = [name for name in names if name not in said]
    expect(not lacking, f"{what}: the message lacks {', '.join(lacking)}: {said!r}")


def host_end(world: World, attachment: Attachment) -> str:
    """Return the link on the host that the container's interface is connected to."""
    host, inside = world.look(attachment.container)
    link = inside.links.get(attachment.ifname, {})
    for name, other in host.links.items():
        kinds = {one.get("linkinfo", {}).get("info_kind") for one in (link, other)}
        if other["ifindex"] == link.get("link_index") and kinds == {"veth"}:
            return name
    raise Inapplicable("the container's interface is not one end of a veth to the host")


def same_for_all(world: World) -> bool:
    """Say whether each container gets the same addresses, and so none is reserved."""
    one, other = specimen(world).attachment, deleted(world).attachment
    return results.addresses(one.result) == results.addresses(other.result)


def is_ipam(world: World) -> bool:
    """Say whether the plugin gives addresses."""
    return world.subject.kind is Kind.IPAM
