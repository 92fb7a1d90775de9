"""One served call by itself, as a thread of the agent has it."""

import json
import os
from collections.abc import Iterator

import pytest

from cnisdk import Attachment, Plugin, PluginConfig, Result
from cnisdk.agent.protocol import Descriptor, Request
from cnisdk.agent.served import ServedCall

STDIN = b'{"cniVersion": "1.1.0", "name": "net", "type": "asked"}'


class Asked(Plugin[PluginConfig]):
    """Wants nothing and does nothing."""

    def add(self, config: PluginConfig, attachment: Attachment) -> Result:
        raise NotImplementedError

    def delete(self, config: PluginConfig, attachment: Attachment) -> None:
        raise NotImplementedError

    def status(self, config: PluginConfig) -> None:
        self.log(f"asked for {config.name}")


def memfd(data: bytes = b"") -> int:
    fd = os.memfd_create("stream", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    return fd


@pytest.fixture
def served() -> Iterator[ServedCall]:
    fds = {
        Descriptor.STDIN: memfd(STDIN),
        Descriptor.STDOUT: memfd(),
        Descriptor.STDERR: memfd(),
        Descriptor.CALLER_NETNS: os.open("/proc/self/ns/net", os.O_RDONLY),
    }
    request = Request(("/opt/cni/bin/asked",), {"CNI_COMMAND": "STATUS"}, Descriptor(15))
    call = ServedCall({"asked": Asked}, "asked", request, fds)
    yield call
    call.close()


def test_a_call_that_waits_holds_nothing_of_its_configuration(served: ServedCall) -> None:
    served.prepare()
    prepared = served.call
    served.park()

    assert (prepared.stdin, prepared.document) == (STDIN, json.loads(STDIN))
    assert (served.call.stdin, served.call.document) == (b"", None)
    assert served.network == "net"


@pytest.mark.parametrize("parked", [False, True])
def test_it_is_run_with_its_configuration_all_the_same(served: ServedCall, parked: bool) -> None:
    stderr = served.call.stderr_fd
    served.prepare()
    if parked:
        served.park()

    assert served.run() == 0
    assert os.pread(stderr, 99, 0) == b"asked for net\n"
