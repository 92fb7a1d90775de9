"""What there is in a network namespace, and what one has that another had not.

Looked up with as few executions of ``ip`` and ``nft`` as possible: a kit does it before and
after much of what it has a plugin do.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cnisdk.conformance.host import Namespace, tool
from cnisdk.runtime.defaults import NETNS_DIR

WATCHED = ("/run", "/var/lib/cni")
"""Where plugins keep files."""

_PATIENCE = 1.0  # seconds
_INTERVAL = 0.02

_MOST = 1 << 16


@dataclass(frozen=True, slots=True)
class State:
    """Links with their addresses, routes, and the firewall's rules if they were asked for."""

    links: dict[str, dict[str, Any]]
    routes: tuple[dict[str, Any], ...]
    rules: tuple[str, ...] = ()

    def lines(self) -> set[str]:
        """Return all that does not change by itself, one line a thing."""
        lines = set(self.rules)
        for name, link in self.links.items():
            kind = link.get("linkinfo", {}).get("info_kind", "")
            up = "up" if "UP" in link["flags"] else "down"
            lines.add(f"link {name} {kind}".rstrip())
            lines.add(f"link {name} is {up}, MTU {link['mtu']}, master {link.get('master', '-')}")
            lines |= {f"address {address} on {name}" for address in addresses_of(link)}
        for route in self.routes:
            if not str(route["dst"]).startswith(("fe80:", "ff00:")):
                keys = ("type", "dst", "gateway", "dev", "table", "metric")
                text = " ".join(str(route[key]) for key in keys if key in route)
                lines.add(f"route {text}")
        return lines


def addresses_of(link: dict[str, Any]) -> list[str]:
    """Return the addresses of a link in CIDR notation, but for link-local ones of IPv6."""
    return [
        f"{addr['local']}/{addr['prefixlen']}"
        for addr in link.get("addr_info", ())
        if not (addr["family"] == "inet6" and addr["scope"] == "link")
    ]


def look(namespace: Namespace, *, rules: bool = False) -> State:
    """Return what there is in ``namespace``."""
    ip = tool("ip") or "ip"
    out = namespace.run(
        ip, "-d", "-j", "-batch", "-", input="addr show\nroute show table all\n"
    ).stdout
    links, routes = _values(out)
    return State(
        {link["ifname"]: link for link in links},
        tuple({**route, "family": _family(route)} for route in routes),
        tuple(_rules(namespace)) if rules else (),
    )


def _family(route: dict[str, Any]) -> int:
    known = [str(route.get(key, "")) for key in ("dst", "gateway", "prefsrc")]
    return 6 if ":" in "".join(known) else 4


def _values(text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    decoder = json.JSONDecoder()
    links, end = decoder.raw_decode(text)
    rest = text[end:].strip()
    routes = decoder.raw_decode(rest)[0] if rest else []
    return [link for link in links if link], [route for route in routes if route]


def _rules(namespace: Namespace) -> Iterable[str]:
    if tool("nft"):
        for entry in namespace.json("nft", "list", "ruleset")["nftables"]:
            ((kind, value),) = entry.items()
            if kind in ("rule", "chain", "element") and isinstance(value, dict):
                value.pop("handle", None)
                expr = [e for e in value.pop("expr", ()) if "counter" not in e]
                yield f"firewall {kind} {json.dumps(value | {'expr': expr}, sort_keys=True)}"
    if _is_legacy():
        for name in ("iptables-save", "ip6tables-save"):
            if path := tool(name):
                for line in namespace.run(path).stdout.splitlines():
                    if line.startswith("-A"):
                        yield f"firewall rule {line}"


@cache
def _is_legacy() -> bool:
    """Whether iptables keeps rules that nft does not list."""
    path = tool("iptables")
    return path is not None and "legacy" in os.path.realpath(path)


def left(before: Iterable[State], look: Callable[[], Iterable[State]]) -> list[str]:
    """Return what is there now and was not ``before``, and what has gone.

    Waits a little where something is left, since some things go a moment later.
    """
    was = [state.lines() for state in before]

    def differences() -> list[str]:
        now = [state.lines() for state in look()]
        found = [f"left: {line}" for a, b in zip(was, now, strict=True) for line in sorted(b - a)]
        found += [f"gone: {line}" for a, b in zip(was, now, strict=True) for line in sorted(a - b)]
        return found

    return patiently(
        differences,
        lambda found: any(line.split()[1] in ("link", "address", "route") for line in found),
    )


def patiently(
    find: Callable[[], list[str]], may_pass: Callable[[list[str]], bool] = bool
) -> list[str]:
    """Return what ``find`` finds, once none of it ``may_pass`` by itself or it has not for long.

    A link of a namespace that is gone goes a little later (cleanup_net is a work queue).
    """
    deadline = time.monotonic() + _PATIENCE
    while may_pass(found := find()) and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    return found


def files_of(container_id: str, roots: Iterable[Path], but: Path) -> list[str]:
    """Return the files that a container's ID is in, in name or content, but those below ``but``."""
    found = []
    for root in roots:
        for directory, names, files in os.walk(root):
            here = Path(directory)
            names[:] = [n for n in names if here / n not in (but, Path(NETNS_DIR))]
            found += [str(here / file) for file in files if _mentions(here / file, container_id)]
    return found


def _mentions(path: Path, text: str) -> bool:
    if text in path.name:
        return True
    try:
        # Not to wait for the other end of a pipe, which need not be one by the time it is open.
        with open(path, "rb", opener=_open_at_once) as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return regular and text.encode() in file.read(_MOST)
    except OSError:
        return False


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
