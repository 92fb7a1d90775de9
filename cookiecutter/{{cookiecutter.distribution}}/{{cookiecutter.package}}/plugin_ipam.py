"""The hooks."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_interface

from cnisdk import (
    Attachment,
    InvalidNetworkConfigError,
    IPConfig,
    Plugin,
    PluginError,
    PluginNotAvailableError,
    Result,
    ValidAttachments,
)

from {{ cookiecutter.package }}.config import IPAM, Config
from {{ cookiecutter.package }}.store import Store


class {{ cookiecutter.class_name }}(Plugin[Config]):
    """{{ cookiecutter.description }}.

    An address is a file; whoever makes it first has it.
    """

    def add(self, config: Config, attachment: Attachment) -> Result:
        """Reserve the lowest free address."""
        subnet = _subnet(config)
        store = _store(config, attachment.network)
        self.undo.push(store.release, attachment.key)
        address = store.reserve(attachment.key, _usable(config, subnet))
        if address is None:
            raise PluginError("no address is free", f"$.ipam.subnet: {subnet}")
        given = ip_interface((address, subnet.prefixlen))
        return Result(ips=(IPConfig(address=given, gateway=_gateway(subnet)),))

    def delete(self, config: Config, attachment: Attachment) -> None:
        """Release what the attachment has; one that has nothing is fine."""
        _store(config, attachment.network).release(attachment.key)

    def check(self, config: Config, attachment: Attachment) -> None:
        """Raise what is not as ADD left it."""
        held = _store(config, attachment.network).held_by(attachment.key)
        if not held:
            raise PluginError("the attachment has no address", attachment.container_id)

    def status(self, config: Config) -> None:
        """Raise `PluginNotAvailableError` where no address is left."""
        subnet = _subnet(config)
        if not _store(config, config.name).has_free(_usable(config, subnet)):
            raise PluginNotAvailableError("no address is free", f"$.ipam.subnet: {subnet}")

    def gc(self, config: Config, valid: ValidAttachments) -> None:
        """Release what attachments that are no longer valid still hold."""
        _store(config, valid.network).release_all_but(valid)


def _store(config: Config, network: str) -> Store:
    return Store(f"{(config.ipam or IPAM()).data_dir}/{network}")


def _subnet(config: Config) -> IPv4Network:
    if config.ipam is None or config.ipam.subnet is None:
        raise InvalidNetworkConfigError("no subnet to take addresses from", "$.ipam.subnet")
    return config.ipam.subnet


def _usable(config: Config, subnet: IPv4Network) -> Iterator[IPv4Address]:
    """Return what may be given to a container, lowest first."""
    assert config.ipam is not None
    first, last = config.ipam.range_start, config.ipam.range_end
    for address in subnet.hosts():
        if address != _gateway(subnet) and (first or address) <= address <= (last or address):
            yield address


def _gateway(subnet: IPv4Network) -> IPv4Address:
    return subnet.network_address + 1
