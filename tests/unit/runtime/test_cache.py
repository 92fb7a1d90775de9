import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from cnisdk.call import AttachmentKey
from cnisdk.errors import DecodingError, InvalidEnvironmentError, IOFailureError
from cnisdk.runtime import BrokenConfigError, Cache
from tests.unit.runtime.double import network, parameters

KEY = AttachmentKey("c1", "eth0")
RESULT = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "eth0", "sandbox": "/ns"}],
    "ips": [{"address": "10.0.0.2/24", "interface": 0}],
}

# A file as the Go library writes it, its config being {"cniVersion":…,"name":"net",…}.
CONFIG = '{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"a"},{"type":"b"}]}'
GO_FILE = (
    '{"kind":"cniCacheV1","containerId":"c1","config":"CONFIG","ifName":"eth0",'
    '"networkName":"net","netns":"/ns","cniArgs":[["A","1"],["B","2"]],'
    '"capabilityArgs":{"mac":"aa"},"result":{"cniVersion":"1.1.0",'
    '"interfaces":[{"name":"eth0","sandbox":"/ns"}],'
    '"ips":[{"address":"10.0.0.2/24","interface":0}]}}'
).replace("CONFIG", base64.b64encode(CONFIG.encode()).decode())


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cni"))


def put(cache: Cache, text: str, name: str = "net-c1-eth0") -> Path:
    directory = Path(cache.results)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)
    return directory / name


def test_a_file_of_the_go_library_is_read(cache: Cache) -> None:
    path = put(cache, GO_FILE)

    found = cache.find("net", KEY)

    assert found is not None
    assert found.path == str(path)
    assert found.parameters == parameters(
        netns="/ns", args=(("A", "1"), ("B", "2")), capability_args={"mac": "aa"}
    )
    assert [plugin.type for plugin in found.network_config().plugins] == ["a", "b"]
    assert cache.result(network("a"), KEY) == RESULT


def test_a_file_is_written_as_the_go_library_writes_it(cache: Cache) -> None:
    net = network("a", "b")
    attachment = parameters(
        netns="/ns", args=(("A", "1"), ("B", "2")), capability_args={"mac": "aa"}
    )

    cache.write(net, attachment, RESULT)

    text = (Path(cache.directory) / "results" / "net-c1-eth0").read_text()
    ours, theirs = json.loads(text), json.loads(GO_FILE)
    assert list(ours) == list(theirs)
    assert json.loads(base64.b64decode(ours.pop("config"))) == json.loads(CONFIG)
    del theirs["config"]
    assert ours == theirs


def test_empty_parameters_are_left_out_as_go_does(cache: Cache) -> None:
    cache.write(network("a"), parameters(netns=""), RESULT)

    wire = json.loads(Path(cache.path("net", KEY)).read_text())
    assert {"netns", "cniArgs", "capabilityArgs"}.isdisjoint(wire)


def test_only_root_may_read_what_is_remembered(cache: Cache) -> None:
    cache.write(network("a"), parameters(), RESULT)

    assert stat.S_IMODE(Path(cache.results).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(cache.path("net", KEY)).stat().st_mode) == 0o600


def test_writing_replaces_the_file_and_leaves_nothing_else(cache: Cache) -> None:
    path = put(cache, "old")
    before = path.stat().st_ino

    cache.write(network("a"), parameters(), RESULT)

    assert path.stat().st_ino != before
    assert [p.name for p in path.parent.iterdir()] == ["net-c1-eth0"]


def test_a_write_that_fails_leaves_nothing(cache: Cache) -> None:
    put(cache, "x", "other")
    Path(cache.path("net", KEY)).mkdir()

    with pytest.raises(IOFailureError, match="cannot write"):
        cache.write(network("a"), parameters(), RESULT)

    assert {p.name for p in Path(cache.results).iterdir()} == {"other", "net-c1-eth0"}


def test_a_bare_result_of_an_old_library_is_a_result_but_no_attachment(cache: Cache) -> None:
    put(cache, json.dumps(RESULT))

    assert cache.result(network("a"), KEY) == RESULT
    assert cache.find("net", KEY) is None
    assert cache.attachments() == []


def test_a_result_is_converted_to_the_version_of_the_network(cache: Cache) -> None:
    put(cache, GO_FILE)

    wire = cache.result(network("a", version="0.4.0"), KEY)

    assert wire is not None
    assert wire["cniVersion"] == "0.4.0"
    assert wire["ips"][0]["version"] == "4"


def test_unknown_keys_of_a_result_are_remembered(cache: Cache) -> None:
    cache.write(network("a"), parameters(), {**RESULT, "mine": 12345678901234567890})

    wire = cache.result(network("a"), KEY)

    assert wire is not None
    assert wire["mine"] == 12345678901234567890


@pytest.mark.parametrize("text", ["", "\n", '{"kind":"cniCacheV1","ifName":"eth0"}'])
def test_an_empty_file_is_no_result(cache: Cache, text: str) -> None:
    put(cache, text)

    assert cache.result(network("a"), KEY) is None


def test_a_missing_file_is_no_result(cache: Cache) -> None:
    assert cache.result(network("a"), KEY) is None


@pytest.mark.parametrize(
    "text",
    [
        "adfadsfasdf",
        "[]",
        '{"kind":"cniCacheV1","result":[]}',
        '{"cniVersion":"9.9.9"}',
        '{"cniVersion":"1.0.0","ips":[null]}',
    ],
)
def test_a_file_that_is_no_result_is_a_decoding_failure(cache: Cache, text: str) -> None:
    put(cache, text)

    with pytest.raises(DecodingError, match="net-c1-eth0"):
        cache.result(network("a"), KEY)


def test_attachments_are_listed_in_the_order_of_their_files(cache: Cache) -> None:
    for container_id, ifname in (("c2", "eth0"), ("c1", "eth1"), ("c1", "eth0")):
        cache.write(network("a"), parameters(container_id, ifname), RESULT)
    put(cache, "{", "net-c1-broken")
    put(cache, GO_FILE.replace("cniCacheV1", "other"), "net-c1-kind")
    put(cache, GO_FILE.replace('"ifName":"eth0",', ""), "net-c1-noifname")
    put(cache, GO_FILE, ".17.tmp")

    assert [a.key for a in cache.attachments()] == [
        ("c1", "eth0"),
        ("c1", "eth1"),
        ("c2", "eth0"),
    ]
    assert [a.key for a in cache.attachments("c1")] == [("c1", "eth0"), ("c1", "eth1")]
    assert cache.attachments("c") == []
    assert cache.attachments(network="other") == []


@pytest.mark.parametrize(
    "change",
    [
        {"cniArgs": [["A"]]},
        {"cniArgs": [["A", 1]]},
        {"capabilityArgs": [1]},
        {"config": "%%%"},
        {"containerId": ""},
        {"netns": 3},
        {"result": "x"},
    ],
)
def test_a_malformed_attachment_is_passed_over(cache: Cache, change: dict[str, Any]) -> None:
    put(cache, json.dumps({**json.loads(GO_FILE), **change}))

    assert cache.attachments() == []


def test_the_configuration_of_one_plugin_is_read_too(cache: Cache) -> None:
    single = base64.b64encode(b'{"name":"net","cniVersion":"0.2.0","type":"a"}').decode()
    put(cache, json.dumps({**json.loads(GO_FILE), "config": single}))

    (attachment,) = cache.attachments()

    assert [plugin.type for plugin in attachment.network_config().plugins] == ["a"]


def test_an_attachment_without_configuration_says_so(cache: Cache) -> None:
    put(cache, json.dumps({**json.loads(GO_FILE), "config": ""}))

    (attachment,) = cache.attachments()

    with pytest.raises(BrokenConfigError):
        attachment.network_config()


def test_names_with_a_dash_do_not_take_each_others_file(cache: Cache) -> None:
    put(cache, GO_FILE.replace('"containerId":"c1"', '"containerId":"a-b"'), "net-a-b-eth0")
    other = AttachmentKey("b", "eth0")

    assert cache.find("net-a", other) is None
    cache.remove("net-a", other)
    assert cache.find("net", AttachmentKey("a-b", "eth0")) is not None


def test_removing_twice_is_no_failure(cache: Cache) -> None:
    cache.write(network("a"), parameters(), RESULT)

    cache.remove("net", KEY)
    cache.remove("net", KEY)

    assert cache.attachments() == []


@pytest.mark.parametrize(
    ("name", "container_id", "ifname", "what"),
    [
        ("", "c1", "eth0", "network name"),
        ("net", "", "eth0", "container ID"),
        ("net", "c1", "", "interface name"),
        ("net", "../c1", "eth0", "container ID"),
    ],
)
def test_a_file_needs_all_three_names(
    cache: Cache, name: str, container_id: str, ifname: str, what: str
) -> None:
    with pytest.raises(InvalidEnvironmentError, match=what):
        cache.path(name, AttachmentKey(container_id, ifname))
