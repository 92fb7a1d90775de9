"""Which address of a range set a container gets."""

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface
from typing import NamedTuple

from cni_host_local.errors import DUPLICATE, EXHAUSTED, UNAVAILABLE
from cni_host_local.range import Address, Range
from cni_host_local.range_set import RangeSet
from cni_host_local.store import Store
from cnisdk import AttachmentKey, PluginError


class Allocation(NamedTuple):
    """An address and the range it came from."""

    address: Address
    range: Range

    @property
    def interface(self) -> IPv4Interface | IPv6Interface:
        """The address with the prefix of its subnet, as a container has it."""
        kind = IPv4Interface if self.address.version == 4 else IPv6Interface
        return kind((int(self.address), self.range.subnet.prefixlen))


class Allocator:
    """Gives away the addresses of one range set; the caller holds the store's lock."""

    def __init__(self, range_set: RangeSet, store: Store, set_index: int) -> None:
        self.range_set = range_set
        self.store = store
        self.set_index = set_index

    def allocate(
        self,
        owner: AttachmentKey,
        requested: Address | None = None,
        *,
        on_reserved: Callable[[Address], object] = lambda _: None,
    ) -> Allocation:
        """Reserve ``requested``, or the next free address in turn, for ``owner``.

        ``on_reserved`` is called once the address is reserved, before anything else can fail.
        Raises `PluginError` with a code of `cni_host_local.errors`.
        """
        self._refuse_second(owner)
        if requested is None:
            address = self._reserve_next(owner)
        else:
            address = self._reserve(owner, requested)
        on_reserved(address)
        self.store.set_last_reserved(self.set_index, address)
        found = self.range_set.range_for(address)
        assert found is not None, "candidates come from the set"  # noqa: S101
        return Allocation(address, found)

    def _refuse_second(self, owner: AttachmentKey) -> None:
        """Give an attachment at most one address of a set, asked for or not."""
        for address in self.store.owned(owner):
            if address in self.range_set:
                raise PluginError(
                    f"{address} has been allocated to {owner.container_id}, "
                    "duplicate allocation is not allowed",
                    code=DUPLICATE,
                )

    def _reserve_next(self, owner: AttachmentKey) -> Address:
        last = self.store.last_reserved(self.set_index)
        address = self.store.reserve(self.range_set.candidates(last), owner)
        if address is None:
            raise PluginError(
                f"no IP addresses available in range set: {self.range_set}", code=EXHAUSTED
            )
        return address

    def _reserve(self, owner: AttachmentKey, requested: Address) -> Address:
        if requested not in self.range_set:
            raise PluginError(f"{requested} not in range set {self.range_set}", code=UNAVAILABLE)
        if self.range_set.is_gateway(requested):
            raise PluginError(f"requested ip {requested} is subnet's gateway", code=UNAVAILABLE)
        if self.store.reserve([requested], owner) is None:
            raise PluginError(
                f"requested IP address {requested} is not available in range set {self.range_set}",
                code=UNAVAILABLE,
            )
        return requested
