"""The page on loopback: what it answers, and to whom it does not."""

import http.client
import itertools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from cnisdk.errors import IOFailureError
from cnisdk.picture.model import Picture
from cnisdk.picture.serve import Server
from tests.unit.picture.pictures import picture


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str


class Served:
    """A server of pictures that a test changes."""

    def __init__(self) -> None:
        self.picture = picture("frontend")
        self.looks = 0
        self.error: Exception | None = None
        self.server = Server(self.look, fresh=0)

    def look(self) -> Picture:
        self.looks += 1
        if self.error:
            raise self.error
        return self.picture

    @property
    def path(self) -> str:
        return f"/{self.server.secret}/"

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1])
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(connection):
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def test_it_listens_on_loopback_alone(served: Served) -> None:
    assert served.server.server_address[0] == "127.0.0.1"
    assert served.server.url.startswith("http://127.0.0.1:")


def test_the_page_and_its_parts_are_there(served: Served) -> None:
    page = served.ask(served.path)

    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "frontend" in page.text
    assert "frontend" in served.ask(f"{served.path}picture").text
    assert json.loads(served.ask(f"{served.path}picture.json").text)["host"] == "node"
    assert served.ask(f"{served.path}picture.svg").text.startswith("<svg")


def test_every_look_is_at_things_as_they_are(served: Served) -> None:
    before = served.ask(f"{served.path}picture")

    same = served.ask(f"{served.path}picture", If_None_Match=before.headers["ETag"])
    served.picture = picture("frontend", "backend")
    other = served.ask(f"{served.path}picture", If_None_Match=before.headers["ETag"])

    assert (same.status, same.text) == (304, "")
    assert other.status == 200
    assert "backend" in other.text


def test_the_page_knows_which_picture_it_has(served: Served) -> None:
    page = served.ask(served.path)

    tag = served.ask(f"{served.path}picture").headers["ETag"].strip('"')

    assert f"<body data-live={tag}>" in page.text


def test_many_who_ask_at_once_cost_one_look() -> None:
    numbers = itertools.count()
    with Server(lambda: picture(f"c{next(numbers)}"), fresh=3600) as server:
        names = [server.picture().ends[0].name for _ in range(3)]

    assert names == ["c0", "c0", "c0"]


@pytest.mark.parametrize("path", ["/", "/picture.json", "/x/", "/x/picture.json", "/%00", "//"])
def test_without_the_secret_there_is_nothing(served: Served, path: str) -> None:
    answer = served.ask(path)

    assert (answer.status, served.looks) == (404, 0)
    assert served.server.secret not in answer.text


def test_there_is_nothing_beside_what_there_is(served: Served) -> None:
    assert served.ask(f"{served.path}../../etc/passwd").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1:8080"]
)
def test_the_name_of_another_site_is_refused(served: Served, host: str) -> None:
    """DNS rebinding: a page of that site would be of our origin, if we let it."""
    answer = served.ask(served.path, Host=host)

    assert (answer.status, served.looks) == (403, 0)


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_loopback_may_be_called_otherwise(served: Served, host: str) -> None:
    """As it is at the other end of ``ssh -L``."""
    assert served.ask(served.path, Host=host).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_page_of_another_site_asks_is_refused(served: Served, site: str) -> None:
    answer = served.ask(served.path, Sec_Fetch_Site=site)

    assert (answer.status, served.looks) == (403, 0)


def test_no_other_site_may_read_embed_or_frame_an_answer(served: Served) -> None:
    for path in (served.path, f"{served.path}picture.json", "/"):
        headers = served.ask(path, Origin="http://evil.example").headers
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_there_is_nothing_but_to_look(served: Served, method: str) -> None:
    assert served.ask(served.path, method).status == 501


def test_head_is_get_without_its_body(served: Served) -> None:
    answer = served.ask(served.path, "HEAD")

    assert (answer.status, answer.text) == (200, "")
    assert int(answer.headers["Content-Length"]) > 1000


def test_a_look_that_fails_is_told_and_the_next_one_may_not(served: Served) -> None:
    served.error = IOFailureError("cannot read /var/lib/cni/results")
    failed = served.ask(f"{served.path}picture")
    served.error = None

    assert failed.status == 503
    assert "cannot read" in failed.text
    assert served.ask(f"{served.path}picture").status == 200


def test_a_defect_is_told_on_stderr(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.error = ZeroDivisionError("of ours")

    with pytest.raises(http.client.RemoteDisconnected):
        served.ask(served.path)

    assert "ZeroDivisionError: of ours" in capsys.readouterr().err


def test_who_hangs_up_is_no_news(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        os.write(writing, b"an answer")
    except BrokenPipeError:
        served.server.handle_error(None, ("127.0.0.1", 1))
    os.close(writing)

    assert capsys.readouterr().err == ""
