"""host-local by itself, among few and many reservations."""

import hashlib
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.contest import Contestant, Plugin, in_network
from benchmarks.network import Network, Subject
from benchmarks.processes import Sample, run
from benchmarks.rows import compare
from benchmarks.subjects import GO, ONE_CALL, WARM

FIRST = IPv4Address("10.88.0.2")
_MANY = 50_000
_PLUGIN = "host-local"
_GROWTH = f"host-local, {_MANY:,} taken to none"
_ROUNDS = {WARM: 40, ONE_CALL: 12, GO: 3}
_MIXED = f"host-local after a call of Go, {_MANY:,} taken"


def reservations(bench: Bench) -> None:
    """Measure host-local with 0, 1,000 and 50,000 addresses taken, and how that grows."""
    for taken, rounds in ((0, (40, 10)), (1000, (30, 8)), (_MANY, (5, 1))):
        _beside_go(bench, taken, rounds)
    for name in bench.names(WARM, alone=[*_ROUNDS]):
        _growth(bench, name)
    if not bench.quick:
        _after_go(bench, WARM)


class Checked(Plugin):
    """CHECKs one container that stays attached."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, f"{network.state.name} CHECK", plugin=_PLUGIN)
        super().attach()

    def attach(self) -> Sample:
        """CHECK."""
        more = {"prevResult": self.attachment.result}
        command = self.network.call("CHECK", self.attachment, plugin=_PLUGIN, **more)
        return in_network(self.network, lambda: run(command))

    detach = attach


class Interrupted(Plugin):
    """Each call comes after one of the Go plugin, which is not measured."""

    def __init__(self, network: Network, go: Subject) -> None:
        super().__init__(network, plugin=_PLUGIN)
        self.others = Plugin(network, plugin=_PLUGIN)
        self.directories = (network.subject.directory, go.directory)

    def attach(self) -> Sample:
        """ADD after an ADD."""
        self._of_go("ADD")
        return super().attach()

    def detach(self) -> Sample:
        """DEL after a DEL."""
        self._of_go("DEL")
        return super().detach()

    def _of_go(self, verb: str) -> None:
        ours, go = self.directories
        command = self.network.call(verb, self.others.pool[0], plugin=_PLUGIN)
        argv = tuple(word.replace(ours, go) for word in command.argv)
        in_network(self.network, lambda: run(command._replace(argv=argv)))


def _beside_go(bench: Bench, taken: int, rounds: tuple[int, int]) -> None:
    names = list(bench.names(WARM, alone=[ONE_CALL]))
    with bench.networks() as make:
        contestants = []
        for subject in bench.subjects_of(GO, *names):
            network = make(subject)
            _reserve(network, taken)
            contestants.append(Plugin(network, plugin=_PLUGIN))
        outcomes = bench.contest(contestants, *rounds, warm_up=1, extend=taken < _MANY)
    for name in names:
        for which, verb in enumerate(("ADD", "DEL")):
            what = f"{verb}, {taken:,} taken"
            if name not in outcomes:
                bench.without(_PLUGIN, what, name)
                continue
            mine, theirs = outcomes[name][which], outcomes[GO][which]
            bench.rows.append(compare(_PLUGIN, what, name, mine, theirs))


def _growth(bench: Bench, name: str) -> None:
    """Compare a plugin with itself; the target is ours alone."""
    target = None if name == GO else 1.5
    if name not in bench.subjects:
        for verb in ("ADD", "DEL", "CHECK"):
            bench.without(_GROWTH, verb, name, target)
        return
    with bench.networks() as make:
        few, many = make(bench.subjects[name]), make(bench.subjects[name])
        _reserve(many, _MANY)
        pairs: list[list[Contestant]] = [
            [Plugin(few, "none", plugin=_PLUGIN), Plugin(many, "many", plugin=_PLUGIN)],
            [Checked(few), Checked(many)],
        ]
        for verbs, pair in zip((("ADD", "DEL"), ("CHECK",)), pairs, strict=True):
            outcomes = bench.contest(pair, _ROUNDS[name], 20, warm_up=1, extend=name == WARM)
            for which, verb in enumerate(verbs):
                none, taken = (outcomes[contestant.name][which] for contestant in pair)
                bench.rows.append(compare(_GROWTH, verb, name, taken, none, target=target))


def _after_go(bench: Bench, name: str) -> None:
    """Measure what it costs to find out what another has changed."""
    if name not in bench.subjects:
        bench.without(_MIXED, "ADD", name)
        bench.without(_MIXED, "DEL", name)
        return
    go = bench.subjects[GO]
    with bench.networks() as make:
        contestants = [
            Plugin(make(go), plugin=_PLUGIN),
            Interrupted(make(bench.subjects[name]), go),
        ]
        for contestant in contestants:
            _reserve(contestant.network, _MANY)
        outcomes = bench.contest(contestants, 5, 1, warm_up=1, extend=False)
    for which, verb in enumerate(("ADD", "DEL")):
        mine, theirs = outcomes[name][which], outcomes[GO][which]
        bench.rows.append(compare(_MIXED, verb, name, mine, theirs))


def _reserve(network: Network, count: int) -> None:
    """Write ``count`` reservations as either plugin does, each of another container."""
    directory = Path(network.state, network.config["name"])
    directory.mkdir()
    for number in range(count):
        owner = hashlib.sha256(b"%d" % number).hexdigest()
        (directory / str(FIRST + number)).write_text(f"{owner}\r\neth0", newline="")
    if count:
        (directory / "last_reserved_ip.0").write_text(str(FIRST + count - 1))
