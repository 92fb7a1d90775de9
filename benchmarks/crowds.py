"""Many calls at the same moment, and a node that starts."""

from benchmarks.bench import Bench
from benchmarks.contest import Crowd
from benchmarks.processes import memory_of
from benchmarks.rows import Row, Series, compare, spread
from benchmarks.subjects import GO, ONE_CALL, WARM

PODS = 200
PODS_AT_ONCE = 10
"""How many pods a node starts side by side."""

_GROUP = "at once"
_NODE = f"{PODS} pods"


def together(bench: Bench) -> None:
    """Measure how long it takes until 1, 16 or 64 calls are all done."""
    for count, rounds in ((1, (40, 10)), (16, (16, 4)), (64, (8, 3))):
        _crowd(bench, count, WARM, rounds)
        if count > 1 and not bench.quick:
            _crowd(bench, count, ONE_CALL, (3, 0))


def _crowd(bench: Bench, count: int, name: str, rounds: tuple[int, int]) -> None:
    with bench.networks() as make:
        crowds = [Crowd(make(s), count) for s in bench.subjects_of(GO, name)]
        outcomes = bench.contest(crowds, *rounds, extend=name == WARM)
    for which, verb in enumerate(("ADD", "DEL")):
        target = 0.5 if (count, name, verb) == (64, WARM, "ADD") else None
        if name not in outcomes:
            bench.without(_GROUP, f"{count} {verb}", name, target)
            continue
        mine, theirs = outcomes[name][which], outcomes[GO][which]
        row = compare(_GROUP, f"{count} {verb}", name, mine, theirs, target=target)
        bench.rows.append(row)


def node_start(bench: Bench) -> None:
    """Measure a node that starts and stops all its pods, with an agent of its own."""
    if WARM not in bench.subjects:
        for what in ("CPU, ADD then DEL", "agent's memory at rest"):
            bench.without(_NODE, what, WARM, 0.5 if "CPU" in what else 60)
        return
    memory: dict[str, list[float]] = {"at start": [], "at rest": [], "peak": []}
    both = {name: Series([], []) for name in (GO, WARM)}
    with bench.agent() as agent, bench.networks() as make:
        pid = agent.subject.agent_pid
        memory["at start"].append(memory_of(pid)["VmRSS"])
        crowds = [
            Crowd(make(subject), PODS, at_once=PODS_AT_ONCE)
            for subject in (bench.subjects[GO], agent.subject)
        ]
        for turn in range(bench.rounds(4, 1)):
            for crowd in crowds if turn % 2 else crowds[::-1]:
                attached = crowd.attach()
                if crowd.name == WARM:
                    memory["at rest"].append(memory_of(pid)["VmRSS"])
                detached = crowd.detach()
                both[crowd.name].cpu.append(attached.cpu + detached.cpu)
                both[crowd.name].wall.append(attached.wall + detached.wall)
        memory["peak"].append(memory_of(pid)["VmHWM"])
    for what, target, by_cpu in (("CPU", 0.5, True), ("time", None, False)):
        what = f"{what}, ADD then DEL"
        row = compare(_NODE, what, WARM, both[WARM], both[GO], target=target, by_cpu=by_cpu)
        bench.rows.append(row)
    for when, values in memory.items():
        limit = 60 if when == "at rest" else None
        row = Row(_NODE, f"agent's memory {when}", WARM, spread(values), target=limit, unit="MB")
        bench.rows.append(row)
