"""Nothing is lost over many calls: addresses, links, rules, memory.

``make soak`` makes ten thousand calls; `CALLS` of them belong to ``make test``.
"""

import os
import sys
import time
from pathlib import Path

from tests.host import Host
from tests.netns.agent.agents import RunningAgent, eventually
from tests.netns.agent.churn import Churn, Use

CALLS = int(os.environ.get("CNISDK_SOAK_CALLS", "300"))


def test_nothing_is_leaked_when_clients_and_agents_are_killed(
    quick: bytes, tmp_path: Path, host: Host
) -> None:
    with RunningAgent(tmp_path, quick) as agent:
        for name in ("bridge", "host-local"):
            agent.write_launcher(name, ("mode", "none"), ("on-del", "queue"))
        churn = Churn(agent, host, calls=CALLS)
        began = time.monotonic()
        churn.run(CALLS * 2 // 3)
        churn.kills_agents = False
        churn.run(CALLS // 6)  # this agent stays, and is warm by now
        before = settled(churn)
        churn.run(CALLS // 6)
        after = settled(churn)
        report(churn, time.monotonic() - began, before, after)

        assert churn.problems == []
        eventually(lambda: not any(churn.leaks()), "\n".join(churn.leaks()))
        assert waiting(agent) == []
    assert churn.killed_clients > CALLS * 0.02
    assert after.fds <= before.fds + after.threads
    assert after.resident - before.resident < 4 << 20


def settled(churn: Churn) -> Use:
    """Return what the agent holds once it has undone the calls of killed clients."""
    eventually(lambda: churn.agent.gauge("running_calls") == 0)
    return churn.use()


def waiting(agent: RunningAgent) -> list[str]:
    """Return the DELs in the queue, without what killed launchers were about to write."""
    names = os.listdir(agent.queue) if agent.queue.exists() else []
    return [name for name in names if not name.startswith(".tmp-")]


def report(churn: Churn, seconds: float, before: Use, after: Use) -> None:
    sys.stderr.write(
        f"{churn.calls} calls in {seconds:.1f} s, {churn.failed} failed, "
        f"{churn.killed_clients} clients and {churn.killed_agents} agents killed\n"
        f"then without killing agents: {before} -> {after}\n"
    )
