"""The hooks: what is done, in which order; how is in the modules beside this one."""

from collections.abc import Collection, Iterable
from functools import partial

from cni_bridge import bridge as bridges, check, container as inside, gateway, status, veth, vlan
from cni_bridge.config import Config
from cni_bridge.kernel import beside
from cnisdk import (
    Attachment,
    Interface,
    Plugin,
    Result,
    ValidAttachments,
    collect,
)
from cnisdk.net import link
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL

CONTAINER = 2
"""Index of the container's interface in a result: bridge, host's end, container's end."""


class Bridge(Plugin[Config]):
    """Connects containers to a Linux bridge."""

    default_config = {  # noqa: RUF012 - a bridge and addresses that are likely to be nobody's
        "bridge": "cnisdk0",
        "isDefaultGateway": True,
        "ipMasq": True,
        "ipam": {"type": "host-local", "subnet": "10.199.0.0/24"},
    }

    def add(self, config: Config, attachment: Attachment) -> Result:
        """Connect the container; with IPAM, give it addresses and what it needs to use them."""
        config.check_usable(attachment.args)
        with RTNL() as host:
            vlan.refuse_without_kernel(host, config)
            bridge = self._bridge(host, config, attachment)
            cable = veth.connect(host, bridge, config, attachment)
            self.undo.push(veth.remove, cable.name)
            veth.tune(host, cable, bridge, config, attachment)
            if config.macspoofchk:
                self._hold_to_address(cable, attachment)
            interfaces = (
                Interface(name=bridge.name, mac=bridge.address),
                Interface(name=cable.name, mac=cable.address),
                Interface(
                    name=attachment.ifname, mac=cable.peer_address, sandbox=attachment.sandbox
                ),
            )
            if config.ipam is not None:
                result = self._layer3(host, bridge, config, attachment, interfaces)
            else:
                result = Result(interfaces=interfaces)
                if not config.disable_container_interface:
                    inside.set_up(attachment)
            port = link.by_name(host, cable.name)
            if not config.disable_container_interface:
                port = bridges.wait_until_passing(host, bridge, port)
            if not config.routes_by_bridge:
                # Unless somebody set it, the address is that of one of the ports.
                bridge = link.by_index(host, bridge.index)
                shown = result.interfaces[0].model_copy(update={"mac": bridge.address})
                result = result.replace(interfaces=(shown, *result.interfaces[1:]))
            mtus = _mtus(host, bridge, port, result.interfaces[CONTAINER + 1 :])
        return result.replace(
            interfaces=tuple(
                interface.model_copy(update={"mtu": mtu})
                for interface, mtu in zip(result.interfaces, mtus, strict=True)
            ),
            dns=config.dns or result.dns,
        )

    def _bridge(self, host: RTNL, config: Config, attachment: Attachment) -> Link:
        bridge = bridges.find(host, config.bridge)
        if bridge is None:
            # A bridge stays even if this ADD fails: make none for an ADD that cannot succeed.
            veth.refuse_existing(attachment)
            bridge = bridges.create(host, config)
        return bridges.prepare(host, bridge, config)

    def _layer3(
        self,
        host: RTNL,
        bridge: Link,
        config: Config,
        attachment: Attachment,
        interfaces: tuple[Interface, ...],
    ) -> Result:
        result = gateway.complete(
            self.ipam.add(config),
            interfaces,
            interface=CONTAINER,
            is_gateway=config.has_gateway,
            is_default_gateway=config.is_default_gateway,
        )
        inside.configure(attachment, result, dad=config.enable_dad)
        if config.has_gateway:
            wanted = gateway.addresses(result.ips)
            exit_ = bridge
            if config.vlan_gateway:
                exit_ = vlan.ensure_gateway(host, bridge, config)
                shown = Interface(name=exit_.name, mac=exit_.address)
                result = result.replace(interfaces=(*result.interfaces, shown))
            gateway.ensure_addresses(host, exit_, wanted, force=config.force_address)
            gateway.enable_forwarding({address.version for address in wanted})
        if config.ip_masq:
            self._masquerade(config, attachment, result)
        return result

    def _hold_to_address(self, cable: veth.Cable, attachment: Attachment) -> None:
        from cnisdk.net import spoofcheck  # executes nft; most calls do not

        self.undo.push(self._let_go, attachment)
        spoofcheck.add(
            cable.name,
            cable.peer_address,
            container_id=attachment.container_id,
            ifname=attachment.ifname,
            search_path=self.call.search_path,
        )

    def _let_go(self, attachment: Attachment) -> None:
        from cnisdk.net import spoofcheck

        spoofcheck.delete(
            container_id=attachment.container_id,
            ifname=attachment.ifname,
            search_path=self.call.search_path,
        )

    def _masquerade(self, config: Config, attachment: Attachment, result: Result) -> None:
        from cnisdk.net import masquerade  # executes nft or iptables; most calls do not

        ips = [ip.address for ip in result.ips]
        self.undo.push(self._unmasquerade, attachment, ips)
        masquerade.add(
            config.ip_masq_backend,
            ips,
            network=attachment.network,
            ifname=attachment.ifname,
            container_id=attachment.container_id,
            search_path=self.call.search_path,
        )

    def _unmasquerade(
        self,
        attachment: Attachment,
        ips: Collection[gateway.Address],
        keep: Collection[gateway.Address] = (),
    ) -> None:
        from cnisdk.net import masquerade

        masquerade.delete(
            network=attachment.network,
            ifname=attachment.ifname,
            container_id=attachment.container_id,
            ips=ips,
            keep=keep,
            search_path=self.call.search_path,
        )

    def delete(self, config: Config, attachment: Attachment) -> None:
        """Take away what `add` made; the bridge, its addresses and forwarding stay.

        Rules go also if the configuration does not speak of them, or not any more.  Addresses are
        released last, when nothing here refers to them any more.
        """
        remove_link = partial(self._remove_link, config, attachment)
        release = partial(self.ipam.delete, config)
        masqueraded, held = config.ip_masq, config.macspoofchk
        had = inside.Addresses([], [])

        def find() -> None:
            nonlocal masqueraded, held
            if not (masqueraded and held):
                from cni_bridge import leftover  # what ADD has no use for

                left = leftover.find(attachment)
                masqueraded, held = masqueraded or left.masquerade, held or left.spoofcheck

        def look() -> None:
            nonlocal had
            if masqueraded and attachment.netns_or_none is not None:
                with RTNL(attachment.netns_or_none) as container:
                    had = inside.addresses(container, attachment.ifname)

        def remove_rules() -> None:
            recorded = [ip.address for ip in config.prev_result.ips] if config.prev_result else []
            self._unmasquerade(attachment, {*had.own, *recorded}, keep=had.others)

        def remove_both() -> None:
            if not masqueraded:
                remove_link()
                return
            # The kernel waits while it deletes a link, and again while it changes rules.
            with beside(remove_link) as link_is_removed:
                collect(remove_rules, link_is_removed)

        def let_go() -> None:
            if held:
                self._let_go(attachment)

        collect(find, look, remove_both, let_go, release)

    def _remove_link(self, config: Config, attachment: Attachment) -> None:
        """Delete the veth, by its end in the container, or by its own."""
        if attachment.netns_or_none is not None:
            with RTNL(attachment.netns_or_none) as container:
                if veth.remove_peer(container, attachment.ifname):
                    return
        recorded = config.prev_result
        if recorded is None or not veth.remove_recorded(recorded, config.bridge):
            veth.remove_marked(attachment)

    def check(self, config: Config, attachment: Attachment) -> None:
        """Raise `DamagedError` with all that is not as the result of ADD says."""
        config.check_usable(attachment.args)
        collect(
            partial(self.ipam.check, config),
            partial(check.check, config, attachment, search_path=self.call.search_path),
        )

    def status(self, config: Config) -> None:
        """Raise `PluginNotAvailableError` where ADD would fail whatever the container."""
        config.check_usable({})
        status.check(config, self.call.search_path)
        self.ipam.status(config)

    def gc(self, config: Config, valid: ValidAttachments) -> None:
        """Release links, rules and addresses of attachments that are no longer valid."""

        def let_go() -> None:
            from cnisdk.net import spoofcheck

            with RTNL() as host:
                spoofcheck.gc(
                    lambda port: link.find(host, port) is None, search_path=self.call.search_path
                )

        def remove_rules() -> None:
            from cnisdk.net import masquerade

            masquerade.gc(network=valid.network, valid=valid, search_path=self.call.search_path)

        collect(partial(veth.gc, valid), let_go, remove_rules, partial(self.ipam.gc, config, valid))

    def validate(self, config: Config) -> None:
        """Raise what excludes each other."""
        config.check_usable({})


def _mtus(host: RTNL, bridge: Link, port: Link, others: Iterable[Interface]) -> list[int]:
    """Return the MTU of bridge, host's end and container's end, and of ``others`` on the host."""
    bridge_mtu = bridge.mtu
    if bridge_mtu != port.mtu:
        # unless somebody set it, the kernel adapts the bridge's to its new port's
        bridge_mtu = link.mtu_of(host, bridge.name)
    return [bridge_mtu, port.mtu, port.mtu, *(link.mtu_of(host, o.name) for o in others)]
