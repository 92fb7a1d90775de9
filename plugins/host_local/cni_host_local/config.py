"""What an administrator and a runtime may tell host-local.

Ranges stay text in the models: a DEL must release under a configuration whose ranges make no
sense, so they are understood (`range_sets`) by the hooks that need them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cni_host_local.errors import UNAVAILABLE
from cni_host_local.range import Address, MalformedError, Range, RangeError, parse_address
from cni_host_local.range_set import RangeSet
from cnisdk import (
    Field,
    InvalidEnvironmentError,
    InvalidNetworkConfigError,
    IPAMConfig,
    IPRange,
    PluginConfig,
    PluginError,
    Route,
    versions,
)

SEVERAL_PER_FAMILY_SINCE = "0.3.0"
"""The first version whose results hold more than one address of a family."""


class IPAM(IPRange, IPAMConfig):
    """The ``ipam`` object; its own ``subnet`` is a range set of one range, as in old times."""

    ranges: tuple[tuple[IPRange, ...], ...] | None = None
    """A container gets one address of each set; a set's ranges are tried in turn."""
    routes: tuple[Route, ...] | None = None
    """Passed on in the result as they are."""
    data_dir: str | None = Field(default=None, alias="dataDir")
    resolv_conf: str | None = Field(default=None, alias="resolvConf")
    """The file that the result's ``dns`` is read from."""
    reclaim_after_reboot: bool = Field(default=True, alias="reclaimAfterReboot")
    """Whether the first ADD of a boot releases what is reserved since an earlier one."""


class Config(PluginConfig):
    """The whole configuration."""

    ipam: IPAM | None = None


def range_sets(config: Config) -> list[RangeSet]:
    """Return the range sets of a configuration in the order of their numbers.

    Those of the runtime come first, then the one range of old configurations, then ``ranges``.
    Raises `InvalidNetworkConfigError`, whose details name the JSON path.
    """
    made: list[RangeSet] = []
    paths: list[str] = []
    for index, (path, ranges) in enumerate(_written(config)):
        made.append(_range_set(index, path, ranges))
        paths.append(path)
    if not made:
        raise InvalidNetworkConfigError("no IP ranges specified", "$.ipam.ranges")
    for later, one in enumerate(made):
        for earlier, other in enumerate(made[:later]):
            if one.overlaps(other):
                raise InvalidNetworkConfigError(
                    f"range set {earlier} overlaps with {later}",
                    f"{paths[earlier]}: {other}; {paths[later]}: {one}",
                )
    families = [one.version for one in made]
    if max(families.count(4), families.count(6)) > 1 and not versions.at_least(
        config.cni_version, SEVERAL_PER_FAMILY_SINCE
    ):
        raise InvalidNetworkConfigError(
            f"CNI version {config.cni_version} does not support more than 1 address per family",
            ", ".join(paths),
        )
    return made


def requested(
    config: Config, args: Mapping[str, str], sets: list[RangeSet]
) -> list[Address | None]:
    """Return the address that is asked for of each set.

    CONVENTIONS: what ``args`` says too is not taken from CNI_ARGS, so the address in CNI_ARGS
    gives way to another one for the same set.
    """
    pending = dict.fromkeys(_requests(config))
    if (old := _from_cni_args(args)) is not None:
        home = next((one for one in sets if old in one), None)
        if home is None or not any(address in home for address in pending):
            pending = {old: None, **pending}
    chosen: list[Address | None] = []
    for one in sets:
        fitting = next((address for address in pending if address in one), None)
        if fitting is not None:
            del pending[fitting]
        chosen.append(fitting)
    if pending:
        raise PluginError(
            "failed to allocate all requested IPs: " + " ".join(map(str, pending)),
            f"range sets: {'; '.join(map(str, sets))}",
            code=UNAVAILABLE,
        )
    return chosen


def _written(config: Config) -> Iterator[tuple[str, tuple[IPRange, ...]]]:
    """Yield each range set as it is written, and its JSON path."""
    for index, ranges in enumerate(config.runtime_config.ip_ranges):
        yield f"$.runtimeConfig.ipRanges[{index}]", ranges
    if config.ipam is None:
        return
    if config.ipam.subnet:
        yield "$.ipam", (config.ipam,)
    for index, ranges in enumerate(config.ipam.ranges or ()):
        yield f"$.ipam.ranges[{index}]", ranges


def _range_set(index: int, path: str, ranges: tuple[IPRange, ...]) -> RangeSet:
    parsed = []
    for number, one in enumerate(ranges):
        where = path if path == "$.ipam" else f"{path}[{number}]"
        try:
            parsed.append(
                Range.parse(
                    one.subnet or "",
                    one.range_start or "",
                    one.range_end or "",
                    one.gateway or "",
                )
            )
        except MalformedError as err:
            raise InvalidNetworkConfigError(str(err), _named(where, err.key, one)) from err
        except RangeError as err:
            raise InvalidNetworkConfigError(
                f"invalid range set {index}: {err}", _named(where, err.key, one)
            ) from err
    try:
        return RangeSet.of(parsed)
    except RangeError as err:
        raise InvalidNetworkConfigError(f"invalid range set {index}: {err}", path) from err


def _named(path: str, key: str, one: IPRange) -> str:
    """Return JSON path and value of a key of ``one``."""
    written = one.model_dump(by_alias=True)[key]
    return f'{path}.{key}: "{written}"' if written else f"{path}.{key} is missing"


def _requests(config: Config) -> Iterator[Address]:
    """Yield the addresses asked for by ``args.cni.ips``, then by ``runtimeConfig.ips``."""
    cni: Any = config.args.get("cni")
    texts: Any = (cni.get("ips") if isinstance(cni, dict) else None) or ()
    if not isinstance(texts, list | tuple):
        raise InvalidNetworkConfigError("args.cni.ips is not a list", f"$.args.cni.ips: {texts!r}")
    for path, ips in (
        ("$.args.cni.ips", texts),
        ("$.runtimeConfig.ips", config.runtime_config.ips),
    ):
        for index, text in enumerate(ips):
            try:
                yield _address(str(text))
            except ValueError as err:
                raise InvalidNetworkConfigError(str(err), f"{path}[{index}]: {text!r}") from err


def _from_cni_args(args: Mapping[str, str]) -> Address | None:
    text = args.get("IP")
    if not text:
        return None
    try:
        return _address(text)
    except ValueError as err:
        raise InvalidEnvironmentError(
            f'ARGS: error parsing value of pair "IP={text}": {err}', f"CNI_ARGS: IP={text}"
        ) from err


def _address(text: str) -> Address:
    """Return the address of ``address`` or ``address/prefix``."""
    address, slash, prefix = text.partition("/")
    if slash and not (prefix.isascii() and prefix.isdigit()):
        raise ValueError(f"invalid IP address {text}")
    return parse_address(address)
