"""The hooks: what is done, in which order; how is in the modules beside this one."""

from collections.abc import Collection
from functools import partial

from cni_bridge import bridge as bridges, check, container as inside, gateway, veth
from cni_bridge.config import Config
from cni_bridge.errors import HostConflictError
from cni_bridge.kernel import beside
from cnisdk import (
    DNS,
    Attachment,
    Interface,
    Plugin,
    PluginNotAvailableError,
    Result,
    ValidAttachments,
)
from cnisdk.ipam import collect
from cnisdk.net import link
from cnisdk.net.link import Link
from cnisdk.net.rtnl import RTNL

CONTAINER = 2
"""Index of the container's interface in a result: bridge, host's end, container's end."""


class Bridge(Plugin[Config]):
    """Connects containers to a Linux bridge."""

    def add(self, config: Config, attachment: Attachment) -> Result:
        """Connect the container; with IPAM, give it addresses and what it needs to use them."""
        config.check_usable(attachment.args)
        with RTNL() as host, RTNL(attachment.netns) as container:
            bridge = self._bridge(host, container, config, attachment)
            cable = veth.connect(host, container, bridge, config, attachment)
            self.undo.push(veth.remove, cable.name)
            veth.tune(host, cable, config)
            interfaces = (
                Interface(name=bridge.name, mac=bridge.address),
                Interface(name=cable.name, mac=cable.address),
                Interface(
                    name=attachment.ifname, mac=cable.peer_address, sandbox=attachment.sandbox
                ),
            )
            result = Result(interfaces=interfaces)
            if config.ipam is not None:
                result = self._layer3(host, container, bridge, config, attachment, result)
            elif not config.disable_container_interface:
                inside.set_up(container, attachment.ifname)
            port = link.by_name(host, cable.name)
            if not config.disable_container_interface:
                port = bridges.wait_until_passing(host, bridge, port)
            mtus = _mtus(host, bridge, port)
        return result.replace(
            interfaces=tuple(
                interface.model_copy(update={"mtu": mtu})
                for interface, mtu in zip(interfaces, mtus, strict=True)
            ),
            dns=config.dns if config.dns != DNS() else result.dns,
        )

    def _bridge(self, host: RTNL, container: RTNL, config: Config, attachment: Attachment) -> Link:
        bridge = bridges.find(host, config.bridge)
        if bridge is None:
            # A bridge stays even if this ADD fails: make none for an ADD that cannot succeed.
            veth.refuse_existing(container, attachment.ifname)
            bridge = bridges.create(host, config)
        return bridges.prepare(host, bridge, config)

    def _layer3(
        self,
        host: RTNL,
        container: RTNL,
        bridge: Link,
        config: Config,
        attachment: Attachment,
        result: Result,
    ) -> Result:
        reserved = self.ipam.add(config)
        result = gateway.complete(
            reserved.replace(interfaces=result.interfaces),
            interface=CONTAINER,
            is_gateway=config.has_gateway,
            is_default_gateway=config.is_default_gateway,
        )
        inside.configure(container, attachment, result, dad=config.enable_dad)
        if config.has_gateway:
            wanted = gateway.addresses(result.ips)
            gateway.ensure_addresses(host, bridge, wanted, force=config.force_address)
            gateway.enable_forwarding({address.version for address in wanted})
        if config.ip_masq:
            self._masquerade(config, attachment, result)
        return result

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

        Addresses are released last, when nothing here refers to them any more.
        """
        remove_link = partial(self._remove_link, config, attachment)
        release = partial(self.ipam.delete, config)
        if not config.ip_masq:
            collect(remove_link, release)
            return
        had = inside.Addresses([], [])

        def look() -> None:
            nonlocal had
            if attachment.netns_or_none is not None:
                with RTNL(attachment.netns_or_none) as container:
                    had = inside.addresses(container, attachment.ifname)

        def remove_rules() -> None:
            recorded = [ip.address for ip in config.prev_result.ips] if config.prev_result else []
            self._unmasquerade(attachment, {*had.own, *recorded}, keep=had.others)

        def remove_both() -> None:
            # The kernel waits while it deletes a link, and again while it changes rules.
            with beside(remove_link) as link_is_removed:
                collect(remove_rules, link_is_removed)

        collect(look, remove_both, release)

    def _remove_link(self, config: Config, attachment: Attachment) -> None:
        """Delete the veth, by its end in the container or by what ADD recorded."""
        if attachment.netns_or_none is not None:
            with RTNL(attachment.netns_or_none) as container:
                if veth.remove_peer(container, attachment.ifname):
                    return
        if config.prev_result is not None:
            veth.remove_recorded(config.prev_result, config.bridge)

    def check(self, config: Config, attachment: Attachment) -> None:
        """Raise `DamagedError` with all that is not as the result of ADD says."""
        config.check_usable(attachment.args)
        self.ipam.check(config)
        check.check(config, attachment, search_path=self.call.search_path)

    def status(self, config: Config) -> None:
        """Raise `PluginNotAvailableError` where ADD would fail whatever the container."""
        config.check_usable({})
        with RTNL() as host:
            try:
                bridges.find(host, config.bridge)
            except HostConflictError as err:
                raise PluginNotAvailableError(err.msg, err.details) from err
        self.ipam.status(config)

    def gc(self, config: Config, valid: ValidAttachments) -> None:
        """Release addresses and rules of attachments that are no longer valid.

        Links need nothing: a veth goes with its container's namespace.
        """

        def remove_rules() -> None:
            if config.ip_masq:
                from cnisdk.net import masquerade

                masquerade.gc(network=valid.network, valid=valid, search_path=self.call.search_path)

        collect(remove_rules, partial(self.ipam.gc, config, valid))


def _mtus(host: RTNL, bridge: Link, port: Link) -> tuple[int, int, int]:
    """Return the MTU of bridge, host's end and container's end."""
    bridge_mtu = bridge.mtu
    if bridge_mtu != port.mtu:
        # unless somebody set it, the kernel adapts the bridge's to its new port's
        bridge_mtu = link.mtu_of(host, bridge.name)
    return (bridge_mtu, port.mtu, port.mtu)
