"""The systemd units say what the agent does."""

import shlex
from pathlib import Path

import pytest

import cnisdk.agent
from cnisdk.agent import daemon, listener
from cnisdk.agent.protocol import SOCKET
from cnisdk.cli.agent import agent

UNITS = Path(cnisdk.agent.__file__).parent / "units"


def settings(unit: str) -> dict[str, str]:
    """Return the last value of each setting of a unit."""
    lines = (UNITS / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] not in "#;[")


def test_the_socket_is_where_launchers_look() -> None:
    unit = settings("cnisdk-agent.socket")

    assert unit["ListenStream"] == SOCKET
    assert (unit["SocketMode"], unit["DirectoryMode"]) == ("0600", "0700")
    assert int(unit["Backlog"]) == listener.BACKLOG


def test_the_command_has_the_options_that_it_is_started_with() -> None:
    _, verb, *options = shlex.split(settings("cnisdk-agent.service")["ExecStart"])

    assert verb == "agent"
    assert agent.make_context(verb, options).params["path"] == SOCKET


def test_running_calls_get_the_time_that_the_agent_gives_them() -> None:
    unit = settings("cnisdk-agent.service")

    assert float(unit["TimeoutStopSec"]) > daemon.STOP_TIMEOUT + daemon.UNDO_TIMEOUT
    assert float(unit["WatchdogSec"]) > daemon.STUCK


@pytest.mark.parametrize("unit", ["cnisdk-agent.socket", "cnisdk-agent.service"])
def test_every_line_is_a_setting_a_section_or_a_comment(unit: str) -> None:
    for line in (UNITS / unit).read_text().splitlines():
        assert line == "" or line[0] in "#[" or line[0].isupper(), line
