"""VERSION, and how much memory a call takes."""

import os
import subprocess

from benchmarks.bench import Bench
from benchmarks.contest import Contestant, Program
from benchmarks.network import Attachment, Network
from benchmarks.processes import Command
from benchmarks.rows import Row, compare, spread
from benchmarks.subjects import GO, ONE_CALL, STANDALONE, WARM, MissingError, witness

_OURS = (WARM, ONE_CALL, STANDALONE)


def version(bench: Bench) -> None:
    """Measure VERSION, which podman asks each plugin of each network at each command."""
    with bench.networks() as make:
        contestants: list[Contestant] = [
            Program(name, [make(subject).call("VERSION")])
            for name, subject in bench.subjects.items()
        ]
        outcomes = bench.contest(contestants, 60, 30)
    for name in _OURS:
        target = 0.7 if name == WARM else None
        if name in outcomes:
            mine, theirs = outcomes[name].attach, outcomes[GO].attach
            row = compare("VERSION", "through the launcher", name, mine, theirs, target=target)
            bench.rows.append(row)
        else:
            bench.without("VERSION", "through the launcher", name, target)


def memory(bench: Bench) -> None:
    """Measure the most memory that one process of an ADD has; the agent's is in another row."""
    try:
        program = witness(bench.directory)
    except MissingError as err:
        bench.rows.append(Row("memory", "ADD, peak of a process", GO, missing=str(err)))
        return
    peaks: dict[str, list[float]] = {}
    with bench.networks() as make:
        for name, subject in bench.subjects.items():
            network = make(subject)
            (attachment,) = network.attachments(1)
            peaks[name] = [_peak(program, network, attachment) for _ in range(3)]
    reference = spread(peaks[GO])
    for name in _OURS:
        if name not in peaks:
            bench.without("memory", "ADD, peak of a process", name)
            continue
        ours = spread(peaks[name])
        ratio = spread([ours.median / reference.median])
        row = Row("memory", "ADD, peak of a process", name, ours, reference, ratio, unit="MB")
        bench.rows.append(row)


def _peak(program: str, network: Network, attachment: Attachment) -> float:
    attachment = network.again(attachment)
    command = network.add(attachment)
    peak = _witnessed(program, network, command)
    _witnessed(program, network, network.call("DEL", attachment))
    return peak


def _witnessed(program: str, network: Network, command: Command) -> float:
    with network.host.inside():
        done = subprocess.run(
            [program, *command.argv],
            input=command.stdin,
            env=dict(command.env),
            capture_output=True,
            check=True,
        )
    return int(done.stderr.split(os.linesep.encode())[-2]) / 1024
