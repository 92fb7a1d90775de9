"""Put together what kernel, firewall, runtimes and configurations say of a node's networks."""

import os
import re
import socket
import sys
from typing import TYPE_CHECKING

from cnisdk.errors import CNIError
from cnisdk.node.doctor.finding import Check
from cnisdk.picture import firewall, kept, kernel, names
from cnisdk.picture.kernel import Space
from cnisdk.picture.model import End, Link, Network, Picture, Published, Unseen
from cnisdk.types.convert import from_wire

if sys.platform == "linux":
    from cnisdk.net import mark
    from cnisdk.net.netns import NotANamespaceError

if TYPE_CHECKING:
    from cnisdk.net import link
    from cnisdk.node.doctor.node import Node
    from cnisdk.runtime.cache import CachedAttachment
    from cnisdk.types.result import Result

_DEFAULT_BRIDGE = "cni0"
_MARK = re.compile("[0-9a-f]{16}-[0-9a-f]{16}, net: ")
_AGAIN = 2  # times, for where calls never cease
_PARENTS = ("bridge", "master")
"""Keys by which configurations name a link of the host."""


def survey(node: "Node") -> Picture:
    """Return the picture of a node whose network namespace the calling thread is in."""
    made = networks(node)
    kept.findings(node, made)
    return made


def networks(node: "Node") -> Picture:
    """Return it without what is wrong with files alone, which the doctor finds by itself.

    What runtimes remember is read before the kernel is.  Where that leaves something wrong, and
    they remember other attachments by now, calls came in between, and it is looked at again.
    """
    made = _Survey(node).picture()
    for _ in range(_AGAIN):
        if not made.wrong or not node.refresh():
            break
        made = _Survey(node).picture()
    return made


class _Survey:
    def __init__(self, node: "Node") -> None:
        self.node = node
        self.made = Picture(host=socket.gethostname())
        self.remembered = True
        """Whether all attachments are known, so that what is none's is nobody's."""
        self.attachments = self._attachments()
        self.host = kernel.here()
        self.links = {found.index: found for found in self.host.links}
        self.spaces: dict[str, Space] = {}
        self.names = names.Names()
        self.results: dict[int, Result] = {}
        """By the end's identity."""
        self.blind = False
        """Whether there are namespaces that we may not look into."""
        self.ports: set[int] = set()
        """Indices of the host's links that are accounted for."""

    def picture(self) -> Picture:
        self.made.routes = self._host_routes()
        self._networks()
        for attachment in self.attachments:
            if attachment.key.ifname != "lo":
                self._attached(attachment)
        self._unattached()
        self._links()
        self._rules()
        for end in self.made.ends:
            self._compare(end)
        return self.made

    # -- what is remembered ----------------------------------------------------------------

    def _attachments(self) -> "list[CachedAttachment]":
        try:
            return self.node.attachments
        except CNIError as err:
            self.remembered = False
            self._not_seen("attachments", str(err))
            return []

    def _networks(self) -> None:
        found: dict[str, Network] = {}
        try:
            networks = self.node.scan.networks
        except CNIError as err:
            networks = []
            self._not_seen("networks", str(err))
        for config in networks:
            links = []
            for plugin in config.plugins:
                said = [plugin.raw[key] for key in _PARENTS if key in plugin.raw]
                links += said or ([_DEFAULT_BRIDGE] if plugin.type == "bridge" else [])
            types = ["+".join(filter(None, (p.type, p.ipam_type))) for p in config.plugins]
            found[config.name] = Network(
                name=config.name,
                plugins=types,
                file=config.path,
                links=[one for one in links if isinstance(one, str)],
            )
        for attachment in self.attachments:
            found.setdefault(attachment.network, Network(name=attachment.network))
        self.made.networks = list(found.values())

    def _attached(self, attachment: "CachedAttachment") -> None:
        parameters = attachment.parameters
        end = End(
            network=attachment.network,
            container=parameters.container_id,
            name=names.pod(dict(parameters.args)) or self.names.of(parameters.container_id),
            ifname=parameters.ifname,
            netns=parameters.netns,
        )
        self.made.ends.append(end)
        try:
            self.results[id(end)] = from_wire(attachment.result)
        except CNIError as err:
            self._not_seen(attachment.path, str(err))
        space = self._space(parameters.netns) if parameters.netns else None
        if space is None:
            self._from_result(end)
            return
        found = space.find(parameters.ifname)
        if found is None:
            self._from_result(end)
            self.made.blame(
                end,
                Check.LOST_INTERFACE,
                f"{end.name or end.container}, {end.ifname}",
                f"{end.netns} has no interface {end.ifname} any more",
                f"cnisdk del {end.network} --container-id {end.container} --ifname {end.ifname}, "
                "and attach it again",
            )
        else:
            self._place(end, space, found)

    def _from_result(self, end: End) -> None:
        """Say of an end that is not to be seen where it would be."""
        result = self.results.get(id(end))
        by_name = {found.name: found for found in self.host.links}
        for interface in result.interfaces if result else ():
            found = None if interface.sandbox else by_name.get(interface.name)
            if found and found.kind == "bridge":
                end.parent = found.name
            elif found:
                end.port = found.name
                self.ports.add(found.index)
        if not end.parent:
            network = next((one for one in self.made.networks if one.name == end.network), None)
            known = [name for name in (network.links if network else ()) if name in by_name]
            end.parent = known[0] if known else ""

    # -- what is there ---------------------------------------------------------------------

    def _space(self, path: str) -> Space | None:
        if path not in self.spaces:
            try:
                self.spaces[path] = kernel.look(path)
            except FileNotFoundError:
                return None  # which the doctor says
            except OSError as err:
                if os.path.lexists(path) and not isinstance(err, NotANamespaceError):
                    self.blind = True
                    self._not_seen(path, err.strerror or str(err))
                return None
        return self.spaces[path]

    def _place(self, end: End, space: Space, found: "link.Link") -> None:
        """Say what an end's interface is, and what it is connected to."""
        end.link = _link(space, found)
        end.routes = space.routes_over(found.index)
        far = self.links.get(found.peer_index)
        if far is None or space.identity == self.host.identity:
            return
        if found.kind != "veth":
            end.parent = far.name
        elif (far.kind, *_other(far)) == ("veth", found.index, space.number):
            end.port = far.name
            self.ports.add(far.index)
            master = self.links.get(far.master)
            end.parent = master.name if master else ""

    def _unattached(self) -> None:
        """Find where those cables lead that no attachment accounts for."""
        cables = {
            found.index: found
            for found in self.host.links
            if found.kind == "veth" and found.index not in self.ports
            if found.master or _MARK.match(found.alias)
        }
        if not cables:
            return
        living, complete = kernel.inhabited()
        if not complete:
            self.blind = True
            self._not_seen("namespaces of processes", "Permission denied")
        used = {space.identity for space in self.spaces.values()}
        seen = {self.host.identity}
        paths = [*self.spaces, *(path for path in kernel.named() if path not in self.spaces)]
        paths += [one.path for identity, one in living.items() if identity not in used | seen]
        for path in paths:
            space = self._space(path)
            for found in space.interfaces() if space and space.identity not in seen else ():
                cable = cables.get(found.peer_index)
                if space and cable and _other(cable) == (found.index, space.number):
                    del cables[cable.index]
                    spoken_for = space.identity in used or space.identity in living
                    end = self._nobodys(cable, space, found, living.get(space.identity))
                    self._leaks(end, cable, spoken_for=spoken_for)
            if space:
                seen.add(space.identity)
        for cable in cables.values():
            self._leaks(self._nobodys(cable, None, None, None), cable, spoken_for=False)

    def _nobodys(
        self,
        cable: "link.Link",
        space: Space | None,
        found: "link.Link | None",
        living: "kernel.Inhabited | None",
    ) -> End:
        """Add the end of a cable that no attachment accounts for."""
        container = living.container if living else ""
        master = self.links.get(cable.master)
        end = End(
            network="",
            container=container or (os.path.basename(space.path) if space else ""),
            name=self.names.of(container) if container else "",
            ifname=found.name if found else "",
            netns=space.path if space else "",
            parent=master.name if master else "",
            port=cable.name,
        )
        if space and found:
            self._place(end, space, found)
        elif (near := self.links.get(cable.peer_index)) and near.peer_index == cable.index:
            end.container, end.ifname = "host", near.name
            end.link = _link(self.host, near)
        self.ports.add(cable.index)
        self.made.ends.append(end)
        return end

    def _leaks(self, end: End, cable: "link.Link", *, spoken_for: bool) -> None:
        """Blame a cable of ours, unless there is somebody who may be using it.

        That no cache here remembers it says little while a container lives: Multus and others keep
        caches of their own, and a runtime that knows the container cleans up behind it.
        """
        ours = _MARK.match(cable.alias) or end.parent in self._ours()
        if spoken_for or not ours or not self.remembered or self.blind:
            return
        leads = f"to {end.ifname} in {end.netns}" if end.netns else "nowhere to be seen"
        leads = f"to {end.ifname} on the host itself" if end.container == "host" else leads
        made_for = cable.alias.partition(", ")[2] if _MARK.match(cable.alias) else ""
        said = f"; it was made for {made_for}" if made_for else ""
        self.made.blame(
            end,
            Check.LEAKED_LINK,
            cable.name,
            f"leads {leads}, and no runtime remembers an attachment{said}",
            f"ip link delete {cable.name}",
        )

    def _ours(self) -> set[str]:
        """Return the bridges of CNI networks."""
        names_ = {name for network in self.made.networks for name in network.links}
        return names_ | {end.parent for end in self.made.ends if end.network}

    def _links(self) -> None:
        """Keep the host's links but for the hosts' ends of containers' cables."""
        parents = {end.parent for end in self.made.ends}
        for found in self.host.links:
            ends_here = found.kind != "veth" or (
                found.index in self.host.addresses and found.index not in self.ports
            )
            if found.name in parents or (ends_here and found.name != "lo"):
                self.made.links.append(self._host_link(found))

    def _host_link(self, found: "link.Link") -> Link:
        made = _link(self.host, found)
        master = self.links.get(found.master)
        made.master = master.name if master else ""
        return made

    def _host_routes(self) -> list[str]:
        by_index = {found.index: found.name for found in self.host.links}
        return [
            f"{text} dev {by_index[index]}"
            for index in by_index
            for text in self.host.routes_over(index)
        ]

    # -- rules -----------------------------------------------------------------------------

    def _rules(self) -> None:
        owners = {
            mark.key(a.network, a.key.ifname, a.key.container_id): (a.network, a.key.container_id)
            for a in self.attachments
        }
        try:
            rules = firewall.read(owners)
        except OSError as err:
            self._not_seen("the firewall's rules", str(err))
            return
        by_address: dict[str, list[End]] = {}
        by_owner: dict[str, list[End]] = {}
        for one in self.made.ends:
            by_owner.setdefault(one.container, []).append(one)
            for address in self._addresses(one):
                by_address.setdefault(address.partition("/")[0], []).append(one)
        for rule, address in firewall.addresses(rules):
            owned = [e for e in by_owner.get(rule.owner, ()) if rule.network in ("", e.network)]
            having = by_address.get(address, [])
            both = [one for one in having if one in owned]
            end = next(iter([*both, *having, *owned]), None)
            if end is not None:
                mine = end.published if isinstance(rule, Published) else end.masqueraded
                mine.append(rule)  # type: ignore[arg-type]  # the one list is of the one kind
            if not having and self.remembered and not self.blind:
                self._leaked(end, rule.network, rule.owner, firewall.say(rule))

    def _leaked(self, end: End | None, network: str, owner: str, said: str) -> None:
        configured = any(one.name == network and one.file for one in self.made.networks)
        of = f" of container {owner}" if owner else ""
        self.made.blame(
            end,
            Check.LEAKED_RULE,
            f"rule{of}",
            f"{said}, an address that nothing here has",
            f"cnisdk gc {network}, with --valid ID:IFNAME for all that still run"
            if configured
            else "delete the rule: no network has it",
        )

    def _addresses(self, end: End) -> list[str]:
        """Return the addresses of an end: the kernel's, else the result's."""
        if end.link is not None:
            return end.link.addresses
        result = self.results.get(id(end))
        return [str(ip.address) for ip in result.ips] if result else []

    def _compare(self, end: End) -> None:
        """Hold an interface to the result that its ADD gave."""
        result = self.results.get(id(end))
        if result is None or end.link is None:
            return
        others = {
            index
            for index, interface in enumerate(result.interfaces)
            if not interface.sandbox or interface.name != end.ifname
        }
        for ip in result.ips:
            if ip.interface in others:
                continue
            if str(ip.address) not in end.link.addresses and not ip.address.is_link_local:
                self.made.blame(
                    end,
                    Check.LOST_ADDRESS,
                    f"{end.name or end.container}, {end.ifname}",
                    f"{ip.address} was given to it, and is not there any more",
                    f"cnisdk check {end.network} {end.netns} says what else is missing",
                )

    def _not_seen(self, what: str, why: str) -> None:
        self.made.unseen.append(Unseen(what=what, why=why))


def _link(space: Space, found: "link.Link") -> Link:
    return Link(
        index=found.index,
        name=found.name,
        kind=found.kind,
        mac=found.address,
        mtu=found.mtu,
        up=found.up and found.carrier,  # a dump tells an operstate that may be a second old
        addresses=list(space.addresses.get(found.index, ())),
        alias=found.alias,
    )


def _other(end: "link.Link") -> tuple[int, int]:
    """Return the index of a cable's other end, and the number of the namespace it counts in."""
    return end.peer_index, end.peer_netnsid
