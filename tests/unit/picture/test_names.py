"""Containers' names, from what engines keep."""

import json
import socket
import threading
from pathlib import Path

import pytest

from cnisdk.picture import names
from cnisdk.picture.names import Names

ID = "3f4e" * 16
OTHER = "a0b1" * 16


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the engines' directories where nothing is yet."""
    for place in ("STORAGE", "STORAGE_CONF", "NERDCTL", "DOCKER"):
        monkeypatch.setattr(names, place, str(tmp_path / place.lower()))
    return tmp_path


def storage(root: Path) -> None:
    """Write what podman 4.3 does."""
    directory = root / "overlay-containers"
    directory.mkdir(parents=True)
    wire = [{"id": ID, "names": ["web"], "image": "x", "layer": "y"}, {"id": OTHER}]
    (directory / "containers.json").write_text(json.dumps(wire))


def test_a_node_without_engines_has_no_names() -> None:
    assert Names().of(ID) == ""


def test_podman_names_are_known_by_the_whole_id_or_its_beginning(places: Path) -> None:
    storage(places / "storage")

    known = Names()

    assert (known.of(ID), known.of(ID[:12]), known.of(OTHER), known.of("3f")) == (
        "web", "web", "", "",
    )  # fmt: skip


def test_storage_is_where_its_configuration_says(places: Path) -> None:
    storage(places / "elsewhere")
    (places / "storage_conf").write_text(f'[storage]\ngraphroot = "{places}/elsewhere"\n')

    assert Names().of(ID) == "web"


def test_nerdctl_names_are_known(places: Path) -> None:
    directory = places / "nerdctl/1935db59/names/default"
    directory.mkdir(parents=True)
    (directory / "cache").write_text(ID)

    assert Names().of(ID) == "cache"


@pytest.mark.parametrize("broken", ["", "{", "[1]", '{"a": 1}', '[{"names": 5}]', "\xff"])
def test_what_an_engine_wrote_half_names_nobody(places: Path, broken: str) -> None:
    storage(places / "storage")
    (places / "storage/overlay-containers/containers.json").write_text(broken)
    (places / "storage_conf").write_text("no = toml = at all")

    assert Names().of(ID) == ""


def answer_once(path: Path, answer: bytes) -> threading.Thread:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(1)

    def serve() -> None:
        with sock, sock.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_docker_is_asked(places: Path) -> None:
    body = json.dumps([{"Id": ID, "Names": ["/front"]}]).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    thread = answer_once(places / "docker", head + body)

    known = Names()

    thread.join()
    assert known.of(ID) == "front"


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 500 no\r\n\r\n"])
def test_a_docker_that_does_not_answer_keeps_nobody_waiting(places: Path, answer: bytes) -> None:
    thread = answer_once(places / "docker", answer)

    known = Names()

    thread.join()
    assert known.of(ID) == ""


def test_a_docker_that_has_ended_names_nobody(places: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(places / "docker"))

    assert Names().of(ID) == ""


def test_a_pod_is_named_with_its_namespace() -> None:
    args = {"K8S_POD_NAMESPACE": "shop", "K8S_POD_NAME": "web-0", "IgnoreUnknown": "1"}

    assert names.pod(args) == "shop/web-0"
    assert names.pod({}) == ""
