"""What a picture shows, as plain data: ``cnisdk show --json`` prints it as it stands here."""

from dataclasses import asdict, dataclass, field
from typing import Any

from cnisdk.node.doctor.finding import Check


@dataclass(slots=True, kw_only=True)
class Wrong:
    """Something that does not belong, or does not fit."""

    kind: Check
    subject: str
    """The link, rule, file or container that it is about."""
    text: str
    mend: str
    """What to do about it."""


@dataclass(slots=True, kw_only=True)
class Unseen:
    """What could not be looked at, and why."""

    what: str
    why: str


@dataclass(slots=True, kw_only=True)
class Network:
    """A network of the configuration directory, or one that only attachments name."""

    name: str
    plugins: list[str] = field(default_factory=list)
    file: str = ""
    """``""`` where there is no configuration, or none any more."""
    links: list[str] = field(default_factory=list)
    """The host's bridges and parents that it uses."""


@dataclass(slots=True, kw_only=True)
class Link:
    """A link of the host, or an interface of a container."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    up: bool
    addresses: list[str] = field(default_factory=list)
    master: str = ""
    """The bridge that it is a port of."""
    alias: str = ""


@dataclass(slots=True, kw_only=True)
class Published:
    """A port of the host that leads to a container."""

    protocol: str
    host: str
    """``8080``, or with the address that it is bound to."""
    container: str
    """Where it leads: address and port."""
    backend: str
    network: str = ""
    owner: str = ""
    """The container's ID, as far as the rule tells."""


@dataclass(slots=True, kw_only=True)
class Masqueraded:
    """An address that leaves its subnet under the host's."""

    address: str
    backend: str
    network: str = ""
    owner: str = ""


@dataclass(slots=True, kw_only=True)
class End:
    """A container's end of a network: an attachment, an interface, or what is left of them."""

    network: str
    """``""`` where nobody remembers an attachment."""
    container: str
    """The container's ID, else the namespace's name."""
    name: str = ""
    """What people call it: a pod, or what podman or docker know it by."""
    ifname: str = ""
    netns: str = ""
    parent: str = ""
    """The host's bridge, or the link that a macvlan or the like is on; ``""`` for neither."""
    port: str = ""
    """The host's end of the cable."""
    link: Link | None = None
    """The interface as the container has it; None if it is not to be seen."""
    routes: list[str] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    masqueraded: list[Masqueraded] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Picture:
    """A node's networks."""

    host: str
    networks: list[Network] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    """The host's, but for its ends of containers' cables."""
    routes: list[str] = field(default_factory=list)
    """The host's, of the table main."""
    ends: list[End] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    """All of it, that of the ends included."""
    unseen: list[Unseen] = field(default_factory=list)

    def wire(self) -> dict[str, Any]:
        """Return it as a JSON object; of names that are no Unicode, what is."""
        wire: dict[str, Any] = _unicode(asdict(self))
        return wire

    def blame(self, end: End | None, kind: Check, subject: str, text: str, mend: str) -> None:
        """Note what is wrong, and with which end."""
        wrong = Wrong(kind=kind, subject=subject, text=text, mend=mend)
        self.wrong.append(wrong)
        if end is not None:
            end.wrong.append(wrong)


def _unicode(value: Any) -> Any:
    """Return a value whose texts can be encoded: the kernel's names are bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _unicode(item) for key, item in value.items()}
    return [_unicode(item) for item in value] if isinstance(value, list) else value
