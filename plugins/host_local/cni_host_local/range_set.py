"""Ranges that serve one address together: a container gets one address of each set."""

from collections.abc import Iterable, Iterator

from cni_host_local.range import Address, Range, RangeError


class RangeSet(tuple[Range, ...]):
    """Ranges of one family that do not overlap, in the order they are used."""

    __slots__ = ()

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> "RangeSet":
        """Check that ``ranges`` can be used together; raises `RangeError`."""
        made = cls(ranges)
        if not made:
            raise RangeError("empty range set")
        for index, one in enumerate(made):
            if one.start.version != made[0].start.version:
                raise RangeError("mixed address families")
            for other in made[:index]:
                if one.overlaps(other):
                    raise RangeError(f"subnets {other} and {one} overlap")
        return made

    @property
    def version(self) -> int:
        """The family: 4 or 6."""
        return self[0].start.version

    def range_for(self, address: Address) -> Range | None:
        """Return the range that ``address`` is in."""
        for one in self:
            if address in one:
                return one
        return None

    def is_gateway(self, address: Address) -> bool:
        """Say whether ``address`` is the gateway of any range of the set."""
        return any(address == one.gateway for one in self)

    def overlaps(self, other: "RangeSet") -> bool:
        """Say whether any address belongs to both sets."""
        return any(mine.overlaps(theirs) for mine in self for theirs in other)

    def size(self) -> int:
        """Return how many addresses there are to give away."""
        gateways = {one.gateway for one in self if self.range_for(one.gateway)}
        return sum(int(one.end) - int(one.start) + 1 for one in self) - len(gateways)

    def candidates(self, last: Address | None) -> Iterator[Address]:
        """Yield every address to give away once, in the order they are tried.

        That is round robin: behind ``last``, the one given away last, and ``last`` itself at the
        very end, so that an address rests as long as possible.  Without a ``last`` of this set
        it starts at the set's beginning.
        """
        gateways = {int(one.gateway) for one in self if one.gateway.version == self.version}
        kind = type(self[0].start)
        for first, end in self._spans(last):
            for number in range(first, end + 1):
                if number not in gateways:
                    yield kind(number)

    def _spans(self, last: Address | None) -> list[tuple[int, int]]:
        spans = [(int(one.start), int(one.end)) for one in self]
        for index, (first, end) in enumerate(spans):
            if last is not None and last in self[index]:
                resume = int(last) + 1
                return [(resume, end), *spans[index + 1 :], *spans[:index], (first, resume - 1)]
        return spans

    def __contains__(self, address: object) -> bool:
        return any(address in one for one in self)

    def __str__(self) -> str:
        return ",".join(str(one) for one in self)
