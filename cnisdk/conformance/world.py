"""Where a plugin is tested: a host of its own, containers, a recording delegate.

A world belongs to one thread, which is inside its host for as long as the world exists: what it
executes runs in the host's network namespace, as a runtime's plugins do.  Everything that is
executed goes into `World.journal`, so that a verdict can show it.
"""

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from cnisdk import versions
from cnisdk.conformance import result as results, state, upstream
from cnisdk.conformance.attachment import Attachment
from cnisdk.conformance.check import Inapplicable, Kind
from cnisdk.conformance.double import Double
from cnisdk.conformance.execution import TIMEOUT, Execution, Running
from cnisdk.conformance.host import Container, Host, tool
from cnisdk.conformance.state import State
from cnisdk.conformance.subject import UPLINK, Subject

T = TypeVar("T")

EXTRA = {"CONFORMANCE_WITNESS": "1"}
"""A variable that has nothing to do with CNI, for a delegate to get too."""


class World:
    """A host, and the plugin under test on it."""

    def __init__(
        self,
        subject: Subject,
        directory: Path,
        claimed: Sequence[str],
        *,
        own_network: bool = True,
    ) -> None:
        """``own_network``: give the network a name that no other world's has."""
        self.subject = subject
        self.claimed = list(claimed)
        self.journal: list[Execution] = []
        self._directory = directory
        self._memo: dict[str, Any] = {}
        self._exits = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        self.double = Double(directory / "double")
        (directory / "state").mkdir()
        self.host = Host(directory / "state")
        self._suffix = f"-{self.host.name}" if own_network else ""
        self._exits.callback(self.host.close)

    def __enter__(self) -> Self:
        self._exits.enter_context(self.host.inside())
        if UPLINK in json.dumps(self.base()):
            self.host.ip(
                f"link add {UPLINK} type veth peer name uplink1",
                f"link set {UPLINK} up",
                "link set uplink1 up",
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self._exits.close()

    # -- configuration ---------------------------------------------------------------------

    @property
    def version(self) -> str:
        """The version of the specification to test with."""
        return self.versions[-1]

    @property
    def versions(self) -> list[str]:
        """The versions of the specification that the plugin claims and that are tested."""
        usable = self.subject.usable_versions(self.claimed)
        if not usable:
            raise Inapplicable("the plugin claims no version of the specification that we know")
        return usable

    def at_least(self, version: str) -> bool:
        """Say whether the version to test with is ``version`` or newer."""
        return versions.at_least(self.version, version)

    def base(self) -> dict[str, Any]:
        """Return the configuration as it is given, without version.

        Where its plugin keeps files may be everybody's, so the network's name is this world's own.
        """
        config = self.subject.base_config(self.double.type, self.host.state)
        return {**config, "name": f"{config['name']}{self._suffix}"}

    def config(self, version: str = "", **keys: Any) -> dict[str, Any]:
        """Return a configuration in a version; a key that is given as None is left out."""
        config = {"cniVersion": version or self.version, **self.base(), **keys}
        return {key: value for key, value in config.items() if value is not None}

    @property
    def delegates(self) -> bool:
        """Whether the configuration has an IPAM plugin to delegate to."""
        ipam = self.base().get("ipam")
        return (
            self.subject.kind is not Kind.IPAM
            and isinstance(ipam, Mapping)
            and bool(ipam.get("type"))
        )

    def delegating(self, version: str = "", **keys: Any) -> dict[str, Any]:
        """Return a configuration that delegates to the double; `Inapplicable` if none does."""
        if not self.delegates:
            raise Inapplicable("the configuration has no $.ipam.type to delegate to")
        ipam = {**self.base()["ipam"], "type": self.double.type}
        return self.config(version, **{"ipam": ipam, **keys})

    def scarce(self, version: str = "") -> dict[str, Any]:
        """Return a configuration of an IPAM plugin that has one address to give."""
        config = self.config(version)
        ipam = config.get("ipam")
        if not isinstance(ipam, dict) or not ({"subnet", "ranges"} & ipam.keys()):
            raise Inapplicable(
                "only where $.ipam has subnet or ranges, as host-local has, is it known how to "
                "leave a single address"
            )
        number = next(self._numbers)
        address = f"10.79.{number}.9"
        one = {"subnet": f"10.79.{number}.0/24", "rangeStart": address, "rangeEnd": address}
        ipam = {key: value for key, value in ipam.items() if key not in ("ranges", "gateway")}
        return {**config, "name": f"{config['name']}-{number}", "ipam": {**ipam, **one}}

    def masquerading(self) -> dict[str, Any]:
        """Return what to add to a configuration so that the firewall has something to do."""
        if self.subject.config is not None or not (tool("nft") or tool("iptables")):
            return {}
        return {"ipMasq": True} if self.subject.kind is Kind.INTERFACE else {}

    # -- calls -----------------------------------------------------------------------------

    def environ(
        self,
        command: str,
        attachment: Attachment | None = None,
        changes: Mapping[str, str | None] | None = None,
    ) -> dict[str, str]:
        """Return the environment of a call; ``changes`` with None takes a variable away."""
        path = [str(self.double.executable.parent), *self.subject.search_path]
        environ: dict[str, str | None] = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            **EXTRA,
            "CNI_COMMAND": command,
            "CNI_PATH": ":".join(path),
        }
        if attachment is not None:
            environ |= {
                "CNI_CONTAINERID": attachment.container.id,
                "CNI_NETNS": attachment.container.path,
                "CNI_IFNAME": attachment.ifname,
                "CNI_ARGS": "",
                **attachment.environ,
            }
        environ |= changes or {}
        return {key: value for key, value in environ.items() if value is not None}

    def start(
        self,
        environ: Mapping[str, str],
        stdin: Mapping[str, Any] | bytes | None,
        *,
        silent: bool = False,
        prefix: Sequence[str] = (),
    ) -> Running:
        """Start a call; `finish` it."""
        data = json.dumps(stdin).encode() if isinstance(stdin, Mapping) else stdin
        return Running(
            self.subject.executable,
            environ,
            data,
            silent=silent,
            prefix=prefix,
            spawn=self.subject.spawn,
        )

    def finish(self, running: Running, timeout: float = TIMEOUT) -> Execution:
        """Wait for the end of a call."""
        done = running.finish(timeout)
        self.journal.append(done)
        return done

    def execute(
        self,
        environ: Mapping[str, str],
        stdin: Mapping[str, Any] | bytes | None,
        *,
        timeout: float = TIMEOUT,
        silent: bool = False,
        prefix: Sequence[str] = (),
    ) -> Execution:
        """Do a call."""
        return self.finish(self.start(environ, stdin, silent=silent, prefix=prefix), timeout)

    def seen(self, done: Execution | None) -> None:
        """Have what was executed for another check shown with this one too."""
        if done is not None and done not in self.journal:
            self.journal.append(done)

    # -- attachments -----------------------------------------------------------------------

    def prepare(
        self,
        config: dict[str, Any] | None = None,
        *,
        container: Container | None = None,
        ifname: str = "eth0",
        environ: Mapping[str, str | None] | None = None,
    ) -> Attachment:
        """Return an attachment before its ADD, with all that its ADD needs.

        Before a chained plugin comes one that made the interface: the kit itself.
        """
        attachment = Attachment(
            container=container or self.host.container(),
            ifname=ifname,
            config=config or self.config(),
            environ=environ or {},
        )
        if self.subject.kind is Kind.CHAINED:
            attachment.before = upstream.attach(self.host, attachment, next(self._numbers))
        elif attachment.config.get("ipam", {}).get("type") == self.double.type:
            attachment.offer = self.double.offer(
                attachment.container.id, ifname, attachment.version
            )
        return attachment

    def add(self, attachment: Attachment, **how: Any) -> Execution:
        """Call ADD."""
        stdin = self.request(attachment, attachment.before)
        attachment.added = self.execute(self.environ("ADD", attachment), stdin, **how)
        return attachment.added

    def attached(
        self,
        config: dict[str, Any] | None = None,
        *,
        container: Container | None = None,
        ifname: str = "eth0",
        environ: Mapping[str, str | None] | None = None,
    ) -> Attachment:
        """Return an attachment after its ADD; `Inapplicable` if that failed."""
        attachment = self.prepare(config, container=container, ifname=ifname, environ=environ)
        done = self.add(attachment)
        if not done.ok:
            raise Inapplicable(f"the ADD before it failed ({done.ending()})")
        if results.problems(attachment.result, attachment.version):
            raise Inapplicable("the ADD before it gave no valid result, see versions/result-shape")
        return attachment

    def request(self, attachment: Attachment, prev: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the configuration of a call, with ``prevResult``."""
        return {**attachment.config, "prevResult": prev} if prev else attachment.config

    def check(self, attachment: Attachment, prev: Mapping[str, Any] | None = None) -> Execution:
        """Call CHECK, with the result of the ADD unless another is given."""
        stdin = self.request(attachment, attachment.result if prev is None else prev)
        return self.execute(self.environ("CHECK", attachment), stdin)

    def delete(
        self,
        attachment: Attachment,
        changes: Mapping[str, str | None] | None = None,
        *,
        prev: bool = True,
    ) -> Execution:
        """Call DEL, with the result of the ADD unless not ``prev``."""
        stdin = self.request(attachment, (attachment.result or attachment.before) if prev else None)
        return self.execute(self.environ("DEL", attachment, changes), stdin)

    def gc(self, valid: Sequence[Attachment], config: dict[str, Any] | None = None) -> Execution:
        """Call GC."""
        listed = [{"containerID": a.container.id, "ifname": a.ifname} for a in valid]
        config = {**(config or self.config()), "cni.dev/valid-attachments": listed}
        return self.execute(self.environ("GC"), config)

    def status(self, config: dict[str, Any] | None = None) -> Execution:
        """Call STATUS."""
        return self.execute(self.environ("STATUS"), config or self.config())

    # -- what several checks look at -------------------------------------------------------

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` returned when it was first needed, or raise what it raised.

        What it executed is shown with every check that needs it.
        """
        if name not in self._memo:
            journal, self.journal = self.journal, []
            value: Any = None
            err: Inapplicable | None = None
            try:
                value = make()
            except Inapplicable as inapplicable:
                err = inapplicable
            self._memo[name] = (value, err, self.journal)
            self.journal = journal
        value, err, executions = self._memo[name]
        for done in executions:
            self.seen(done)
        if err is not None:
            raise Inapplicable(*err.args)
        found: T = value
        return found

    # -- the second witness ----------------------------------------------------------------

    def look(self, *containers: Container, rules: bool = False) -> list[State]:
        """Return what there is on the host, then in each container."""
        return [
            state.look(self.host, rules=rules),
            *(state.look(container) for container in containers),
        ]

    def left(
        self, before: Sequence[State], *containers: Container, rules: bool = False
    ) -> list[str]:
        """Return what is there and was not ``before``, see `look`."""
        return state.left(before, lambda: self.look(*containers, rules=rules))

    def files_of(self, container: Container) -> list[str]:
        """Return the files that say something of a container, as ``left: file ...``."""
        roots = [Path(path) for path in (*state.WATCHED, self.host.state)]
        found = state.files_of(container.id, roots, self._directory.parent)
        found += state.files_of(container.id, [self.host.state], self.double.path)
        return [f"left: file {path}" for path in dict.fromkeys(found)]

    def warm(self) -> None:
        """Have what a plugin makes once and for all made: its bridge, its tables."""
        self.once("warm", self._warm)

    def _warm(self) -> None:
        if self.subject.kind is not Kind.IPAM:
            attachment = self.attached(self.config(**self.masquerading()))
            if not self.delete(attachment).ok:
                raise Inapplicable("DEL does not work")

    def ip(self, namespace: Host | Container, *commands: str) -> None:
        """Change something with ip(8), behind the plugin's back."""
        try:
            namespace.ip(*commands)
        except AssertionError as err:
            raise Inapplicable(f"the kit cannot do that here: {err}") from err

    @contextlib.contextmanager
    def fresh(self) -> Iterator["World"]:
        """Yield a world in which the plugin has never been used."""
        directory = self._directory / f"fresh-{next(self._numbers)}"
        directory.mkdir()
        with World(self.subject, directory, self.claimed) as world:
            world.journal = self.journal
            yield world
