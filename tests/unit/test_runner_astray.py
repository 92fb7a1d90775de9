"""What the runner does when a hook leaves its thread in another network namespace, or worse.

Each call runs in a thread of its own, which is lost afterwards.
"""

import json
import os
import threading
from typing import Any, ClassVar

import pytest

from cnisdk import Attachment, Plugin, PluginConfig, Result
from cnisdk.call import Call
from cnisdk.net.netns import NetNS, StrandedThread
from cnisdk.runner import Run, run_call
from tests.host import Host


class Config(PluginConfig):
    how: str = "stray"


class Panic(BaseException):
    """What pydantic raises for a bug of its own is no Exception either."""


def here() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


class Astray(Plugin[Config]):
    """Leaves the thread in the container's namespace."""

    undone_in: ClassVar[list[int]] = []

    def add(self, config: Config, attachment: Attachment) -> Result:
        self.undo.push(lambda: self.undone_in.append(here()))
        if config.how == "panic":
            raise Panic("unexpectedly")
        attachment.netns.move_thread()
        if config.how == "stranded":
            raise StrandedThread("cannot return")
        raise ValueError("failed in there")

    def delete(self, config: Config, attachment: Attachment) -> None:
        raise StrandedThread("cannot return")


@pytest.fixture(autouse=True)
def _forget() -> None:
    Astray.undone_in.clear()


def call(host: Host, command: str, how: str) -> tuple[int, dict[str, Any]]:
    """Run one call in a thread whose host is ``host``; return status and answer."""
    container = host.container()
    variables = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c",
        "CNI_NETNS": container.path,
        "CNI_IFNAME": "eth0",
    }
    stdin = json.dumps({"cniVersion": "1.1.0", "name": "n", "type": "astray", "how": how}).encode()
    answers: list[bytes] = []
    status: list[int] = []

    def serve() -> None:
        with NetNS.open(host.path) as netns:
            netns.move_thread()
        cni_call = Call.from_environ(variables, logger=lambda _, __: None)
        status.append(run_call(Astray, cni_call, stdin, answers.append))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    return status[0], json.loads(b"".join(answers))


def test_an_add_is_undone_in_the_namespace_in_which_it_began(host: Host) -> None:
    status, error = call(host, "ADD", "stray")

    assert (status, error["code"]) == (1, 999)
    assert Astray.undone_in == [os.stat(host.path).st_ino]


def test_a_thread_that_can_return_after_all_undoes_its_add(host: Host) -> None:
    status, error = call(host, "ADD", "stranded")

    assert (status, error["code"]) == (1, 999)
    assert "StrandedThread" in error["msg"]
    assert Astray.undone_in == [os.stat(host.path).st_ino]


def test_an_add_is_not_undone_in_a_wrong_namespace(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: NetNS) -> None:
        if self.path == "/proc/thread-self/ns/net":
            raise PermissionError(1, "Operation not permitted")
        moved(self)

    moved = NetNS.move_thread
    monkeypatch.setattr(NetNS, "move_thread", refuse)
    status, error = call(host, "ADD", "stranded")

    assert (status, error["code"]) == (1, 999)
    assert Astray.undone_in == []


def test_a_stranded_delete_is_an_error(host: Host) -> None:
    status, error = call(host, "DEL", "stranded")

    assert (status, error["code"]) == (1, 999)


def test_a_stranded_delegate_stops_the_plugin_that_delegates(host: Host) -> None:
    variables = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0"}
    stdin = json.dumps({"cniVersion": "1.1.0", "name": "n", "type": "astray"}).encode()

    with pytest.raises(StrandedThread):
        Run(Astray, Call.from_environ(variables)).serve(stdin, lambda _: None)


def test_what_is_no_exception_is_answered_and_undone(host: Host) -> None:
    status, error = call(host, "ADD", "panic")

    assert (status, error["code"], error["msg"]) == (1, 999, "Panic: unexpectedly")
    assert Astray.undone_in == [os.stat(host.path).st_ino]
