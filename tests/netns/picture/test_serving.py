"""``cnisdk show --serve``, as a process."""

import http.client
import signal
import socket
from urllib.parse import urlsplit

import pytest

from tests.netns.picture.town import Town


def ask(town: Town, url: str, part: str) -> str:
    """Ask from the host itself: its loopback is nobody else's."""
    where = urlsplit(url)
    with town.host.inside():
        connection = http.client.HTTPConnection(str(where.hostname), where.port)
        connection.connect()
    connection.request("GET", where.path + part)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_page_follows_what_happens_until_it_is_stopped(town: Town, stop: int) -> None:
    process = town.start("show", "--serve")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        before = ask(town, url, "")
        town.plant_veth_on_a_bridge("vethleak")
        seen = ""
        while "vethleak" not in seen:  # one look serves for a second
            seen = ask(town, url, "picture")
        process.send_signal(stop)
        _, err = process.communicate()
    finally:
        process.kill()
        process.wait()

    assert "vethleak" not in before
    assert "ip link delete vethleak" in seen
    assert "Traceback" not in err
    assert process.returncode == (0 if stop == signal.SIGINT else -signal.SIGTERM)


def test_a_port_that_is_taken_is_told(town: Town) -> None:
    with town.host.inside():
        sock = socket.create_server(("127.0.0.1", 0))
    with sock:
        done = town.show("--serve", str(sock.getsockname()[1]))

    assert done.exit_code == 1
    assert "Address already in use" in done.stderr


def test_a_page_can_go_to_stdout_through_a_pipe_that_nobody_reads_to_its_end(town: Town) -> None:
    process = town.start("show", "--html", "-")
    assert process.stdout is not None
    first = process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    process.wait()

    assert first == "<!doctype html>\n"
    assert "Traceback" not in err
