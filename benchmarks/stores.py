"""host-local by itself, among few and many reservations."""

import hashlib
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.contest import Plugin
from benchmarks.network import Network
from benchmarks.rows import compare
from benchmarks.subjects import GO, ONE_CALL, WARM

FIRST = IPv4Address("10.88.0.2")
_MANY = 50_000


def reservations(bench: Bench) -> None:
    """Measure host-local with 0, 1,000 and 50,000 addresses taken."""
    names = list(bench.names(WARM, alone=[ONE_CALL]))
    for taken, rounds in ((0, (40, 10)), (1000, (30, 8)), (_MANY, (5, 1))):
        with bench.networks() as make:
            contestants = []
            for subject in bench.subjects_of(GO, *names):
                network = make(subject)
                _reserve(network, taken)
                contestants.append(Plugin(network, plugin="host-local"))
            outcomes = bench.contest(contestants, *rounds, warm_up=1, extend=taken < _MANY)
        for name in names:
            for which, verb in enumerate(("ADD", "DEL")):
                what = f"{verb}, {taken:,} taken"
                if name not in outcomes:
                    bench.without("host-local", what, name)
                    continue
                mine, theirs = outcomes[name][which], outcomes[GO][which]
                bench.rows.append(compare("host-local", what, name, mine, theirs))


def _reserve(network: Network, count: int) -> None:
    """Write ``count`` reservations as either plugin does, each of another container."""
    directory = Path(network.state, network.config["name"])
    directory.mkdir()
    for number in range(count):
        owner = hashlib.sha256(b"%d" % number).hexdigest()
        (directory / str(FIRST + number)).write_text(f"{owner}\r\neth0", newline="")
    if count:
        (directory / "last_reserved_ip.0").write_text(str(FIRST + count - 1))
