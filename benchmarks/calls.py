"""One call after the other: ADD and DEL of bridge with host-local."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import network
from benchmarks.bench import Bench
from benchmarks.contest import Contestant, Outcome, Plugin, Program
from benchmarks.network import Network
from benchmarks.processes import Command
from benchmarks.rows import compare
from benchmarks.subjects import GO, ONE_CALL, STANDALONE, WARM, MissingError, witness

ALONE = (ONE_CALL, STANDALONE)
PYDANTIC = 'python3 -c "import pydantic"'
IP = "ip -batch"
TRUE = "/bin/true"
EMPTY = "a static program"
NFTABLES = f"{WARM}, nftables"

_ENVIRON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
# add and delete, warm, from the issue
_TARGETS = {"IPv4": (0.35, 1.0), "ipMasq iptables": (0.35, 0.5), "ipMasq nftables": (0.35, 0.5)}


def plain(bench: Bench) -> None:
    """Measure the usual network with the agent, and in the same rounds what cannot be beaten."""
    with bench.networks() as make:
        plugins = [Plugin(make(s)) for s in bench.subjects_of(GO, WARM)]
        floor = _floor(make(bench.subjects[GO]))
        empty = [Program(TRUE, [Command([_which("true")], _ENVIRON)])]
        try:
            empty.append(Program(EMPTY, [Command([witness(bench.directory)], _ENVIRON)]))
        except MissingError as err:
            bench.missing[EMPTY] = str(err)
        outcomes = bench.contest([*plugins, floor, *empty], 100, 20)
    _rows(bench, "IPv4", {WARM: WARM}, outcomes)
    reference = outcomes[GO]
    for name, what in ((IP, "the kernel's work of ADD"), (TRUE, "nothing"), (EMPTY, "nothing")):
        if name in outcomes:
            bench.rows.append(compare("floor", what, name, outcomes[name].attach, reference.attach))
        else:
            bench.without("floor", what, name)
    row = compare("floor", "the kernel's work of DEL", IP, outcomes[IP].detach, reference.detach)
    bench.rows.append(row)


def without_agent(bench: Bench) -> None:
    """Measure the usual network where each call starts Python, and what alone that costs."""
    with bench.networks() as make:
        plugins = [Plugin(make(s)) for s in bench.subjects_of(GO, *ALONE)]
        pydantic = Program(PYDANTIC, [Command([sys.executable, "-c", "import pydantic"], _ENVIRON)])
        outcomes = bench.contest([*plugins, pydantic], 30, 5)
    _rows(bench, "IPv4, no agent", {name: name for name in ALONE}, outcomes)
    for name, target in ((ONE_CALL, 1.5), (STANDALONE, None)):
        what = f"ADD : {PYDANTIC}"
        if name not in outcomes:
            bench.without("IPv4, no agent", what, name, target)
            continue
        mine, theirs = outcomes[name].attach, outcomes[PYDANTIC].attach
        row = compare("IPv4, no agent", what, name, mine, theirs, target=target)
        bench.rows.append(row)


def masquerading(bench: Bench) -> None:
    """Measure ``ipMasq`` with both backends, against the one that the reference has."""
    with bench.networks(network.masquerading) as make:
        contestants: list[Contestant] = []
        for subject in bench.subjects_of(GO, WARM):
            contestants.append(Plugin(make(subject)))
            if subject.name == WARM:
                own = network.masquerading("nftables")
                contestants.append(Plugin(make(subject, own), NFTABLES))
        outcomes = bench.contest(contestants, 50, 8)
    _rows(bench, "ipMasq iptables", {WARM: WARM}, outcomes)
    _alone(bench, "ipMasq iptables", network.masquerading)
    _rows(bench, "ipMasq nftables", {NFTABLES: WARM}, outcomes)


def dual_stack(bench: Bench) -> None:
    """Measure IPv4 and IPv6 together."""
    with bench.networks(network.dual_stack) as make:
        plugins = [Plugin(make(s)) for s in bench.subjects_of(GO, WARM)]
        outcomes = bench.contest(plugins, 50, 8)
    _rows(bench, "dual stack", {WARM: WARM}, outcomes)
    _alone(bench, "dual stack", network.dual_stack)


def _alone(bench: Bench, group: str, config: Callable[[], Mapping[str, Any]]) -> None:
    """Measure those without an agent, which takes long, in a full run."""
    if bench.quick:
        return
    with bench.networks(config) as make:
        plugins = [Plugin(make(s)) for s in bench.subjects_of(GO, *ALONE)]
        outcomes = bench.contest(plugins, 15, 0, extend=False)
    _rows(bench, group, {name: name for name in ALONE}, outcomes)


def _rows(
    bench: Bench,
    group: str,
    names: Mapping[str, str],
    outcomes: Mapping[str, Outcome],
) -> None:
    """Add the rows of ``names``: of a contestant, which subject it is."""
    for contestant, subject in names.items():
        for which, what in enumerate(("ADD", "DEL")):
            target = _TARGETS.get(group, (None, None))[which] if subject == WARM else None
            if contestant not in outcomes:
                bench.without(group, what, subject, target)
                continue
            mine, theirs = outcomes[contestant][which], outcomes[GO][which]
            bench.rows.append(compare(group, what, subject, mine, theirs, target=target))


def _floor(on: Network) -> Program:
    """Return what does the kernel's part of an ADD with iproute2; two programs, as two hosts."""
    on.host.run("ip", "link", "add", "cni0", "up", "type", "bridge")
    on.host.run("ip", "address", "add", "10.88.0.1/16", "dev", "cni0")
    container = on.host.container()
    ip = _which("ip")
    host = f"link add veth0 up master cni0 type veth peer name eth0 netns {container.name}\n"
    inside = (
        "address add 10.88.0.2/16 dev eth0\nlink set eth0 up\nroute add default via 10.88.0.1\n"
    )

    def batch(text: str, *options: str) -> Command:
        return Command([ip, *options, "-batch", "-"], _ENVIRON, text.encode())

    there: Sequence[str] = ("-netns", container.name)
    return Program(
        IP,
        [batch(host), batch(inside, *there)],
        [batch("link delete eth0\n", *there)],
        on,
    )


def _which(program: str) -> str:
    path = shutil.which(program, path=_ENVIRON["PATH"])
    if path is None:
        raise FileNotFoundError(program)
    return path
