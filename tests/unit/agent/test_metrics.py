"""What is counted, as Prometheus reads it."""

import re

from cnisdk.agent.metrics import BUCKETS, Metrics

SAMPLE = re.compile(r"[a-z_]+(\{([a-z]+=\"[^\"]*\",?)*\})? [0-9.e+-]+")


def test_every_line_is_a_comment_or_a_sample() -> None:
    metrics = Metrics()
    metrics.began()
    metrics.ended("bridge", "ADD", "ok", 0.003)
    metrics.refused("malformed")
    for line in metrics.text({"connections": 1}).splitlines():
        assert re.match("# (TYPE|HELP) ", line) or SAMPLE.fullmatch(line), line


def test_buckets_are_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.003, 100.0):
        metrics.began()
        metrics.ended("bridge", "ADD", "ok", seconds)
    text = metrics.text({})
    name = 'cnisdk_agent_call_seconds_bucket{command="ADD",le="%s"}'

    counts = [
        int(line.split()[1])
        for bound in (*BUCKETS, "+Inf")
        for line in text.splitlines()
        if line.startswith(name % bound)
    ]
    assert counts == [1, 1, *[2] * 11, 3]
    assert 'cnisdk_agent_call_seconds_count{command="ADD"} 3' in text


def test_a_command_that_is_none_makes_no_label() -> None:
    metrics = Metrics()
    metrics.began()
    metrics.ended("bridge", 'NONSENSE"}', "failed", 0.1)

    assert 'command="other"' in metrics.text({})
    assert "NONSENSE" not in metrics.text({})
